"""Series with one known fault each, and healthy twins: hourly values of three places with a day, noise and weather."""

from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from netwright.checks.evidence import DataEvidence
from netwright.data.dataset import Dataset
from netwright.data.prepare import prepare
from netwright.data.read import read_source
from netwright.data.split import split
from netwright.records.frames import Raw
from netwright.records.source import Source

HOURS, PLACES = 1_000, ("Oslo", "Bergen", "Bodø")
START = datetime(2023, 3, 1)
TASK = "forecasting:6,lags=24"


def healthy(seed: int = 0) -> pl.DataFrame:
    """A row for each place and hour."""
    random, hours = np.random.default_rng(seed), np.arange(HOURS)
    times = [START + timedelta(hours=int(hour)) for hour in hours]
    frames = list[pl.DataFrame]()
    for number, name in enumerate(PLACES):
        day = np.sin((hours + 3 * number) * 2 * np.pi / 24)
        warm = 10 + 5 * day + np.cumsum(random.normal(0, 0.3, HOURS)) * 0.5
        load = 50 + 10 * day + random.normal(0, 2, HOURS) - 0.4 * warm
        columns = {"place": [name] * HOURS, "at": times, "load": load.round(2), "warm": warm.round(1)}
        frames.append(pl.DataFrame(columns).with_columns(open=pl.col("at").dt.hour().is_between(8, 17).cast(pl.Int64)))
    return pl.concat(frames)


def evidence(frame: pl.DataFrame, known: tuple[str, ...] = ()) -> DataEvidence:
    """As `audit` makes it."""
    source = Source(frame, ("load",), series="place", time="at", known=known, task=TASK)
    dataset = read_source(source)
    parts = split(dataset, source)
    return DataEvidence(dataset, parts, prepare(dataset, parts, source))


def raw(
    values: np.ndarray, *, every: timedelta = timedelta(hours=1), at: list[datetime] | None = None,
    known: tuple[str, ...] = (), horizon: int = 6, **columns: np.ndarray,
) -> DataEvidence:  # fmt: skip
    """Rows of series (series, steps) of the target `load` and other columns, as a task that cuts rows leaves them."""
    count, steps = values.shape
    times = pl.Series("at", (at or [START + k * every for k in range(steps)]) * count)
    owners = None if count == 1 else pl.Series("place", np.repeat([f"p{k}" for k in range(count)], steps))
    table = pl.DataFrame({"load": values.ravel(), **{name: cells.ravel() for name, cells in columns.items()}})
    source = Source(series="place" if count > 1 else "", time="at", known=known, task=TASK)
    rows = Raw(table, ("load",), owners, times, source)
    spans = np.array([[0, horizon]], np.int64)
    places = pl.Series(range(2, len(table) + 2), dtype=pl.Int64)
    return DataEvidence(
        Dataset(pl.DataFrame({"past": [0]}), ("load",), "x.csv", spans=spans, raw=rows, raw_places=places)
    )


def case(fault: Callable[[pl.DataFrame], pl.DataFrame], known: tuple[str, ...] = ()):
    """Sick series, no rows (they are rows of the data, not examples), and those without the fault."""
    kept = tuple(name for name in known if name in healthy().columns)
    return lambda: evidence(fault(healthy()), known), (), lambda: evidence(healthy(), kept)


def of(place: str, first: int, end: int = HOURS) -> pl.Expr:
    """Some hours of a place."""
    hour = pl.int_range(pl.len()).over("place")
    return (pl.col("place") == place) & (hour >= first) & (hour < end)


def put(column: str, where: pl.Expr, value: pl.Expr) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Other values in some rows."""
    return lambda frame: frame.with_columns(pl.when(where).then(value).otherwise(pl.col(column)).alias(column))


def without(where: pl.Expr) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Some rows are missing."""
    return lambda frame: frame.filter(~where)


def copied(frame: pl.DataFrame) -> pl.DataFrame:
    """Bodø has what Oslo had two hours before, in another unit."""
    oslo = frame.filter(pl.col("place") == "Oslo")["load"].shift(2).fill_null(50.0)
    bodo = frame.filter(pl.col("place") == "Bodø").with_columns(load=oslo * 1.8 + 32)
    return pl.concat([frame.filter(pl.col("place") != "Bodø"), bodo])


CASES = {
    "NW180": case(without(of("Oslo", 300, 340) | of("Bergen", 500, 512))),
    "NW181": case(without(pl.col("at") == datetime(2023, 3, 26, 2))),
    "NW182": case(put("load", of("Bergen", 600), pl.col("load") + 60)),
    "NW183": case(copied),
    "NW184": case(put("load", of("Oslo", 400, 440), pl.lit(51.23))),
    "NW185": case(lambda frame: frame.with_columns(next=pl.col("load").shift(-3).over("place").fill_null(0.0))),
    "NW186": case(lambda frame: frame.with_columns(copy=pl.col("load") * 2 + 1), ("open", "copy")),
    "NW188": case(lambda frame: pl.concat([frame, frame.sample(50, seed=0)])),
    "NW189": case(put("load", of("Oslo", 100, 110) | of("Bodø", 7, 9), pl.lit(-999.0))),
    "NW187": case(put("load", pl.col("place") == "Bodø", pl.lit(7.0))),
}
