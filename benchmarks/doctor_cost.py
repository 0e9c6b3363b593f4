"""What `nw.watch` adds to a bare loop, and a watched step to one that is not.

    python -m benchmarks.doctor_cost > doctor_cost.md

Each pair takes the same steps on one batch from the same weights, in turn in one process.
"""

import argparse
import copy
import time
from collections.abc import Callable
from statistics import median

import torch
import torch.nn.functional as F
from benchmarks.speed.measure import conditions, in_turn, keep_to, ratios, spread, table
from torch import Tensor, nn

import netwright as nw
from netwright.training.fused import Fused, fused_adam
from netwright.training.recorder import Recorder, following

BAR = 1.03
PAIRS = 31

PAGE = """# What watching costs

{table}

Fused AdamW, fp32, one batch in memory; {rounds} rounds, the two sides in turn. Ratio: median [least-most]. "A watched
step" is how many times as long as another one it takes, the median of {pairs} pairs.

{conditions}"""


class Last(nn.Module):
    """A network whose last time step is judged."""

    def __init__(self, body: nn.Module, width: int) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, features) to (B, 10)."""
        states = self.body(x)
        return self.head((states[0] if isinstance(states, tuple) else states)[:, -1])


def perceptron(width: int) -> nn.Module:
    """Two hidden layers."""
    return nn.Sequential(
        *(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)),
    )


def convnet() -> nn.Module:
    """Two stages with batch norm, 28 x 28 pixels in."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(64 * 49, 10)),
    ).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  torch's stub lacks it


def transformer() -> nn.Module:
    """Two blocks of 64 features."""
    layer = nn.TransformerEncoderLayer(64, 4, 256, dropout=0.0, batch_first=True)
    return nn.Sequential(nn.Linear(16, 64), nn.TransformerEncoder(layer, 2, enable_nested_tensor=False))


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], tuple[int, ...]]] = {
    "perceptron, 16 units": (lambda: perceptron(16), (64, 64), (300, 1000, 4000)),
    "perceptron, 256 units": (lambda: perceptron(256), (128, 64), (300, 1000)),
    "convnet": (convnet, (64, 1, 28, 28), (100,)),
    "lstm": (lambda: Last(nn.LSTM(16, 64, batch_first=True), 64), (32, 50, 16), (100, 300)),
    "transformer": (lambda: Last(transformer(), 64), (32, 32, 16), (100, 300)),
}


def main() -> None:
    """Times all networks."""
    options = _options()
    keep_to(options.threads)
    torch.set_num_threads(options.threads)
    lines = list[tuple[object, ...]]()
    for name, (build, shape, lengths) in CASES.items():
        once = _one_step(build(), shape)
        for count in lengths:
            bare, seen = in_turn(_loops(build, shape, count), options.rounds).values()
            found = ratios(seen, bare)
            met = "met" if median(found) < BAR else "**missed**"
            step = f"{1000 * median(bare) / count:.2f}"
            lines.append((name, step, count, _watched(count), f"{once:.2f}", spread(found, 3), f"< {BAR}", met))
    head = ("network", "ms a step", "steps", "watched", "a watched step", "watch / bare loop", "bar", "met")
    told = conditions(options.threads, ("netwright", "torch"))
    print(PAGE.format(table=table(head, lines), rounds=options.rounds, pairs=PAIRS, conditions=told))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11, help="7 or more for numbers to publish")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _loops(build: Callable[[], nn.Module], shape: tuple[int, ...], count: int) -> dict[str, Callable[[], None]]:
    torch.manual_seed(0)
    network = build()

    def bare() -> None:
        train = _training(copy.deepcopy(network), shape)[1]
        for _ in range(count):
            train()

    def seen() -> None:
        own = copy.deepcopy(network)
        optimizer, train = _training(own, shape)
        with nw.watch(own, optimizer) as watch:
            for _ in range(count):
                train()
        watch.watched()

    return {"bare loop": bare, "watch": seen}


def _one_step(network: nn.Module, shape: tuple[int, ...]) -> float:
    """How many times as long a watched step takes."""
    optimizer, train = _training(network, shape)
    train()
    found = list[float]()
    for _ in range(PAIRS):
        alone = _seconds(train)
        recorder = Recorder(network, optimizer)
        train()
        found.append(_seconds(train) / alone)  # the second step, which is watched, and the hooks of the third
        recorder.close()
    return median(found)


def _training(network: nn.Module, shape: tuple[int, ...]) -> tuple[Fused, Callable[[], None]]:
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(shape, generator=draw), torch.randint(10, shape[:1], generator=draw)
    groups = [{"params": list(network.parameters()), "weight_decay": 0.01}]
    optimizer = fused_adam(groups, lr=1e-3, betas=(0.9, 0.999), decoupled=True)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(network(x), y).backward()
        optimizer.step()

    return optimizer, step


def _seconds(function: Callable[[], None]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def _watched(count: int) -> int:
    step, watched = 0, 0
    while step < count:
        step, watched = following(step), watched + 1
    return watched


if __name__ == "__main__":
    main()
