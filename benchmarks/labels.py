"""How well wrong labels are found, beside cleanlab on the same out-of-fold probabilities.

    python -m benchmarks.labels --data FOLDER --json results.jsonl > labels.md

FOLDER holds fashion-mnist/, cifar10-jpeg.tar, telescope.csv, movie_reviews.csv, splice.csv and collection/. Each
setting (data, rows, kind of noise, rate, seed) is a line of the results file. After --minutes it stops; the same
command goes on where it stopped. Thresholds of the audit were set on the data named in SET_ON, and must hold on the
others.
--compare adds cleanlab 2.9 (the extra `bench`) and trainings on cleaned labels.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch
from benchmarks.label_data import DATA, SET_ON, SIZES, TESTED, UNSEEN
from benchmarks.speed.measure import conditions, table
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score, roc_auc_score

from netwright.checks.data.label_scores import WRONG, Judged, judged, self_confidence
from netwright.checks.data.out_of_fold import FOLDS, cross_validated, quick_model
from netwright.data.dataset import Dataset
from netwright.data.examples import in_memory
from netwright.data.prepare import prepare
from netwright.data.split import split
from netwright.records.batch import Examples
from netwright.records.schema import Schema
from netwright.records.task import Task

LOOK_ALIKES = {
    0: 6,
    6: 0,
    2: 4,
    4: 2,
    7: 9,
    3: 4,
}  # T-shirt and shirt, pullover and coat, sneaker to boot, dress to coat
RATES = (0.0, 0.02, 0.05, 0.1, 0.2)
SURE = 0.9  # confidence from which a fix says apply = yes
FILTERS = ("prune_by_noise_rate", "prune_by_class", "both", "confident_learning", "predicted_neq_given")
RANKERS = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")
FEWEST = 5  # errors, below which no curve is drawn
CHANCE = 0.8  # the mean distance from the mean of a normal distribution, in standard deviations
GUESSED = 0.5  # share of rows of wrong labels, above which a class's label is not the most frequent one any more

Labels = np.ndarray
Row = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """Data with labels taken for true: rows to judge, and clean rows to test on."""

    name: str
    dataset: Dataset
    schema: Schema
    task: Task
    data: Examples  # all rows
    labels: Labels
    pool: np.ndarray  # rows whose labels are disturbed
    test: np.ndarray
    chances: np.ndarray  # of the pool's classes, by models trained on true labels


def problem(name: str, folder: Path, count: int) -> Problem:
    """Reads the data, sets a clean test part apart, and judges the true labels of at most `count` other rows."""
    dataset = DATA[name](folder)
    prepared = prepare(dataset, split(dataset))
    data = prepared.whole
    rows = np.random.default_rng(0).permutation(len(dataset))
    tests = min(TESTED, len(rows) // 5)
    pool, test = np.sort(rows[tests:][:count]), np.sort(rows[:tests])
    labels = data.targets()[0].numpy().astype(np.int64)
    made = Problem(name, dataset, prepared.schema, prepared.task, data, labels, pool, test, np.zeros(0))
    return replace(made, chances=_answers(made, labels[pool], seed=0))


def _answers(p: Problem, given: Labels, seed: int, data: Examples | None = None) -> np.ndarray:
    pool = (data or p.data).part(torch.from_numpy(p.pool))
    return cross_validated(p.schema, p.task, pool, given, seed=seed, tell=lambda _note: None).answers


# Kinds of noise: (problem, rate, generator) -> labels of the pool with about `rate` of them wrong.


def symmetric(p: Problem, rate: float, generator: np.random.Generator) -> Labels:
    """Any other class."""
    true, classes = p.labels[p.pool], p.chances.shape[1]
    other = (true + generator.integers(1, classes, len(true))) % classes
    return np.where(generator.random(len(true)) < rate, other, true)


def pair(p: Problem, rate: float, generator: np.random.Generator) -> Labels:
    """The next class."""
    true = p.labels[p.pool]
    return np.where(generator.random(len(true)) < rate, (true + 1) % p.chances.shape[1], true)


def look_alike(p: Problem, rate: float, generator: np.random.Generator) -> Labels:
    """The class that it is confused with; classes without one stay right, the others are wrong the more often."""
    true, classes = p.labels[p.pool], p.chances.shape[1]
    second = np.argsort(-p.chances, axis=1)[:, 1]
    confused = np.zeros((classes, classes))
    np.add.at(confused, (true, second), 1)
    np.fill_diagonal(confused, 0)
    to = confused.argmax(1)
    if p.name == "fashion":
        to = np.array([LOOK_ALIKES.get(k, -1) for k in range(classes)])
    is_source = to[true] >= 0
    share = min(GUESSED - 0.05, rate / is_source.mean())
    return np.where(is_source & (generator.random(len(true)) < share), to[true], true)


def conditional(sparsity: float) -> Callable[[Problem, float, np.random.Generator], Labels]:
    """A random noise matrix in which so large a share of the possible errors does not happen."""

    def disturbed(p: Problem, rate: float, generator: np.random.Generator) -> Labels:
        true, classes = p.labels[p.pool], p.chances.shape[1]
        matrix = generator.dirichlet(np.ones(classes), classes)
        np.fill_diagonal(matrix, 0)
        for k in range(classes):
            others = generator.permutation([j for j in range(classes) if j != k])
            matrix[k, others[: int(sparsity * (classes - 1))]] = 0
        matrix /= matrix.sum(1, keepdims=True)
        rates = np.clip(rate * generator.uniform(0.5, 1.5, classes), 0, 0.6)
        drawn = (generator.random((len(true), 1)) > matrix.cumsum(1)[true]).sum(1).clip(max=classes - 1)
        return np.where(generator.random(len(true)) < rates[true], drawn, true)

    return disturbed


def by_instance(p: Problem, rate: float, generator: np.random.Generator) -> Labels:
    """The best other class of a model of the true labels, the more often the more probable it is."""
    true = p.labels[p.pool].copy()
    others = p.chances.copy()
    others[np.arange(len(true)), true] = 0
    weights = np.sqrt(others.max(1))
    picked = generator.choice(len(true), round(rate * len(true)), replace=False, p=weights / weights.sum())
    true[picked] = others[picked].argmax(1)
    return true


def annotator(p: Problem, rate: float, generator: np.random.Generator) -> Labels:
    """One person is always wrong on two classes; the rate says how many rows were theirs."""
    true, classes = p.labels[p.pool], p.chances.shape[1]
    two = generator.permutation(classes)[:2]
    is_theirs = np.isin(true, two)
    wrong = is_theirs & (generator.random(len(true)) < min(GUESSED - 0.05, rate / is_theirs.mean()))
    return np.where(wrong, (true + 1 + (true == two[0])) % classes, true)


NOISE: dict[str, Callable[[Problem, float, np.random.Generator], Labels]] = {
    "symmetric": symmetric,
    "look-alike": look_alike,
    "pair": pair,
    "conditional 0": conditional(0.0),
    "conditional .2": conditional(0.2),
    "conditional .4": conditional(0.4),
    "conditional .6": conditional(0.6),
    "by instance": by_instance,
    "annotator": annotator,
    "open-set": lambda p, rate, generator: p.labels[p.pool],
}


def _with_strangers(p: Problem, rate: float, generator: np.random.Generator) -> tuple[Examples, np.ndarray]:
    """Pictures of digits in the place of some clothes, and which rows they are."""
    pixels = p.data.column(0)
    changed = pixels.clone()
    is_strange = generator.random(len(p.pool)) < rate
    digits = torch.from_numpy(load_digits().images * 15.9)[:, None].float()
    large = torch.nn.functional.interpolate(digits, pixels.shape[-2:], mode="bilinear").byte()
    drawn = torch.from_numpy(generator.integers(0, len(large), int(is_strange.sum())))
    changed[torch.from_numpy(p.pool[is_strange])] = large[drawn].reshape(-1, *pixels.shape[1:])
    return in_memory(p.dataset, p.schema, p.task, (changed,), p.data.targets(), np.arange(len(changed))), is_strange


def measure(p: Problem, kind: str, rate: float, seed: int, *, compares: bool) -> Row:
    """One setting: what is flagged, and beside it cleanlab on the same probabilities."""
    generator = np.random.default_rng((seed, round(rate * 1000), list(NOISE).index(kind)))
    true, data = p.labels[p.pool], p.data
    given = NOISE[kind](p, rate, generator) if rate else true
    is_error = given != true
    if kind == "open-set" and rate:
        data, is_error = _with_strangers(p, rate, generator)
    began = time.perf_counter()
    chances = _answers(p, given, seed, data)
    answered = time.perf_counter()
    j = judged(chances, given, seed=seed)
    scored = time.perf_counter()
    weak = j.is_too_weak
    flagged = (j.is_wrong >= WRONG) & (not weak)  # the check says nothing then
    row: Row = {"data": p.name, "noise": kind, "rate": rate, "seed": seed, "rows": len(given)}
    row |= {"model_seconds": answered - began, "judge_seconds": scored - answered}
    row |= {"accuracy": float((chances.argmax(1) == true).mean()), "errors": float(is_error.mean())}
    row |= {"rate_ours": j.rate}
    row |= {
        "weak": float(weak),
        "flagged": float(flagged.mean()),
        "claimed": float(j.is_wrong[flagged].sum() / max(flagged.sum(), 1)),
    }
    better = j.posterior.copy()
    better[np.arange(len(given)), given] = 0
    sure = flagged & (j.is_wrong * better.max(1) / np.maximum(better.sum(1), 1e-12) >= SURE)
    row |= {"yes": int(sure.sum()), "yes_wrong": int((sure & is_error).sum())}
    if is_error.sum() >= FEWEST:
        row["found"] = {"ours": _found(flagged, is_error)}
    return row | (
        _compared(p, data, given, chances, is_error, flagged, j, better.argmax(1), row, seed) if compares else {}
    )


def _compared(
    p: Problem, data: Examples, given: Labels, chances: np.ndarray, is_error: np.ndarray, flagged: np.ndarray,
    j: Judged, better: Labels, row: Row, seed: int,
) -> Row:  # fmt: skip
    from cleanlab.count import estimate_joint
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    filters = {name: find_label_issues(given, chances, filter_by=name, n_jobs=1) for name in FILTERS}
    told: Row = {"rate_cleanlab": float(1 - np.trace(estimate_joint(given, chances)))}
    told["flagged_cleanlab"] = {name: float(found.mean()) for name, found in filters.items()}
    if "found" not in row:
        return told
    ranks = {name: 1 - get_label_quality_scores(given, chances, method=name) for name in RANKERS}
    own = {"ours": j.doubts, "self alone": self_confidence(chances, given)}
    told["scores"] = {name: _curves(values, is_error) for name, values in (own | ranks).items()}
    told["found"] = row["found"] | {name: _found(found, is_error) for name, found in filters.items()}
    return told | _downstream(p, data, given, is_error, flagged, better, filters, told["found"], seed)


def _curves(doubts: np.ndarray, is_error: np.ndarray) -> Row:
    order = np.argsort(-doubts, kind="stable")
    firsts = {"p@100": 100, "p@1%": max(1, len(doubts) // 100), "p@n": int(is_error.sum())}
    at = {name: float(is_error[order[:count]].mean()) for name, count in firsts.items()}
    return {"auc": roc_auc_score(is_error, doubts), "ap": average_precision_score(is_error, doubts)} | at


def _found(found: np.ndarray, is_error: np.ndarray) -> Row:
    both = int((found & is_error).sum())
    precision, recall = both / max(int(found.sum()), 1), both / int(is_error.sum())
    return {"precision": precision, "recall": recall, "f1": 2 * both / (int(found.sum()) + int(is_error.sum()))}


def _downstream(
    p: Problem, data: Examples, given: Labels, is_error: np.ndarray, flagged: np.ndarray, better: Labels,
    filters: Mapping[str, np.ndarray], found: Mapping[str, Row], seed: int,
) -> Row:  # fmt: skip
    """Accuracy on clean rows of the quick model, by what was done with the rows that were flagged."""
    best = max(FILTERS, key=lambda name: found[name]["f1"])
    everything = np.ones(len(given), bool)
    ways = {
        "none": (given, everything),
        "drop": (given, ~flagged),
        "relabel": (np.where(flagged, better, given), everything),
        "cleanlab drop": (given, ~filters[best]),
        "oracle drop": (given, ~is_error),
    }
    return {"test": {name: _test(p, data, labels, keep, seed) for name, (labels, keep) in ways.items()}}


def _test(p: Problem, data: Examples, labels: Labels, keep: np.ndarray, seed: int) -> float:
    targets = p.labels.copy()
    targets[p.pool] = labels
    whole = data.relabelled((torch.from_numpy(targets),))
    _, fit = quick_model(p.schema, p.task, whole, FOLDS)
    return float((fit(p.pool[keep], seed)(p.test).argmax(1) == p.labels[p.test]).mean())


def settings(options: argparse.Namespace) -> Iterator[tuple[str, int, str, float, int]]:
    """What is to be measured; without noise its kind means nothing."""
    for rate in options.rates:
        for name in options.only:
            for count in options.rows:
                for seed in range(options.first_seed, options.first_seed + options.seeds):
                    for kind in options.noise if rate else ["symmetric"]:
                        if kind != "open-set" or name == "fashion":
                            yield name, count, kind, rate, seed


def _setting(row: Row) -> tuple[object, ...]:
    return row["data"], row["noise"], row["rate"], row["seed"]


def page(rows: Sequence[Row]) -> str:
    """Markdown: what is flagged of clean data, whether claims hold, and a line for each data set, noise and rate."""
    clean = [r for r in rows if r["rate"] == 0]
    none = ("data", "thresholds", "n", "seeds", "model right", "too weak", "flagged %")
    lines = [
        (name, _part(name), count, len(some), _spread([r["accuracy"] for r in some]), sum(r["weak"] > 0 for r in some),
         _spread([100 * r["flagged"] for r in some]))
        for name, count in dict.fromkeys((r["data"], r["rows"]) for r in clean)
        if (some := [r for r in clean if (r["data"], r["rows"]) == (name, count)])
    ]  # fmt: skip
    claims = [
        _claims(part, [r for r in rows if "found" in r and _part(r["data"]) == part])
        for part in ("set", "held", "unseen")
    ]
    said = (
        "thresholds",
        "settings",
        "too weak",
        "claim off by",
        "by chance",
        "claimed",
        "true",
        "rows marked yes",
        "of them wrong",
    )
    head = (
        "data", "noise", "rate", "n", "seeds", "accuracy", "AUROC", "best ranker", "AP", "best ranker", "F1",
        "best filter", "claimed", "true", "rate off by", "joint's", "clean test: none", "drop", "relabel", "cleanlab",
        "oracle",
    )  # fmt: skip
    keys = list(dict.fromkeys(_key(r) for r in rows if "scores" in r))
    many = [_line([r for r in rows if "scores" in r and _key(r) == key]) for key in keys]
    parts = ["Labels as they are:", table(none, lines), "Planted errors, if 10 rows or more are flagged:"]
    return "\n\n".join([*parts, table(said, claims), *([table(head, many)] if many else [])])


def _key(row: Row) -> tuple[object, ...]:
    return row["data"], row["noise"], row["rate"], row["rows"]


def _part(name: str) -> str:
    return "set" if name in SET_ON else "unseen" if name in UNSEEN else "held"


def _claims(part: str, rows: Sequence[Row]) -> list[object]:
    told = [r for r in rows if r["flagged"] * r["rows"] >= 10]
    off = [abs(r["claimed"] - r["found"]["ours"]["precision"]) for r in told]
    chance = [CHANCE * (r["claimed"] * (1 - r["claimed"]) / (r["flagged"] * r["rows"])) ** 0.5 for r in told]
    yes, wrong = sum(r["yes"] for r in rows), sum(r["yes_wrong"] for r in rows)
    shown = [_spread(values) if values else "" for values in (
        off, chance, [r["claimed"] for r in told], [r["found"]["ours"]["precision"] for r in told])]  # fmt: skip
    return [part, len(rows), sum(r["weak"] > 0 for r in rows), *shown, yes, f"{wrong / max(yes, 1):.3f}"]


def _line(some: Sequence[Row]) -> list[object]:
    first = some[0]
    ranked = [max(r["scores"][name][m] for name in RANKERS) for m in ("auc", "ap") for r in some]
    half = len(some)
    best = [max(r["found"][name]["f1"] for name in FILTERS) for r in some]
    return [
        first["data"], first["noise"], f"{first['rate']:g}", first["rows"], half,
        _spread([r["accuracy"] for r in some]),
        _spread([r["scores"]["ours"]["auc"] for r in some], 4), _spread(ranked[:half], 4),
        _spread([r["scores"]["ours"]["ap"] for r in some]), _spread(ranked[half:]),
        _spread([r["found"]["ours"]["f1"] for r in some]), _spread(best),
        _spread([r["claimed"] for r in some]), _spread([r["found"]["ours"]["precision"] for r in some]),
        _spread([abs(r["rate_ours"] - r["errors"]) for r in some]),
        _spread([abs(r["rate_cleanlab"] - r["errors"]) for r in some]),
        *(_spread([r["test"][w] for r in some]) for w in ("none", "drop", "relabel", "cleanlab drop", "oracle drop")),
    ]  # fmt: skip


def _spread(values: Sequence[float], digits: int = 3) -> str:
    around = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean(values):.{digits}f}{around}"


def main() -> None:
    """Measures what is missing in the results file, and prints the page of all that it holds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--only", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--rows", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--noise", nargs="+", choices=NOISE, default=["symmetric", "look-alike"])
    parser.add_argument("--rates", nargs="+", type=float, default=list(RATES))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--compare", action="store_true", help="with cleanlab, and with trainings on cleaned labels")
    parser.add_argument("--minutes", type=float, default=9.0, help="after which nothing new is begun")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, default=Path("labels.jsonl"), help="lines are added to it")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = [json.loads(line) for line in options.json.read_text().splitlines()] if options.json.exists() else []
    known = {(r["data"], r["asked"], r["noise"], r["rate"], r["seed"]) for r in rows}
    problems, began = dict[tuple[str, int], Problem](), time.monotonic()
    for name, count, kind, rate, seed in settings(options):
        whole = [r["asked"] for r in rows if r["rows"] < r["asked"] and _setting(r) == (name, kind, rate, seed)]
        if (name, count, kind, rate, seed) in known or any(count > asked for asked in whole):
            continue
        if time.monotonic() - began > 60 * options.minutes:
            print("stopped in time: the same command goes on", file=sys.stderr)
            break
        if (name, count) not in problems:
            problems = {(name, count): problem(name, options.data, count)}
        rows.append(measure(problems[name, count], kind, rate, seed, compares=options.compare) | {"asked": count})
        with options.json.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        print(name, count, kind, rate, seed, f"{rows[-1]['model_seconds']:.1f} s", file=sys.stderr, flush=True)
    print(page(rows))
    print("\n" + conditions(options.threads, ("netwright", "torch", "scikit-learn")))


if __name__ == "__main__":
    main()
