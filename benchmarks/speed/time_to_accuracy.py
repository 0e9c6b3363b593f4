"""Seconds of training from random weights to a test accuracy on Fashion-MNIST, and how fast this machine is.

    python -m benchmarks.speed.time_to_accuracy --data FOLDER > results.md

Each goal is one training with settings that are written down here. They were chosen on validation rows that were cut
from the training rows; the test rows are scored once for each training, at its end. Machines differ, so a plain fp32
ResNet-9 in a hand-written loop is timed before and after, and seconds are also given as they would be on a machine
where that loop does REFERENCE samples a second.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from benchmarks.speed.measure import conditions
from torch import Tensor, nn

import netwright as nw

REFERENCE = 430.0  # samples/s of the plain loop on the machine for which the seconds of GOALS were set
BATCH_SIZE, WARM_STEPS, STEPS = 128, 3, 24  # of the plain loop
WIDTH = 32  # of the ResNet-9: 137 MFLOP a sample forward, 411 with backward, 2 for each multiply-add


@dataclass(frozen=True)
class Goal:
    """A test accuracy, the seconds of training allowed for it, and the settings that are to reach it."""

    accuracy: float
    seconds: float  # on the machine of REFERENCE
    settings: dict[str, object]


GOALS = {
    "92": Goal(0.92, 60, {"width": 8, "depth": 1, "epochs": 4}),
    "93": Goal(0.93, 170, {"width": 16, "epochs": 5}),
    "94.5": Goal(0.945, 360, {"width": 16, "lr": 8e-3, "epochs": 16, "augment": ("flip",), "mirror": True}),
}


@dataclass(frozen=True)
class Measured:
    """One training."""

    goal: str
    seed: int
    parameters: int
    epochs: int
    samples_per_second: float
    seconds: float  # of training: evaluation, reading and planning excluded
    valid_seconds: float  # of evaluation on validation rows
    accuracy: float  # on the test rows, with its 95 % interval
    low: float
    high: float


def main() -> None:
    """Times the plain loop, trains for every goal, times the loop again, prints the table."""
    options = _options()
    torch.set_num_threads(options.threads)
    rates = [plain_rate()]
    print(f"plain ResNet-9: {rates[0]:.0f} samples/s", file=sys.stderr, flush=True)
    done: list[Measured] = []
    for goal in options.goals:
        for seed in range(options.seeds):
            done.append(measure(goal, seed, options.data))
            print(json.dumps(asdict(done[-1])), file=sys.stderr, flush=True)
    rates.append(plain_rate())
    if options.json:
        found = {"plain_rates": rates, "threads": options.threads, "trainings": [asdict(row) for row in done]}
        options.json.write_text(json.dumps(found, indent=1))
    print(page(done, rates, options.threads))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data/fashion-mnist"), help="folder of the four idx files")
    parser.add_argument("--goals", nargs="+", choices=GOALS, default=list(GOALS))
    parser.add_argument("--seeds", type=int, default=1, help="trainings for each goal")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, help="file for the numbers")
    return parser.parse_args()


def measure(goal: str, seed: int, data: Path) -> Measured:
    """One training for a goal."""
    run = nw.train(data, settings={**GOALS[goal].settings, "seed": seed})
    assert run.scores is not None
    accuracy, epochs = run.scores["accuracy"], run.history.epochs
    rows = len(run.train)
    seconds = sum(rows / epoch.rows_per_second for epoch in epochs)
    return Measured(
        goal=goal,
        seed=seed,
        parameters=sum(weights.numel() for weights in run.network.parameters()),
        epochs=len(epochs),
        samples_per_second=rows * len(epochs) / seconds,
        seconds=seconds,
        valid_seconds=sum(epoch.seconds for epoch in epochs) - seconds,
        accuracy=accuracy.value,
        low=accuracy.low,
        high=accuracy.high,
    )


def plain_rate() -> float:
    """Samples a second of a ResNet-9 in a loop as a tutorial writes it: fp32, NCHW, AdamW; median over STEPS steps."""
    torch.manual_seed(0)
    network = _resnet9()
    optimizer = torch.optim.AdamW(network.parameters())
    images, labels = torch.randn(BATCH_SIZE, 1, 28, 28), torch.randint(0, 10, (BATCH_SIZE,))
    seconds: list[float] = []
    for _ in range(WARM_STEPS + STEPS):
        began = time.perf_counter()
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - began)
    return BATCH_SIZE / median(seconds[WARM_STEPS:])


def _resnet9() -> nn.Module:
    w = WIDTH
    return nn.Sequential(
        *_block(1, w),
        *_block(w, 2 * w, nn.MaxPool2d(2)),
        _Residual(2 * w),
        *_block(2 * w, 4 * w, nn.MaxPool2d(2)),
        *_block(4 * w, 8 * w, nn.MaxPool2d(2)),
        _Residual(8 * w),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(8 * w, 10),
    )


def _block(width: int, out: int, *after: nn.Module) -> tuple[nn.Module, ...]:
    return (nn.Conv2d(width, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(), *after)


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_block(width, width), *_block(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def page(done: Sequence[Measured], rates: Sequence[float], threads: int) -> str:
    """The numbers as Markdown."""
    rate = sum(rates) / len(rates)
    lines = [
        conditions(threads, ("netwright", "torch")),
        f"Plain fp32 ResNet-9 loop: {rates[0]:.0f} samples/s before, {rates[-1]:.0f} after. Scaled seconds are for a",
        f"machine where it does {REFERENCE:.0f}. Seconds are of training alone; those of validation follow the +.",
        "",
        "| goal | seed | settings | parameters | samples/s | seconds | scaled | allowed | test accuracy | met |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in done:
        goal = GOALS[row.goal]
        scaled = row.seconds * rate / REFERENCE
        is_met = row.accuracy >= goal.accuracy and scaled <= goal.seconds
        settings = ", ".join(f"{name} {_said(value)}" for name, value in goal.settings.items())
        lines.append(
            f"| {row.goal} % | {row.seed} | {settings} | {row.parameters:,} | {row.samples_per_second:,.0f} "
            f"| {row.seconds:.0f} + {row.valid_seconds:.0f} | {scaled:.0f} | {goal.seconds:.0f} "
            f"| {row.accuracy:.4f} ({row.low:.4f} to {row.high:.4f}) | {'yes' if is_met else 'no'} |"
        )
    return "\n".join(lines)


def _said(value: object) -> str:
    return ("+".join(map(str, value)) or "none") if isinstance(value, tuple) else str(value)


if __name__ == "__main__":
    main()
