"""Drift that is not there, drift and holes that are: how often each is told.

python benchmarks/drift.py --data FOLDER [--repeats 200] [--out drift.jsonl] prints a table in markdown; measured cases
are kept in --out, and a second run goes on from there.
"""

import argparse
import json
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from netwright.checks.data.coverage import few_rows
from netwright.checks.data.drift import SIDE, compare
from netwright.checks.data.encoded import summaries
from netwright.checks.evidence import DataEvidence
from netwright.data.prepare import prepare
from netwright.data.read import read
from netwright.data.split import split
from netwright.records.features import Summary, take
from netwright.statistics import share

TEST = 0.2  # of the rows are the other side
SIZES = {500: 1.0, 5_000: 1.0, 50_000: 0.25}  # rows: share of the repeats
PLANTED_ROWS = 5_000
PLANTED_REPEATS = 0.1  # of --repeats, at least 5
TROUSERS = 1  # the class of Fashion-MNIST with a long axis

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Case:
    """One way to make two sides, and what to say of them: a claim by name, true or false."""

    name: str
    repeats: int
    measure: Callable[[int], dict[str, bool]]


def main() -> None:
    """Measures what is not yet in --out, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("drift.jsonl"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    done = {(row["case"], row["seed"]): row["claims"] for row in found}
    print(f"{platform.machine()}, one thread, torch {torch.__version__}\n")
    print("| case | claim | n | told | 95 % |\n| --- | --- | --- | --- | --- |")
    with options.out.open("a") as out:
        for case in cases(options.data, options.repeats):
            for seed in range(case.repeats):
                if (case.name, seed) not in done:
                    done[case.name, seed] = case.measure(seed)
                    out.write(json.dumps({"case": case.name, "seed": seed, "claims": done[case.name, seed]}) + "\n")
                    out.flush()
            rows = [done[case.name, seed] for seed in range(case.repeats)]
            for claim in rows[0]:
                rate = share(sum(row[claim] for row in rows), len(rows))
                print(
                    f"| {case.name} | {claim} | {len(rows)} | {rate.value:.1%} | {rate.low:.1%} to {rate.high:.1%} |",
                    flush=True,
                )


def cases(folder: Path, repeats: int) -> list[Case]:
    """All of them."""
    few = max(5, round(repeats * PLANTED_REPEATS))
    telescope, adult = encoded(folder / "telescope.csv", "Class"), encoded(folder / "adult.csv", "income")
    pictures, made = encoded(folder / "fashion-mnist", ""), invented(60_000)
    found = [
        Case(f"no drift, {name}, {size:,} rows", max(5, round(repeats * part)), nothing(columns, size))
        for size, part in SIZES.items()
        for name, columns in (("15 columns", made), ("telescope", telescope), ("adult", adult), ("pictures", pictures))
        if len(columns[0].values) >= size
    ]
    for spreads in (0.25, 0.5, 1.0, 2.0):
        plant = shifted("fAlpha", spreads)
        found.append(Case(f"fAlpha moved by {spreads} spreads", few, planted(telescope, "fAlpha", plant)))
    for part in (0.1, 0.2, 0.4, 0.8):
        plant = swapped("occupation", part)
        found.append(Case(f"{part:.0%} of occupations become one", few, planted(adult, "occupation", plant)))
    for light in (0.05, 0.1, 0.2, 0.4):
        found.append(Case(f"pictures darker by {light:.0%}", few, planted(pictures, "image", dimmed(light))))
    table = pl.read_csv(folder / "telescope.csv")
    for part in (0.0, 0.05, 0.1, 0.2):
        found.append(Case(f"a range of {part:.0%} of fDist absent from training", few, hole(table, "fDist", part)))
    people = pl.read_csv(folder / "adult.csv")
    for value in ("", "Sales", "Farming-fishing", "Protective-serv"):
        found.append(Case(f"occupation {value or 'none'} absent from training", few, dropped(people, value)))
    trousers = of_class(folder, TROUSERS)
    for width in (0, 10, 20, 40):
        found.append(Case(f"trousers turned by {width} degrees absent from training", few, turned(trousers, width)))
    return found


def encoded(path: Path, target: str) -> list[Summary]:
    """Summaries of all rows, of the training schema."""
    dataset = read(path, target=target or ())
    prepared = prepare(dataset, split(dataset))
    return summaries(prepared.schema, prepared.whole, np.arange(len(dataset)))


def invented(rows: int) -> list[Summary]:
    """Ten normal numbers and five categories that depend on nothing."""
    generator = np.random.default_rng(0)
    numbers = [Summary(f"x{i}", f"x{i}", generator.normal(size=rows).astype(np.float32)) for i in range(10)]
    names = tuple("abcdefgh")
    return [*numbers, *(Summary(f"c{i}", f"c{i}", generator.integers(0, 8, rows), names) for i in range(5))]


def sides(columns: list[Summary], rows: int, seed: int) -> tuple[list[Summary], list[Summary]]:
    """Two sides of `rows` rows drawn without return, at most SIDE of each as the check takes them."""
    order = np.random.default_rng(seed).permutation(len(columns[0].values))[:rows]
    cut = round(rows * TEST)
    return take(columns, order[cut:][:SIDE]), take(columns, order[:cut][:SIDE])


def nothing(columns: list[Summary], rows: int) -> Callable[[int], dict[str, bool]]:
    """Both sides are drawn alike."""

    def measure(seed: int) -> dict[str, bool]:
        drift = compare(*sides(columns, rows, seed), seed)
        return {
            "95 % interval without 0.5": drift.auroc.low > 0.5 or drift.auroc.high < 0.5,
            "finding": drift.is_clear,
        }

    return measure


Plant = Callable[[Summary, np.random.Generator], Summary]


def planted(columns: list[Summary], column: str, plant: Plant) -> Callable[[int], dict[str, bool]]:
    """The other side is changed; is it found, and is the column named?"""

    def measure(seed: int) -> dict[str, bool]:
        old, new = sides(columns, PLANTED_ROWS, seed)
        generator = np.random.default_rng(seed)
        drift = compare(old, [plant(c, generator) for c in new], seed)
        named = bool(drift.moved) and drift.moved[0].column == column
        return {"AUROC interval above 0.5": drift.auroc.low > 0.5, "finding": drift.is_clear, "column named": named}

    return measure


def shifted(name: str, spreads: float) -> Plant:
    """A number moved by some standard deviations."""
    return lambda c, _: replace(c, values=c.values + spreads * c.values.std()) if c.name == name else c


def dimmed(by: float) -> Plant:
    """Pictures lose a share of their light: brightness, contrast and the coarse grid do."""
    lit = ("brightness of image", "contrast of image", "")
    return lambda c, _: replace(c, values=c.values * (1 - by)) if c.name in lit else c


def swapped(name: str, part: float) -> Plant:
    """A share of cells becomes the second most frequent value."""

    def plant(column: Summary, generator: np.random.Generator) -> Summary:
        if column.name != name:
            return column
        return replace(column, values=np.where(generator.random(len(column.values)) < part, 3, column.values))

    return plant


def evidence(frame: pl.DataFrame, gone: NDArray[np.bool_], seed: int, target: str) -> DataEvidence:
    """A fifth of the rows are the test part; of the others those that are to be absent go to no part at all."""
    dataset = read(frame, target=target)
    parts = split(dataset, seed=seed)
    parts = replace(parts, train=parts.train[~gone[parts.train]], valid=parts.valid[~gone[parts.valid]])
    return DataEvidence(dataset, parts, prepare(dataset, parts), seed=seed)


def told(data: DataEvidence, column: str, gone: NDArray[np.bool_]) -> dict[str, bool]:
    """Whether rows that training lacks are found, and their column named; and whether anything else is."""
    findings = [f for f in few_rows(data) if f.severity != "note"]
    right = [f for f in findings if f.columns == (column,) and f.rows and gone[list(f.rows)].mean() > 0.5]
    return {"found and named": bool(right), "other findings": len(right) < len(findings)}


def hole(frame: pl.DataFrame, column: str, part: float) -> Callable[[int], dict[str, bool]]:
    """Rows with a number between two quantiles are absent from training."""

    def measure(seed: int) -> dict[str, bool]:
        start = np.random.default_rng(seed).uniform(0, 1 - part)
        low, high = np.quantile(frame[column].to_numpy(), [start, start + part])
        gone = frame[column].is_between(low, high).to_numpy() & (part > 0)
        return told(evidence(frame, gone, seed, "Class"), column, gone)

    return measure


def dropped(frame: pl.DataFrame, value: str) -> Callable[[int], dict[str, bool]]:
    """Rows with a value are absent from training."""
    gone = (frame["occupation"].str.strip_chars() == value).fill_null(False).to_numpy()
    return lambda seed: told(evidence(frame, gone, seed, "income"), "occupation", gone)


def of_class(folder: Path, wanted: int) -> torch.Tensor:
    """Pictures of one class, (N, 1, 28, 28) float."""
    dataset = read(folder / "fashion-mnist")
    prepared = prepare(dataset, split(dataset))
    return prepared.whole.column(0)[prepared.whole.targets()[0] == wanted].float()


def turned(pictures: torch.Tensor, width: int) -> Callable[[int], dict[str, bool]]:
    """Pictures turned by -60 to 60 degrees; those between some degrees are absent from training."""

    def measure(seed: int) -> dict[str, bool]:
        generator = np.random.default_rng(seed)
        degrees = generator.uniform(-60, 60, len(pictures))
        start = generator.uniform(-60, 60 - width)
        gone = (degrees >= start) & (degrees < start + width)
        angle = torch.from_numpy(np.deg2rad(degrees)).float()
        cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
        matrix = torch.stack([torch.stack([cos, -sin, zero], 1), torch.stack([sin, cos, zero], 1)], 1)
        grid = F.affine_grid(matrix, list(pictures.shape), align_corners=False)
        images = F.grid_sample(pictures, grid, align_corners=False)[:, 0].round().to(torch.uint8).numpy()
        labels = generator.integers(0, 2, len(images)).astype(str)
        frame = pl.DataFrame({"image": images, "label": labels})
        return told(evidence(frame, gone, seed, "label"), "image", gone)

    return measure


if __name__ == "__main__":
    main()
