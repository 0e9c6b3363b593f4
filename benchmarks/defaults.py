"""Trains netwright's defaults, and the simple models beside them, on public data and prints the page of results.

    python benchmarks/defaults.py --data FOLDER --json results.jsonl > defaults.md

Every measured row is written at once, so that a run that was cut short goes on where it ended; several files are one
result when they are put behind each other. Progress goes to standard error, the page to standard output.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import polars as pl
import torch
from page import Measured, table
from public_data import CASES, Case

import netwright as nw
import simple_models
from machine import machine, processor

NETWRIGHT = "netwright"
PART = "benchmark_part"  # the column that tells netwright the training and the test rows

PAGE = """## The defaults against simple models

Made by

    {command}

on {machine}.

Every network was trained with netwright's defaults{settings}. The program chooses them by the kind of the columns and
the number of rows, never by the name of the data. Their values, however, were found by trials that were scored on test
rows of these data sets: the scores are optimistic, and the notes below the table say how. Networks and simple models
got the same training rows and the same test rows. The part that early stopping watches was cut from the training rows;
scalers, vocabularies and categories were learned from training rows only.

- **Splits.** Data with fewer than 2,000 rows: 5-fold cross validation, the seed deals the rows. Fashion-MNIST and
  JapaneseVowels: the training and test parts that they came with. The others: 80 % training and 20 % test rows,
  stratified, dealt by the seed.
- **Mean ± sd** over {seeds} seeds, of the split and of the network. Where a simple model has no sd, each seed gave it
  the same value.
- **95 % interval** of the mean: the bootstrap over test rows and the variance between seeds together.
- **Bar**: a number, or the simple model named beside it. *Within the interval* says that the mean misses the bar but
  the interval holds it. Only *no* is a miss that the data can show.
- **Parameters, epochs and seconds** are means over trainings; seconds include the scoring of the test part.

{table}

{notes}"""


def main() -> None:
    """Measures what is not in the results file yet, then prints the page."""
    options = _options()
    torch.set_num_threads(options.threads)
    cases = [case for case in CASES if not options.only or case.name in options.only]
    done = _read(options.json)
    settings = json.dumps(dict(pair.split("=", 1) for pair in options.set), sort_keys=True)
    if not options.page_only:
        for row in _measure(cases, options, done, settings):
            done.append(row)
            if options.json:
                with options.json.open("a") as file:
                    file.write(json.dumps(asdict(row)) + "\n")
            print(_line(row), file=sys.stderr, flush=True)
    shown = [row for row in done if row.settings in ("{}", settings) or row.model != NETWRIGHT]
    print(_page(cases, shown, options, settings))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the public files")
    parser.add_argument("--only", type=lambda text: text.split(","), help="data sets: adult,heart")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file of results, a line for each training; continued where it ended")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting other than default")
    parser.add_argument("--simple-only", action="store_true", help="measure the simple models alone")
    parser.add_argument("--page-only", action="store_true", help="measure nothing, print the page of --json")
    return parser.parse_args()


def _measure(cases: list[Case], options: argparse.Namespace, done: list[Measured], settings: str) -> Iterator[Measured]:
    """All rows that are not done: the simple models first, they are cheap."""
    known = {(row.data, row.model, row.settings, row.seed, row.fold) for row in done}
    for case in cases:
        frame = case.load(options.data)
        wanted = [(name, "{}") for name in case.simple]
        wanted += [] if options.simple_only else [(NETWRIGHT, settings)]
        for model, changes in wanted:
            for seed in range(options.seeds):
                for fold, (train, test) in enumerate(case.splits(frame, seed)):
                    if (case.name, model, changes, seed, fold) not in known:
                        yield _one(case, model, changes, seed, fold, train, test)


def _one(
    case: Case, model: str, changes: str, seed: int, fold: int, train: pl.DataFrame, test: pl.DataFrame
) -> Measured:
    start = time.perf_counter()
    parameters, epochs, halves = 0, 0, {}
    if model == NETWRIGHT:
        parts = pl.Series(PART, ["train"] * train.height + ["test"] * test.height)
        rows = pl.concat([train, test]).with_columns(parts)
        run = nw.train(rows, target=case.target, split=PART, settings={**json.loads(changes), "seed": seed})
        values = {metric.name: metric.value for metric in run.scores.metrics}
        halves = {metric.name: (metric.high - metric.low) / 2 for metric in run.scores.metrics}
        parameters = sum(weights.numel() for weights in run.network.parameters())
        epochs = len(run.history.epochs)
    else:
        values = simple_models.score(simple_models.MODELS[model], train, test, case.target, seed)
    seconds = time.perf_counter() - start
    return Measured(
        case.name, model, changes, seed, fold, train.height, test.height, seconds, parameters, epochs, values, halves
    )


def _read(file: Path | None) -> list[Measured]:
    if file is None or not file.exists():
        return []
    return [Measured(**json.loads(line)) for line in file.read_text().splitlines()]


def _line(row: Measured) -> str:
    values = "  ".join(f"{name} {value:.4f}" for name, value in row.values.items())
    return f"{row.data:15} {row.model:18} seed {row.seed} fold {row.fold} {row.seconds:7.1f} s  {values}"


def _page(cases: list[Case], measured: list[Measured], options: argparse.Namespace, settings: str) -> str:
    return PAGE.format(
        command="python benchmarks/defaults.py --data FOLDER --json results.jsonl > defaults.md",
        machine=_machine(options.threads),
        notes=(Path(__file__).parent / "notes.md").read_text(encoding="utf-8"),
        settings="" if settings == "{}" else f" but for the settings {settings}",
        seeds=options.seeds,
        table=table(cases, measured),
    )


def _machine(threads: int) -> str:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else processor(threads)
    return machine(device, ("netwright", "torch", "scikit-learn", "polars"))


if __name__ == "__main__":
    main()
