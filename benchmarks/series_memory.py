"""Memory and time to read, cut and encode ten thousand series of a thousand steps, in a process of its own.

python benchmarks/series_memory.py [--series 10000] [--steps 1000]
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

SETTING = "forecasting:28,lags=56"
KNOWN = ("price",)


def main(words: Sequence[str] | None = None) -> None:
    """Writes the table, then reads it in a fresh process: the peak is of that one alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=1_000)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.write:
        write(options.write, options.series, options.steps)
    elif options.read:
        read(options.read)
    else:
        again = [sys.executable, __file__, "--series", str(options.series), "--steps", str(options.steps)]
        with tempfile.TemporaryDirectory() as folder:
            for stage in ("--write", "--read"):
                subprocess.run([*again, stage, str(Path(folder) / "sales.parquet")], check=True)


def write(path: Path, series: int, steps: int) -> None:
    """Daily sales of many stores, day by day, with a price that is known ahead, the weather, and the store's city."""
    import numpy as np
    import polars as pl

    generator = np.random.default_rng(0)
    days = np.datetime64("2020-01-01") + np.arange(steps)
    count = series * steps
    level = np.repeat(generator.gamma(2.0, 10.0, series), steps)
    table = {
        "store": np.repeat(np.char.mod("s%05d", np.arange(series)), steps),
        "day": np.tile(days, series),
        "units": generator.poisson(level).astype(np.float32),
        "price": generator.choice([1.0, 1.5, 2.0], count).astype(np.float32),
        "warm": generator.normal(15, 8, count).astype(np.float32),
        "city": np.repeat(generator.choice(["Ulm", "Jena", "Kiel"], series), steps),
    }
    pl.DataFrame(table).sort("day", "store").write_parquet(path)


def read(path: Path) -> None:
    """Prints the time and the peak of each stage."""

    from netwright.data.prepare import prepare
    from netwright.data.read import read_source
    from netwright.data.split import split
    from netwright.records.source import Source

    began = time.perf_counter()
    said = Source(path, ("units",), series="store", time="day", known=KNOWN, task=SETTING)

    def told(stage: str) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{stage:<28} {time.perf_counter() - began:6.1f} s   peak {peak:6,.0f} MB", flush=True)

    told("imports")
    dataset = read_source(said)
    told(f"{len(dataset):,} windows cut")
    parts = split(dataset, said)
    told("split")
    prepared = prepare(dataset, parts, said)
    told("learned and encoded")
    for number, _ in enumerate(prepared.train.batches(1024, seed=0)):
        if number == 100:
            break
    told("100 batches of 1,024")
    for note in prepared.notes:
        print(" ", note)


if __name__ == "__main__":
    main()
