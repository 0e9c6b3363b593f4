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


CASES = {
    "NW121": (older_test_rows, (), alike),
    "NW122": (other_city, (), same_city),
}
