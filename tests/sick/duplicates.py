"""Rows that come twice, and rows of one part that tell about another."""

import numpy as np
import polars as pl

from netwright.checks.evidence import DataEvidence
from netwright.data.prepare import prepare
from netwright.data.read import read
from netwright.data.split import split
from netwright.records.source import Source


def evidence(frame: pl.DataFrame, target: str = "y", **columns: str) -> DataEvidence:
    dataset = read(frame, target=target, split=columns.get("parts", ""))
    parts = split(dataset, Source(group=columns.get("group", ""), by_time=columns.get("by_time", "")))
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


def patients(is_known: bool = True) -> DataEvidence:
    """Four visits of each patient: the same person, and the same illness or one drawn anew."""
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(100), 4)
    body = rng.normal(size=(100, 3))[who] + 0.3 * rng.normal(size=(400, 3))
    ill = (rng.random(100) < 0.5)[who] if is_known else rng.random(400) < 0.5
    columns = {"patient": [f"p{n}" for n in who], "a": body[:, 0], "b": body[:, 1], "c": body[:, 2], "y": ill}
    return evidence(pl.DataFrame(columns)[rng.permutation(400).tolist()])


def towns() -> DataEvidence:
    """People of fifty towns, who earn differently but are no more alike than others."""
    rng = np.random.default_rng(0)
    town = rng.integers(0, 50, 1000)
    x = rng.normal(size=(1000, 2))
    pay = x[:, 0] + rng.normal(size=50)[town] + 0.5 * rng.normal(size=1000)
    return evidence(pl.DataFrame({"town": [f"t{n}" for n in town], "a": x[:, 0], "b": x[:, 1], "y": pay}))


def hours(by_time: str = "", *, is_smooth: bool = True) -> DataEvidence:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=600)
    walk = np.array([noise[max(0, n - 30) : n + 1].sum() for n in range(600)]) if is_smooth else noise
    start = np.datetime64("2020-01-01T00", "h")
    when = (start + np.arange(600)).astype("datetime64[us]")
    frame = pl.DataFrame({"when": when, "a": rng.normal(size=600), "y": walk})
    return evidence(frame, by_time=by_time)


CASES = {
    "NW125": (hours, (), lambda: hours("when")),
    "NW126": (patients, (), towns),
    "NW127": (leaking, tuple(range(400, 420)), lambda: leaking(0)),
    "NW170": (with_copies, (), grades),
    "NW171": (with_slips, (), grades),
}
