"""Tables with one known fault of their columns each, and healthy twins."""

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import polars as pl

from netwright.checks.evidence import DataEvidence
from netwright.data.prepare import prepare
from netwright.data.read import read
from netwright.data.split import split

ROWS = 600


def healthy(seed: int = 0, *, count: int = ROWS, number: bool = False) -> pl.DataFrame:
    """Honest columns of several sorts, and a target that depends on them with noise."""
    random = np.random.default_rng(seed)
    size = random.normal(170, 10, count)
    income = np.exp(random.normal(10, 0.6, count))
    answer = 0.1 * (size - 170) + np.log(income) - 10 + random.normal(0, 0.7, count)
    return pl.DataFrame(
        {
            "size": size.round(1),
            "weight": (size * 0.45 + random.normal(0, 6, count)).round(1),
            "income": income.round(2),
            "visits": random.poisson(3, count),
            "town": random.choice(["Oslo", "Bergen", "Trondheim", "Stavanger"], count),
            "joined": [date(2015, 1, 1) + timedelta(days=int(d)) for d in random.integers(0, 2000, count)],
            "target": answer if number else np.where(answer > 0, "yes", "no"),
        }
    )


def evidence(frame: pl.DataFrame, target: str = "target") -> DataEvidence:
    """As `audit` makes it."""
    dataset = read(frame, target=target)
    parts = split(dataset)
    return DataEvidence(dataset, parts, prepare(dataset, parts))


def case(fault: Callable[[pl.DataFrame], pl.DataFrame], rows: tuple[int, ...] = (), *, number: bool = False):
    """A sick table, the rows that must be found, and the table without the fault."""

    def sick() -> DataEvidence:
        return evidence(fault(healthy(number=number)))

    return sick, rows, lambda: evidence(healthy(number=number))


def put(name: str, rows: tuple[int, ...], value: object) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Sets cells of a column to a value."""

    def fault(frame: pl.DataFrame) -> pl.DataFrame:
        cells = frame[name].cast(pl.String) if isinstance(value, str) else frame[name]
        where = pl.Series(np.isin(np.arange(len(frame)), rows))
        return frame.with_columns(
            pl.select(pl.when(where).then(pl.lit(value)).otherwise(cells)).to_series().alias(name)
        )

    return fault


def scaled(name: str, rows: tuple[int, ...], factor: float) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Multiplies cells of a column."""

    def fault(frame: pl.DataFrame) -> pl.DataFrame:
        values = frame[name].to_numpy().copy()
        values[list(rows)] *= factor
        return frame.with_columns(pl.Series(name, values))

    return fault


FEW = (7, 50, 311)
STRETCH = tuple(range(420, 600))

CASES = {
    "NW113": case(put("target", FEW, "maybe"), FEW),
    "NW130": case(put("size", FEW, -999.0), FEW),
    "NW131": case(lambda frame: frame.with_columns(country=pl.lit("Norway"))),
    "NW132": case(lambda frame: frame.with_columns(inches=pl.col("size") / 2.54)),
    "NW133": case(lambda frame: frame.with_row_index("number").with_columns(pl.col("number").cast(pl.Int64))),
    "NW134": case(lambda frame: frame.with_columns(paid=(pl.col("target") == "yes").cast(pl.Int64) * 100)),
    "NW135": case(lambda frame: frame.with_columns(rest=pl.col("target") - pl.col("weight")), number=True),
    "NW136": case(put("visits", FEW, "many"), FEW),
    "NW137": case(lambda frame: put("age", FEW, 400)(frame.with_columns(age=pl.col("visits") * 5 + 20)), FEW),
    "NW138": case(scaled("size", FEW, 20.0), FEW),
    "NW139": case(scaled("income", STRETCH, 100.0), STRETCH[10:]),
}
