"""Planted copies across parts, found or not: python benchmarks/duplicates.py --data FOLDER [--images 60000] > page.md

FOLDER holds fashion-mnist/ (the four idx files), telescope.csv and movie_reviews.csv. Each change is made of other
rows; the copies are put behind the data, as rows of the test part whose originals train. What is flagged beside them
counts against precision, also where it is a true copy that the data hold: the clean controls say how many there are.
"""

import argparse
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image
from torch import get_num_threads, set_num_threads

from machine import machine, processor
from netwright.checks.data.leaks import leaks
from netwright.checks.evidence import DataEvidence
from netwright.data.prepare import prepare
from netwright.data.read import read
from netwright.data.split import split
from netwright.statistics import share

SHARE = 0.01  # of the rows that get a copy, for each change
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Found:
    """One kind of data with its planted copies."""

    data: str
    rows: int
    planted: dict[str, int]
    found: dict[str, int]
    others: int  # test rows flagged that were not planted
    clean: int  # test rows flagged without any planted
    seconds: float


def main() -> None:
    """Prints a page of markdown."""
    words = argparse.ArgumentParser(description="Planted duplicates across parts.")
    words.add_argument("--data", type=Path, required=True)
    words.add_argument("--images", type=int, default=60_000)
    words.add_argument("--threads", type=int, default=2)
    words.add_argument("--seed", type=int, default=0)
    said = words.parse_args()
    set_num_threads(said.threads)
    results = [case(said.data, said.seed) for case in (_table, _texts)]
    print(page([*results, _pictures(said.data, said.images, said.seed)]))


def page(results: list[Found]) -> str:
    """Recall of each change and precision of all, with Wilson 95 % intervals."""
    lines = ["| data | rows | change | planted | recall |", "| --- | --- | --- | --- | --- |"]
    for r in results:
        for change, count in r.planted.items():
            lines.append(f"| {r.data} | {r.rows:,} | {change} | {count} | {share(r.found[change], count):.3f} |")
    lines += [
        "",
        "| data | precision | flagged beside | flagged in clean data | seconds |",
        "| --- | --- | --- | --- | --- |",
    ]
    for r in results:
        hits = sum(r.found.values())
        lines.append(f"| {r.data} | {share(hits, hits + r.others):.3f} | {r.others} | {r.clean} | {r.seconds:.1f} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    about = machine(processor(get_num_threads()), ("netwright", "torch", "polars", "numpy"))
    return "\n".join([*lines, "", f"Peak memory {peak:.2f} GiB, data and planting included. {about}."])


def _measured(name: str, frame: pl.DataFrame, copies: dict[str, pl.DataFrame], target: str, seed: int) -> Found:
    clean = _evidence(frame, 0, target, seed)
    flagged = len(leaks(clean).test)
    planted = pl.concat([frame, *copies.values()])
    evidence = _evidence(planted, len(planted) - len(frame), target, seed)
    began = time.perf_counter()
    test = leaks(evidence).test
    seconds = time.perf_counter() - began
    found, start = dict[str, int](), len(frame)
    for change, rows in copies.items():
        found[change] = int(((test >= start) & (test < start + len(rows))).sum())
        start += len(rows)
    others = int((test < len(frame)).sum())
    return Found(name, len(planted), {k: len(v) for k, v in copies.items()}, found, others, flagged, seconds)


def _evidence(frame: pl.DataFrame, planted: int, target: str, seed: int) -> DataEvidence:
    """The last rows are of the test part, and a sixth of the others from the end; originals are taken before that."""
    own = len(frame) - planted
    parts = ["train"] * (own - own // 6 - own // 12) + ["valid"] * (own // 12) + ["test"] * (own // 6 + planted)
    dataset = read(frame.with_columns(part=pl.Series(parts)), target=target, split="part")
    rows = split(dataset, seed=seed)
    return DataEvidence(dataset, rows, prepare(dataset, rows), seed=seed)


def _originals(count: int, changes: int, seed: int) -> NDArray[np.int64]:
    """(changes, rows): other training rows for each change."""
    each = max(1, int(SHARE * count))
    return np.random.default_rng(seed).permutation(int(count * 0.7))[: each * changes].reshape(changes, each)


def _table(data: Path, seed: int) -> Found:
    frame = pl.read_csv(data / "telescope.csv")
    frame = frame.sample(fraction=1, shuffle=True, seed=seed)
    rng = np.random.default_rng(seed)
    exact, cell = (frame[rows] for rows in _originals(len(frame), 2, seed))
    changed = cell.with_columns(pl.Series("fDist", cell["fDist"].to_numpy() * rng.uniform(0.5, 1.5, len(cell))))
    return _measured("telescope", frame, {"exact": exact, "one cell changed": changed}, "Class", seed)


def _texts(data: Path, seed: int) -> Found:
    frame = (
        pl.read_csv(data / "movie_reviews.csv").select("text", "sentiment").sample(fraction=1, shuffle=True, seed=seed)
    )
    exact, case, word = (frame[rows] for rows in _originals(len(frame), 3, seed))
    copies = {
        "exact": exact,
        "upper case": case.with_columns(pl.col("text").str.to_uppercase()),
        "a word changed": word.with_columns(pl.Series("text", [_edited(text) for text in word["text"]])),
    }
    return _measured("movie_reviews", frame, copies, "sentiment", seed)


def _edited(text: str) -> str:
    words = text.split()
    words[len(words) // 2] = "changed"
    return " ".join(words)


def _pictures(data: Path, count: int, seed: int) -> Found:
    dataset = read(data / "fashion-mnist")
    name, label = dataset.inputs[0], dataset.targets[0]
    frame = dataset.table.head(count).select(name, label)
    pictures = np.array(frame[name].to_numpy()).reshape(count, 28, 28)
    rng = np.random.default_rng(seed)
    changes: dict[str, Callable[[Bytes], Bytes]] = {
        "exact": lambda x: x,
        "mirrored": lambda x: x[:, ::-1],
        "moved by 1": lambda x: _moved(x, 1, rng),
        "moved by 2": lambda x: _moved(x, 2, rng),
        "brightness": lambda x: (
            (x * rng.uniform(0.7, 1.3) + rng.uniform(-20, 20)).clip(0, 255).round().astype(np.uint8)
        ),
        "JPEG 90": lambda x: _saved(x, 90),
        "JPEG 75": lambda x: _saved(x, 75),
    }
    copies = dict[str, pl.DataFrame]()
    for (change, make), rows in zip(changes.items(), _originals(count, len(changes), seed), strict=True):
        made = np.stack([make(pictures[row]) for row in rows])
        copies[change] = pl.DataFrame({name: pl.Series(made).cast(frame[name].dtype), label: frame[label][rows]})
    return _measured("Fashion-MNIST", frame, copies, label, seed)


def _moved(picture: Bytes, by: int, rng: np.random.Generator) -> Bytes:
    """By so many pixels in one of eight directions; black comes in."""
    down, right = ((-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (1, 1), (-1, 1), (1, -1))[rng.integers(8)]
    height, width = picture.shape
    wide = np.pad(picture, by)
    return wide[by + by * down : by + by * down + height, by + by * right : by + by * right + width]


def _saved(picture: Bytes, quality: int) -> Bytes:
    file = BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


if __name__ == "__main__":
    main()
