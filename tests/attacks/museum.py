"""Broken defenses on small pictures of digits, which attacks must see through, and honest networks."""

from collections.abc import Callable
from functools import cache

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.attacks.ways import ways_between
from netwright.records.batch import Batch
from netwright.records.threat import Norm, Threat
from netwright.tasks.classification import Classification

DIGITS = Classification(tuple("0123456789"))
SIZE = 0.15  # of the range from black to white
ROWS = 64  # test pictures that are attacked
EPOCHS = 12
TEMPERATURE = 20.0  # Papernot et al. 2015, arXiv:1511.04508
SHARPENED = 100.0

Network = nn.Module


class Scaled(nn.Module):
    """Logits times a constant: the softmax is so sure that the gradient of the cross entropy is 0."""

    def __init__(self, inner: Network, factor: float) -> None:
        super().__init__()
        self.inner, self.factor = inner, factor

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) * self.factor


class Quantized(nn.Module):
    """Pictures are rounded to a few greys first: no gradient reaches them."""

    def __init__(self, inner: Network, greys: int = 10) -> None:
        super().__init__()
        self.inner, self.greys = inner, greys

    def forward(self, x: Tensor) -> Tensor:
        return self.inner((x * self.greys).round() / self.greys)


class Thermometer(nn.Module):
    """Each grey becomes a row of lamps. Buckman et al. 2018, the defense that Athalye et al. 2018 broke."""

    def __init__(self, inner: Network, lamps: int = 8) -> None:
        super().__init__()
        self.inner, self.lamps = inner, lamps

    def forward(self, x: Tensor) -> Tensor:
        levels = torch.arange(self.lamps, device=x.device).view(1, -1, 1, 1) / self.lamps
        return self.inner((x > levels).float())


class Noisy(nn.Module):
    """Noise is added to the pictures, in evaluation mode too."""

    def __init__(self, inner: Network, spread: float = 0.1) -> None:
        super().__init__()
        self.inner, self.spread = inner, spread

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x + self.spread * torch.randn_like(x))


def convnet(channels: int = 1, width: int = 12) -> Network:
    """Two layers of convolutions."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * width * 16, 10),
    )


@cache
def pictures() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training and test pictures (N, 1, 8, 8) in [0, 1], and their labels."""
    data = load_digits()
    x = torch.tensor(data.images / 16).float()[:, None]
    y = torch.tensor(data.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    return x[order[:1300]], y[order[:1300]], x[order[1300:]], y[order[1300:]]


def rows(count: int = ROWS, start: int = 0) -> Batch:
    """Test pictures."""
    _, _, x, y = pictures()
    part = slice(start, start + count)
    return Batch((x[part],), (y[part],), torch.arange(len(x[part])))


def threat(batch: Batch, norm: Norm = "inf", size: float = SIZE, goal: Tensor | None = None) -> Threat:
    """Pixels move between black and white."""
    return Threat(ways_between(batch.inputs, 0.0, 1.0), size, norm, goal)


Loss = Callable[[Network, Tensor, Tensor], Tensor]


def plain_loss(network: Network, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(network(x), y)


def smoothed_loss(network: Network, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(network(x), y, label_smoothing=0.1)


def distilled_loss(network: Network, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(network(x) / TEMPERATURE, y)


def hardened_loss(network: Network, x: Tensor, y: Tensor, steps: int = 3) -> Tensor:
    """On pictures moved against the network. Madry et al. 2017, arXiv:1706.06083."""
    moved = (x + SIZE * (2 * torch.rand_like(x) - 1)).clamp(0, 1)
    for _ in range(steps):
        moved.requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(network(moved), y), moved)
        moved = (moved.detach() + SIZE / 2 * gradient.sign()).clamp(x - SIZE, x + SIZE).clamp(0, 1)
    return F.cross_entropy(network(moved), y)


def fast_loss(network: Network, x: Tensor, y: Tensor) -> Tensor:
    return hardened_loss(network, x, y, steps=1)


def trained(
    network: Network, loss: Loss, epochs: int = EPOCHS, lr: float = 3e-3, rows: tuple[Tensor, Tensor] | None = None
) -> Network:
    """The network after some epochs on the digits, or on other rows, in evaluation mode."""
    x, y = pictures()[:2] if rows is None else rows
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.reset_parameters()
        optimizer = torch.optim.Adam(network.parameters(), lr=lr)
        for epoch in range(epochs):
            for group in optimizer.param_groups:
                group["lr"] = lr * (1 - epoch / epochs)
            for part in torch.randperm(len(x)).split(64):
                optimizer.zero_grad()
                loss(network, x[part], y[part]).backward()
                optimizer.step()
    return network.eval()


@cache
def plain() -> Network:
    return trained(convnet(), plain_loss)


# Networks with no trick.
HONEST: dict[str, Callable[[], Network]] = {
    "plain": plain,
    "smoothed": lambda: trained(convnet(), smoothed_loss),
    "fgsm-trained": lambda: trained(convnet(), fast_loss),
    "pgd-trained": lambda: trained(convnet(), hardened_loss),
}
# Networks that only look as if they resisted.
MASKED: dict[str, Callable[[], Network]] = {
    "scaled logits": lambda: Scaled(plain(), SHARPENED).eval(),
    "quantized": lambda: Quantized(plain()).eval(),
    "distilled": lambda: trained(convnet(), distilled_loss, 25),
    "noisy": lambda: Noisy(plain()).eval(),
    "thermometer": lambda: trained(Thermometer(convnet(8)), plain_loss),
}


@cache
def network(name: str) -> Network:
    """A network of the museum, trained once."""
    return {**HONEST, **MASKED}[name]()
