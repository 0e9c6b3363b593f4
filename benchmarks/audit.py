"""What an audit costs, check by check: python -m benchmarks.audit --data FOLDER [--only images,table,fast] > page.md

FOLDER holds fashion-mnist/ (the four idx files), adult.csv and heart.csv; the large table is made here. Each audit has
a process of its own, so that its peak memory is its own. Seconds are those of the processor, of all threads together:
on a machine with other work they are what is comparable. `fast` is the audit inside a training, beside that training
(of one epoch for pictures, which is said).
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.speed.measure import conditions, table

ROWS = 1_000_000  # of the large table
SHOWN = 8  # checks of an audit, the dearest ones
LEAST = 0.005  # seconds, below which a check is not listed
BARS = {
    "images": "120 s on two cores beside the training of the quick model",
    "table": "60 s and 4 GiB",
    "fast": "5 % of the training",
}
FAST = {"heart.csv": "target", "adult.csv": "income", "fashion-mnist": ""}  # and their targets


@dataclass(frozen=True)
class Audited:
    """One audit in a process of its own."""

    data: str
    rows: int
    checks: dict[str, float]  # seconds of the processor, of each check that was made
    skipped: int  # checks that could not judge
    prepared: float  # seconds of the processor to read, split and encode
    audited: float  # seconds of the processor, of all checks
    quick: float  # of these in the checks that train models
    wall: float  # seconds of all checks
    peak: float  # GiB, the most that the process had in memory
    trained: float = 0.0  # seconds of the processor of the training beside it


def main() -> None:
    """Prints a page of markdown, or a line of JSON for each audit."""
    words = argparse.ArgumentParser(description="Seconds and memory of audits.")
    words.add_argument("--data", type=Path, required=True)
    words.add_argument("--only", default=",".join(BARS))
    words.add_argument("--threads", type=int, default=2)
    words.add_argument("--rounds", type=int, default=3, help="of fast audits of tables; the others are made once")
    words.add_argument("--json", action="store_true")
    words.add_argument("--one", nargs=2, metavar=("PATH", "TARGET"), help=argparse.SUPPRESS)  # in the child
    words.add_argument("--fast", action="store_true", help=argparse.SUPPRESS)
    said = words.parse_args()
    if said.one:
        print(json.dumps(asdict(_measured(Path(said.one[0]), said.one[1], is_fast=said.fast))))
        return
    found = dict[str, list[Audited]]()
    for part in said.only.split(","):
        found[part] = []
        for audited in _audits(part, said.data, said.threads, said.rounds):
            found[part].append(audited)
            if said.json:
                print(json.dumps({"part": part, **asdict(audited)}), flush=True)
    if not said.json:
        print(page(found, said.threads))


def page(found: dict[str, list[Audited]], threads: int) -> str:
    """A table of the audits of each part, and the dearest checks of each kind of data."""
    lines = list[str]()
    for part, audits in found.items():
        lines += [f"Bar of {part}: {BARS[part]}.", "", table(_HEAD, map(_row, audits)), ""]
        for audit in {audit.data: audit for audit in audits}.values():
            dear = sorted(audit.checks.items(), key=lambda item: -item[1])[:SHOWN]
            told = ", ".join(f"{check} {seconds:.2f} s" for check, seconds in dear if seconds >= LEAST)
            lines += [f"{audit.data}: {told}.", ""]
    return "\n".join([*lines, conditions(threads, ("netwright", "torch", "polars", "numpy", "scikit-learn"))])


_HEAD = (
    "data", "rows", "checks", "read and encode, CPU s", "checks, CPU s", "of these with models", "checks, wall s",
    "peak GiB", "training, CPU s", "share of the training",
)  # fmt: skip


def _row(audit: Audited) -> tuple[object, ...]:
    beside = (f"{audit.trained:.1f}", f"{audit.audited / audit.trained:.1%}") if audit.trained else ("", "")
    seconds = (f"{value:.2f}" for value in (audit.prepared, audit.audited, audit.quick, audit.wall, audit.peak))
    return (audit.data, f"{audit.rows:,}", len(audit.checks), *seconds, *beside)


def _audits(part: str, data: Path, threads: int, rounds: int) -> Iterator[Audited]:
    if part == "images":
        yield _in_child(data / "fashion-mnist", "", threads)
    elif part == "table":
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"{ROWS}-rows.csv"
            _in_python("from benchmarks.audit import write_table; import sys; write_table(sys.argv[1])", str(path))
            yield _in_child(path, "target", threads)
    else:
        for name, target in FAST.items():
            for _ in range(rounds if target else 1):
                yield _in_child(data / name, target, threads, "--fast")


def _in_child(path: Path, target: str, threads: int, *more: str) -> Audited:
    said = ("-m", "benchmarks.audit", "--data", str(path.parent), "--one", str(path), target, *more)
    return Audited(**json.loads(_run(said, threads).splitlines()[-1]))


def _in_python(code: str, argument: str) -> None:
    """In a process of its own: a child's peak may count the memory of the process that started it."""
    _run(("-c", code, argument), 1)


def _run(words: tuple[str, ...], threads: int) -> str:
    counts = dict.fromkeys(("OMP_NUM_THREADS", "POLARS_MAX_THREADS"), str(threads))
    said = subprocess.run([sys.executable, *words], env={**os.environ, **counts}, stdout=subprocess.PIPE, check=True)
    return said.stdout.decode()


def write_table(path: str) -> None:
    """Healthy rows of 20 columns: numbers with gaps, counts, categories, a date and a target of two classes."""
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(0)
    numbers = {f"number {n}": rng.normal(n, n + 1, ROWS).round(4) for n in range(12)}
    counts = {f"count {n}": rng.poisson(20 * (n + 1), ROWS) for n in range(3)}
    words = {
        f"word {n}": np.array([f"value {v}" for v in range(10 * (n + 1))])[rng.integers(0, 10 * (n + 1), ROWS)]
        for n in range(3)
    }
    when = np.datetime64("2020-01-01") + rng.integers(0, 1000, ROWS).astype("timedelta64[D]")
    noisy = numbers["number 0"] + numbers["number 1"] / 2 + rng.normal(size=ROWS)
    frame = pl.DataFrame({**numbers, **counts, **words, "when": when, "target": np.where(noisy > 0.5, "yes", "no")})
    gaps = pl.Series(rng.random(ROWS) < 0.02)
    frame.with_columns(pl.when(~gaps).then("number 11").alias("number 11")).write_csv(path)


def _measured(path: Path, target: str, *, is_fast: bool) -> Audited:
    """As `netwright.audit` makes it, timed by the processor's clock; then, if fast, the training that it is part of."""
    from netwright import train
    from netwright.checks import DATA_CHECKS, MODEL_CHECKS
    from netwright.checks.evidence import DataEvidence, examine
    from netwright.data.prepare import prepare
    from netwright.data.read import read
    from netwright.data.split import split
    from netwright.machine.device import prepare_device

    began = time.process_time()
    dataset = read(path, target=target or ())
    parts = split(dataset)
    evidence = DataEvidence(dataset, parts, prepare(dataset, parts), is_fast=is_fast)
    prepared, started, wall = time.process_time() - began, time.process_time(), time.perf_counter()
    with prepare_device():
        report = examine(evidence, DATA_CHECKS if is_fast else {**DATA_CHECKS, **MODEL_CHECKS}, time.process_time)
    made = {check.code: check.seconds for check in report.checks if not check.skipped}
    found = Audited(
        path.name,
        report.count,
        made,
        len(report.checks) - len(made),
        prepared,
        time.process_time() - started,
        sum(seconds for code, seconds in made.items() if code in MODEL_CHECKS),
        time.perf_counter() - wall,
        _peak(),
    )
    if not is_fast:
        return found
    started = time.process_time()
    train(path, target=target or (), audit=False, settings={} if target else {"epochs": 1})
    return replace(found, trained=time.process_time() - started)


def _peak() -> float:
    """GiB of this process alone; `ru_maxrss` may be that of the process that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**20
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)


if __name__ == "__main__":
    main()
