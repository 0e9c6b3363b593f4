"""What the doctor says of forecasts: healthy trainings, and those with one known fault.

    python -m benchmarks.forecast_doctor --json forecast_doctor.jsonl

Trains small forecasts of series of five kinds, as they are and with a fault: a learning rate a thousand times too high,
values in random order, dead units beside the fit. Columns and targets of a million times the scale are no fault of a
training that scales them, and must not be reported. Measured trainings are kept in --json; after --minutes no new one
is begun, and the same command goes on.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import torch
from benchmarks.machine import machine

import netwright as nw
from netwright import statistics
from netwright.models.guards import network_of
from netwright.records.run import Run
from netwright.training.adopt import adopt
from netwright.training.fit import fit

MINUTES = 8.0
SEEDS = 4
STEPS = 900
SETTINGS = {
    "epochs": 8, "activation": "relu", "precision": "fp32", "kernels": "torch", "compile": "never", "threads": 1,
    "adapt": False,
}  # fmt: skip
DEAD = -20.0  # bias of the units

Random = np.random.Generator


@dataclass(frozen=True)
class Row:
    """One training: the codes of its warnings and errors, the gravest first."""

    kind: str
    fault: str
    seed: int
    codes: tuple[str, ...]


def _autoregressive(random: Random, hours: np.ndarray) -> np.ndarray:
    values = np.zeros(len(hours))
    for k in hours[1:]:
        values[k] = 0.8 * values[k - 1] + random.normal()
    return values


KINDS: dict[str, Callable[[Random, np.ndarray], np.ndarray]] = {
    "days": lambda random, hours: 20 + 5 * np.sin(hours * 2 * np.pi / 24) + random.normal(size=len(hours)),
    "random walk": lambda random, hours: 100 + random.normal(size=len(hours)).cumsum(),
    "autoregressive": _autoregressive,
    "counts": lambda random, hours: random.poisson(3 + 3 * (hours % 24 > 8)) * 1.0,
    "trend": lambda random, hours: hours / 20 + 5 * np.sin(hours * 2 * np.pi / 24) + random.normal(size=len(hours)),
}
FAULTS = {
    "none": "", "another scale": "", "learning rate x 1,000": "NW331", "random order": "NW346", "dead units": "NW303",
}  # fmt: skip


def _run(kind: str, fault: str, seed: int, folder: Path) -> Run:
    random, hours = np.random.default_rng(seed), np.arange(STEPS)
    values = KINDS[kind](random, hours)
    beside = np.roll(values, 3) + random.normal(size=STEPS)
    if fault == "random order":
        values = random.permutation(values)
    scale = 1e6 if fault == "another scale" else 1.0
    times = [datetime(2024, 1, 1) + timedelta(hours=int(hour)) for hour in hours]
    frame = pl.DataFrame({"at": times, "load": values * scale, "beside": beside * scale})
    settings = {**SETTINGS, "seed": seed, **({"lr": 0.5} if fault.startswith("learning") else {})}
    run = nw.train(frame, target="load", time="at", task="forecasting:6,lags=48", settings=settings, folder=folder)
    return _dead(run) if fault == "dead units" else run


def _dead(run: Run) -> Run:
    """The same training, of a network whose units never answer."""
    network = network_of(run.task, run.schema, run.recipe, run.train)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "body" in name and name.endswith("bias"):
                weight.fill_(DEAD)
    loaders = [list(part.batches(run.recipe.batch_size, seed=None)) for part in (run.train, run.valid)]
    training = fit(adopt(network, run.task, *loaders, recipe=run.recipe, build=lambda: deepcopy(network)))
    while True:
        try:
            next(training)
        except StopIteration as end:
            return end.value


def measure(kind: str, fault: str, seed: int) -> Row:
    """Trains and diagnoses one forecast."""
    with TemporaryDirectory() as folder:
        report = nw.diagnose(_run(kind, fault, seed, Path(folder) / "run"))
    return Row(kind, fault, seed, tuple(f.code for f in report.findings if f.severity != "note"))


def page(rows: list[Row]) -> str:
    """A line for each fault."""
    lines = ["| fault | trainings | flagged | 95 % | first finding |", "|---|---|---|---|---|"]
    for fault, code in FAULTS.items():
        some = [row for row in rows if row.fault == fault]
        if some:
            flagged = sum(bool(row.codes) for row in some)
            of = statistics.share(flagged, len(some))
            first = Counter(row.codes[0] for row in some if row.codes)
            told = ", ".join(f"{found} {times}" for found, times in first.most_common()) or "none"
            named = f" ({code} is the cause)" if code else ""
            lines.append(f"| {fault}{named} | {len(some)} | {flagged} | {of.low:.2f}-{of.high:.2f} | {told} |")
    return "\n".join(lines)


def main() -> None:
    """Measures what is missing in the results file, and prints the table of all that it holds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, required=True, help="results; lines are added")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    given = parser.parse_args()
    lines = given.json.read_text().splitlines() if given.json.exists() else []
    rows = [Row(**{**line, "codes": tuple(line["codes"])}) for line in map(json.loads, lines)]
    done, began = {(row.kind, row.fault, row.seed) for row in rows}, time.monotonic()
    for seed, kind, fault in product(range(given.seeds), KINDS, FAULTS):
        if (kind, fault, seed) not in done and time.monotonic() - began < 60 * given.minutes:
            rows.append(measure(kind, fault, seed))
            with given.json.open("a") as results:
                results.write(json.dumps(asdict(rows[-1])) + "\n")
    print(page(rows), "\n\n" + machine("CPU", ("netwright", "torch")))


if __name__ == "__main__":
    main()
