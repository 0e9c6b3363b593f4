"""Data whose parts are unlike, or have holes, and their healthy twins."""

from dataclasses import replace

import numpy as np
import polars as pl

from netwright.checks.evidence import DataEvidence
from netwright.data.prepare import prepare
from netwright.data.read import read
from netwright.data.split import split


def _evidence(frame: pl.DataFrame, **options: str) -> DataEvidence:
    dataset = read(frame, target="bought", split=options.get("split", ""))
    parts = split(dataset, seed=0)
    return DataEvidence(dataset, parts, prepare(dataset, parts))


def people(rows: int = 900, seed: int = 0) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    age = generator.normal(40, 10, rows).round(1)
    city = generator.choice(["Bonn", "Jena", "Ulm"], rows)
    income = (age * 50 + generator.normal(0, 300, rows)).round(0)
    bought = np.where(income + generator.normal(0, 300, rows) > 2000, "yes", "no")
    part = np.repeat(["train", "valid", "test"], [rows - 2 * (rows // 4), rows // 4, rows // 4])
    return pl.DataFrame({"age": age, "city": city, "income": income, "bought": bought, "part": part})


def older_test_rows() -> DataEvidence:
    is_test = pl.col("part") == "test"
    return _evidence(people().with_columns(pl.col("age") + pl.when(is_test).then(12).otherwise(0)), split="part")


def alike() -> DataEvidence:
    return _evidence(people(), split="part")


def other_city() -> DataEvidence:
    new = people(500, seed=1).drop("bought", "part").with_columns(
        city=pl.when(pl.col("city") == "Ulm").then(pl.lit("Trier")).otherwise(pl.col("city"))
    )  # fmt: skip
    return replace(alike(), against=read(new))


def same_city() -> DataEvidence:
    return replace(alike(), against=read(people(500, seed=1).drop("bought", "part")))


def no_forties() -> DataEvidence:
    """No training row has an age from 42 to 50, and none is of Ulm."""
    frame = people(1200, seed=2)
    forties = pl.col("age").is_between(42, 50) | (pl.col("city") == "Ulm")
    return _evidence(frame.filter((pl.col("part") != "train") | ~forties), split="part")


def rows_of_test_in(city: str) -> tuple[int, ...]:
    dataset = no_forties().dataset
    found = (dataset.table["city"] == city) & (dataset.parts == "test")
    return tuple(found.arg_true())[:20]


def guessed_in_ulm(rows: int = 1600) -> DataEvidence:
    """Of Ulm, the label is a coin; elsewhere it follows the income."""
    frame = people(rows, seed=3).drop("part")
    coin = pl.Series(np.random.default_rng(4).choice(["yes", "no"], rows))
    return _evidence(frame.with_columns(bought=pl.when(pl.col("city") == "Ulm").then(coin).otherwise("bought")))


def equally_hard() -> DataEvidence:
    frame = people(1600, seed=3)
    generator = np.random.default_rng(5)
    sure = np.where(frame["city"] == "Jena", "yes", "no")
    coin = generator.choice(["yes", "no"], len(frame))
    return _evidence(frame.drop("part").with_columns(bought=np.where(generator.random(len(frame)) < 0.3, coin, sure)))


def too_few(rows: int = 400) -> DataEvidence:
    """Eight numbers that count alike, in a label that a forest learns slowly."""
    return _evidence(_ring(rows))


def enough() -> DataEvidence:
    frame = people(2000, seed=6)
    return _evidence(frame.drop("part").with_columns(bought=np.where(frame["age"] > 40, "yes", "no")))


def _ring(rows: int) -> pl.DataFrame:
    x = np.random.default_rng(7).normal(size=(rows, 8))
    table = {f"x{place}": x[:, place] for place in range(8)}
    return pl.DataFrame({**table, "bought": np.where(x.sum(1) > 0, "yes", "no")})


CASES = {
    "NW121": (older_test_rows, (), alike),
    "NW122": (other_city, (), same_city),
    "NW123": (no_forties, rows_of_test_in("Ulm"), alike),
    "NW124": (guessed_in_ulm, (), equally_hard),
    "NW129": (too_few, (), enough),
}
