"""What `nw.steps` adds to a bare loop, and what a whole training adds to `nw.steps`.

    python -m benchmarks.speed.loop > loop.md

Each pair does the same steps on the same batches with the same optimizer from the same weights, in turn in one process.
"""

import argparse
import copy
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from math import ceil
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from benchmarks.speed.measure import conditions, in_turn, keep_to, ratios, spread, table
from torch import Tensor, nn

import netwright as nw
from netwright.machine.randomness import epoch_seed
from netwright.records.run import Run
from netwright.training.fit import fit
from netwright.training.objective import build_objective
from netwright.training.optimizer import build_optimizer

BATCH, FEATURES, CLASSES = 128, 64, 10
WIDTHS = (32, 64, 128, 256, 384, 512, 768, 1024, 1536, 2048, 3072)  # of two hidden layers, until a step is long enough
TRIED = 20  # steps that measure a width
SETTINGS = {
    "precision": "fp32",
    "kernels": "torch",
    "compile": "never",
    "adapt": False,
}  # both sides alike, whatever pays here
STEPS_BAR, TRAIN_BAR = 1.01, 1.03  # at steps of 1 ms and more

PAGE = """# Speed: what the loop costs

{table}

A perceptron of two hidden layers, {features} numbers in, {classes} classes out, batch {batch}, fused AdamW, fp32,
batches in memory; each side trains for about {seconds:g} s in each of {rounds} rounds, the two in turn. Ratio: median
[least-most].

- **steps / bare loop**: `nw.steps`, which keeps each row's loss and number, against zero_grad, backward and step.
- **training / steps**: `training.fit`, which `nw.train` runs, with its history, its watch over losses and gradients
  and checkpoints into a folder, against `nw.steps` over the same examples with
  the same objective.

{conditions}"""


def main() -> None:
    """Times both pairs at both lengths of a step."""
    options = _options()
    keep_to(options.threads)
    torch.set_num_threads(options.threads)
    lines = list[tuple[object, ...]]()
    for wanted in options.milliseconds:
        width, took = _width(wanted / 1000)
        count = ceil(options.seconds / took)
        for name, bar, cases in (
            ("steps / bare loop", STEPS_BAR, _loops(width, count)),
            ("training / steps", TRAIN_BAR, _trainings(width, count)),
        ):
            base, ours = in_turn(cases, options.rounds).values()
            found = ratios(ours, base)
            met = "met" if median(found) < bar else "**missed**"
            lines.append((name, f"{1000 * median(base) / count:.2f}", width, count, spread(found, 3), f"< {bar}", met))
    print(
        PAGE.format(
            table=table(("pair", "ms a step", "width", "steps", "ratio", "bar", "met"), lines),
            conditions=conditions(options.threads, ("netwright", "torch")),
            features=FEATURES,
            classes=CLASSES,
            batch=BATCH,
            seconds=options.seconds,
            rounds=options.rounds,
        )
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11, help="7 or more for numbers to publish")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each side in each round")
    parser.add_argument("--milliseconds", type=float, nargs="+", default=[1.0, 10.0], help="lengths of a step")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def _width(seconds: float) -> tuple[int, float]:
    """The first width whose step takes so long, and how long it takes."""
    for width in WIDTHS:
        network, optimizer = _start(width)
        batches = _batches(TRIED)
        _bare(network, optimizer, batches[:3])
        began = time.perf_counter()
        _bare(network, optimizer, batches)
        if (took := (time.perf_counter() - began) / TRIED) >= seconds:
            return width, took
    raise SystemExit(f"no width up to {WIDTHS[-1]} takes {seconds} s a step: give smaller --milliseconds")


def _loops(width: int, count: int) -> dict[str, Callable[[], None]]:
    batches = _batches(count)

    def objective(network: nn.Module, batch: nw.Batch) -> Tensor:
        return F.cross_entropy(network(*batch.inputs), batch.targets[0], reduction="none")

    def ours() -> None:
        for _ in nw.steps(network, batches, objective, optimizer):
            pass

    network, optimizer = _start(width)
    theirs = partial(_bare, *_start(width), batches)
    return {"bare loop": theirs, "steps": ours}


def _bare(network: nn.Module, optimizer: torch.optim.Optimizer, batches: list[tuple[Tensor, Tensor]]) -> None:
    for x, y in batches:
        optimizer.zero_grad()
        F.cross_entropy(network(x), y).backward()
        optimizer.step()


def _trainings(width: int, count: int) -> dict[str, Callable[[], None]]:
    x, y = (torch.cat(parts) for parts in zip(*_batches(count), strict=True))
    task = nw.Classification(tuple(map(str, range(CLASSES))))
    recipe = nw.Recipe(batch_size=BATCH, epochs=1, schedule="constant", warmup=0.0, clip=0.0).edit(SETTINGS)
    run = nw.adopt(_start(width)[0], task, (x, y), recipe=recipe)
    return {"steps": partial(_steps, run), "training": partial(_train, run)}


def _steps(run: Run) -> None:
    network = copy.deepcopy(run.network)
    batches = run.train.batches(BATCH, seed=epoch_seed(run.recipe.seed, 1))
    for _ in nw.steps(network, batches, build_objective(run), build_optimizer(network, run.recipe)):
        pass


def _train(run: Run) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for _ in fit(run, folder=Path(folder)):
            pass


def _start(width: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    sizes = (FEATURES, width, width)
    hidden = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
    network = nn.Sequential(*hidden, nn.Linear(width, CLASSES))
    return network, build_optimizer(network, nw.Recipe())


def _batches(count: int) -> list[tuple[Tensor, Tensor]]:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(count * BATCH, FEATURES, generator=draw)
    y = torch.randint(CLASSES, (count * BATCH,), generator=draw)
    return list(zip(x.split(BATCH), y.split(BATCH), strict=True))


if __name__ == "__main__":
    main()
