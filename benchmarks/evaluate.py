"""Peak memory of `netwright evaluate` on tables of growing size: python -m benchmarks.evaluate [--rows N ...]

Each evaluation is a process of its own, on a run that was trained on 2,000 rows of five columns with two classes.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from benchmarks.speed.measure import conditions, table

COMMAND = "import sys; from netwright.cli import main; main()"
SMALL = ("--set", "epochs=2", "--set", "width=8", "--set", "depth=1", "--no-audit", "--no-diagnose")


def rows_of(count: int) -> pl.DataFrame:
    """Four numbers, a town, and a label that follows from two of them."""
    chance = np.random.default_rng(count)
    numbers = {f"x{k}": chance.random(count).round(4) for k in range(4)}
    label = np.where(numbers["x0"] + numbers["x1"] > 1, "yes", "no")
    return pl.DataFrame({**numbers, "town": chance.choice(["Bonn", "Oslo", "Rome"], count), "y": label})


def peak(folder: Path, *words: str) -> float:
    """Megabytes that one command took."""
    code = (
        "import resource, subprocess, sys; r = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(r.returncode)"
    )
    command = [sys.executable, "-c", code, sys.executable, "-c", COMMAND, *words, "--quiet"]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout) / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    """Prints a line for each size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", nargs="+", type=int, default=[200_000, 2_000_000, 4_000_000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows_of(2_000).write_csv(folder / "train.csv")
        peak(folder, "train", "train.csv", "-t", "y", "--run", "run", *SMALL)
        lines = list[tuple[str, str]]()
        for count in options.rows:
            rows_of(count).write_csv(folder / "new.csv")
            lines.append((f"{count:,}", f"{peak(folder, 'evaluate', 'run', 'new.csv'):.0f}"))
    print(table(("rows", "peak MB"), lines))
    print("\n" + conditions(1, ("netwright", "torch", "polars")))


if __name__ == "__main__":
    main()
