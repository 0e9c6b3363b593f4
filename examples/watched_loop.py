"""A loop of one's own, watched and diagnosed: `python examples/watched_loop.py [never cleared | detached]`."""

import sys

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import netwright as nw


class Perceptron(nn.Module):
    """64 pixels to ten digits."""

    def __init__(self, *, is_detached: bool) -> None:
        super().__init__()
        self.first, self.last, self.is_detached = nn.Linear(64, 32), nn.Linear(32, 10), is_detached

    def forward(self, x: Tensor) -> Tensor:
        """(B, 64) to (B, 10)."""
        hidden = self.first(x).relu()
        return self.last(hidden.detach() if self.is_detached else hidden)


def trained(fault: str = "") -> nw.Run:
    """What a training shows that forgets to clear its gradients, or whose first layer is cut off; or a healthy one."""
    torch.manual_seed(0)
    x, y = load_digits(return_X_y=True)
    order = torch.randperm(len(x))
    x, y = torch.tensor(x / 16, dtype=torch.float32)[order], torch.tensor(y)[order]
    network, loss = Perceptron(is_detached=fault == "detached"), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)

    with nw.watch(network, optimizer) as watch:
        for _ in range(20):
            for rows in torch.randperm(1200).split(64):
                if fault != "never cleared":
                    optimizer.zero_grad()
                loss(network(x[rows]), y[rows]).backward()
                optimizer.step()
    return nw.adopt(network, loss, (x[:1200], y[:1200]), (x[1200:], y[1200:]), watch=watch)


if __name__ == "__main__":
    print(nw.diagnose(trained(" ".join(sys.argv[1:]))))
