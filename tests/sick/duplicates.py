"""Rows that come twice, and rows of one part that tell about another."""

import numpy as np
import polars as pl

from netwright.checks.evidence import DataEvidence
from netwright.data.prepare import prepare
from netwright.data.read import read
from netwright.data.split import split


def evidence(frame: pl.DataFrame, target: str = "y", **columns: str) -> DataEvidence:
    dataset = read(frame, target=target, split=columns.get("parts", ""))
    parts = split(dataset, group=columns.get("group", ""), by_time=columns.get("by_time", ""))
    return DataEvidence(dataset, parts, prepare(dataset, parts))


def numbers(rows: int = 400, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4))
    return pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": (x[:, 3] > 0).astype(int)})


def with_copies(copies: int = 20) -> DataEvidence:
    return evidence(pl.concat([numbers(), numbers()[:copies]]))


def with_slips(slips: int = 20) -> DataEvidence:
    frame = numbers()
    return evidence(pl.concat([frame, frame[:slips].with_columns(pl.col("b") + 1)]))


def grades(rows: int = 400) -> DataEvidence:
    rng = np.random.default_rng(0)
    return evidence(pl.DataFrame({name: rng.integers(0, 4, rows) for name in "abcy"}))


def leaking(copies: int = 20) -> DataEvidence:
    frame = numbers().with_columns(part=pl.Series(["train"] * 250 + ["valid"] * 50 + ["test"] * 100))
    again = frame[:copies].with_columns(part=pl.lit("test"))
    return evidence(pl.concat([frame, again]), parts="part")


CASES = {
    "NW127": (leaking, tuple(range(400, 420)), lambda: leaking(0)),
    "NW170": (with_copies, (), grades),
    "NW171": (with_slips, (), grades),
}
