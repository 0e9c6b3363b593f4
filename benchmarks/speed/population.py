"""Twelve settings of a small network: trained at once, one after the other, and by the loop that tutorials write.

The loop has torch's dropout, the others that of netwright's own networks.

    python -m benchmarks.speed.population

Prints a block of Markdown: seconds for all twelve as median (lowest to highest) of the rounds. The cases take turns
within one process, so that other work on the machine falls on all of them alike.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Generator
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from benchmarks.speed.measure import conditions
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from netwright.data.examples import InMemory, empty
from netwright.models.dropout import Dropout
from netwright.records.errors import NetwrightError
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.records.schema import Schema
from netwright.tasks.classification import Classification
from netwright.training.fit import fit
from netwright.training.population import population, unstackable

ROWS, COLUMNS, HIDDEN, CLASSES, BATCH = 5_000, 30, 64, 2, 64
EPOCHS = 2
SETTINGS = 12


def main() -> None:
    """Measures each number of threads and prints a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    runs = _runs()
    assert not any(map(unstackable, runs))
    cases: dict[str, Callable[[], object]] = {
        "DataLoader loop, AdamW as torch makes it, one after the other": lambda: [_loop(run) for run in runs],
        "`fit`, one after the other": lambda: [_outcome(fit(run)) for run in runs],
        "`population`": lambda: _outcome(population(runs)),
    }
    print(
        f"Twelve settings of a perceptron {COLUMNS}-{HIDDEN}-{HIDDEN}-{HIDDEN}-{CLASSES} with dropout, {ROWS:,} rows,"
    )
    print(f"batches of {BATCH}, {EPOCHS} epochs; {options.rounds} rounds.\n")
    print("| threads | case | seconds for all | loop / case |\n|---|---|---|---|")
    for threads in options.threads:
        torch.set_num_threads(threads)
        seconds = _measured(cases, options.rounds)
        first = statistics.median(next(iter(seconds.values())))
        for name, taken in seconds.items():
            middle = statistics.median(taken)
            spread = f"{middle:.2f} ({min(taken):.2f} to {max(taken):.2f})"
            print(f"| {threads} | {name} | {spread} | {first / middle:.1f} |", flush=True)
    print(f"\n{conditions(max(options.threads), ('netwright', 'torch'))}")


def _measured(cases: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each round, after one that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, case in cases.items():
            began = time.perf_counter()
            case()
            if number:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def _runs() -> list[Run]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, COLUMNS, generator=generator)
    y = (x[:, 0] * x[:, 1] + x[:, 2] > 0).long()
    train = InMemory((x,), (y,), torch.arange(ROWS), "row {}".format)
    return [_run(number, train) for number in range(SETTINGS)]


def _run(number: int, train: InMemory) -> Run:
    recipe = Recipe(
        lr=3e-4 * 1.3**number,
        weight_decay=0.01 * (number + 1),
        dropout=0.05 * (1 + number % 6),
        seed=number,
        epochs=EPOCHS,
        batch_size=BATCH,
        precision="fp32",
    )
    torch.manual_seed(number)
    network = _perceptron(recipe.dropout)
    task = Classification(("no", "yes"))
    return Run(network, task, Schema(()), recipe, train, empty(), empty(), lambda: _perceptron(recipe.dropout))


def _perceptron(dropout: float, kind: type[nn.Dropout] = Dropout) -> nn.Module:
    widths = (COLUMNS, HIDDEN, HIDDEN, HIDDEN)
    layers = [(nn.Linear(a, b), nn.ReLU(), kind(dropout)) for a, b in pairwise(widths)]
    return nn.Sequential(*(part for layer in layers for part in layer), nn.Linear(HIDDEN, CLASSES))


def _loop(run: Run) -> nn.Module:
    """As in torch's tutorials."""
    recipe, network = run.recipe, _perceptron(run.recipe.dropout, nn.Dropout)
    loader = DataLoader(_dataset(run), batch_size=BATCH, shuffle=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    network.train()
    for _ in range(EPOCHS):
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(network(x), y).backward()
            optimizer.step()
    return network


def _dataset(run: Run) -> TensorDataset:
    whole: list[Tensor] = []
    for batch in run.train.batches(ROWS, seed=None):
        whole += [*batch.inputs, *batch.targets]
    return TensorDataset(*whole)


def _outcome(events: Generator[Any, None, Any]) -> object:  # Any: of `fit` or of `population`
    while True:
        try:
            next(events)
        except StopIteration as end:
            found = end.value if isinstance(end.value, tuple) else (end.value,)
            assert not any(isinstance(one, NetwrightError) for one in found)
            return found


if __name__ == "__main__":
    main()
