"""Columns that leak the target together: the target is a formula of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from netwright.checks.data.columns import Floats, columns
from netwright.checks.data.target_leaks import LEAST_ROWS, LOOKED_AT, NEARLY_ALL, classes_of, leaks_of_targets
from netwright.checks.evidence import DataEvidence, Skip
from netwright.records.finding import Finding, Measure, Remedy
from netwright.statistics import share

EXACT = 1e-6  # share of the variance left by rounding, of float32 and of written digits
ROUNDED = 0.6  # of the target's step: rounding adds half a step, and the factors have errors
COARSE = 0.1  # of the target's spread: with larger steps, half a step is a large error
MOST_COLUMNS = 60  # the most predictive ones: 34,220 sets of three
POWERS = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0)  # exponents of products and ratios
SUMS = 12  # columns whose sums and differences are tried as parts of a ratio

_Term = tuple[str, tuple[str, ...], Floats]
"""A factor of a product: its text, its columns, its logarithms."""


def joint_leaks(evidence: DataEvidence) -> Iterator[Finding]:
    """columns that give the answer away together

    The target is a formula of other columns: their sum, difference, product or ratio. In a well-known table of rented
    bicycles `casual` + `registered` = `count`.

    Why it matters: the network learns to add. When its answer is needed, the parts are as unknown as their sum.

    How it is decided: for numeric targets, by linear fits (sums and differences with any factors) on every pair and
    triple of the columns that leak nothing alone, and on all of them; and by linear fits of logarithms (products,
    powers, ratios; also of sums and differences of two). A formula counts if it leaves 1e-6 of the variance (EXACT). It
    also counts if its error is within 0.6 steps of the target's precision (ROUNDED) in 99 % of the rows, and those
    steps are below 10 % of the spread (COARSE): then the target was rounded. The shortest formula is reported.
    """
    seen = evidence.once(columns)
    targets = [t for t in seen.targets if classes_of(seen, t) is None and t in seen.numbers]
    if not targets:
        raise Skip("the target is not a number" if seen.targets else "there is no target of single values")
    if len(seen.rows) < LEAST_ROWS:
        raise Skip(f"fewer than {LEAST_ROWS} rows can follow a formula by chance")
    rows = np.random.default_rng(evidence.seed).permutation(len(seen.rows))[:LOOKED_AT]
    for target in targets:
        alone = evidence.once(leaks_of_targets).get(target, {})
        inputs = {n: x[rows] for n, x in seen.measured() if n not in alone}
        formula = _formula(inputs, seen.numbers[target][rows])
        if formula is None:
            continue
        yield Finding(
            "error",
            f"{target} = {formula.text} in {100 * formula.obeyed:.4g} % of {formula.count:,} rows",
            (
                Measure("share of the variance left", formula.left, threshold=EXACT),
                share(formula.obeyed * formula.count, formula.count).measure("rows that follow it"),
            ),
            formula.names,
            confidence=0.95,
            otherwise=("the parts are known before the target: then compute it without a network",),
            remedies=(
                Remedy(
                    f"drop them with {' '.join(f'--drop {name}' for name in formula.names)}, "
                    f"unless they are known before {target}."
                ),
            ),
        )


@dataclass(frozen=True)
class _Formula:
    text: str
    names: tuple[str, ...]
    left: float  # share of the target's variance
    obeyed: float  # share of the rows
    count: int


def _formula(inputs: dict[str, Floats], target: Floats) -> _Formula | None:
    """The shortest formula that gives the target, of columns that vary."""
    there = np.isfinite(target)
    inputs = {name: x for name, x in inputs.items() if _varies(x[there])}
    for x in inputs.values():
        there = there & np.isfinite(x) if np.isfinite(x).mean() >= NEARLY_ALL else there
    names = [name for name, x in inputs.items() if np.isfinite(x[there]).all()]
    y = target[there]
    if len(y) < LEAST_ROWS or len(names) < 2 or y.std() == 0:
        return None
    x = np.stack([inputs[name][there] for name in names])
    return _line(names, x, y) or _product(names, x, y) or _long_line(names, x, y)


def _varies(x: Floats) -> bool:
    finite = x[np.isfinite(x)]
    return len(finite) * 2 > len(x) and bool(finite.min() < finite.max())


def _step(y: Floats) -> float:
    """The precision of a column: 1 for whole numbers; 0 if it is fine."""
    step = float(np.diff(np.unique(y)).min(initial=np.inf))
    return step if step <= COARSE * y.std() else 0.0


def _judged(y: Floats, answers: Floats, text: str, names: tuple[str, ...], count: int) -> _Formula | None:
    miss = np.abs(y - answers)
    left = float(np.mean(miss**2) / y.var())
    obeyed = float(np.mean(miss <= ROUNDED * _step(y) + 1e-5 * (np.abs(y) + y.std())))
    return _Formula(text, names, left, obeyed, count) if obeyed >= NEARLY_ALL else None


def _standard(x: Floats) -> Floats:
    x = x - x.mean(axis=1, keepdims=True)
    return x / np.maximum(x.std(axis=1, keepdims=True), np.finfo(float).tiny)


def _best_sets(x: Floats, y: Floats, size: int) -> list[tuple[int, ...]]:
    """The sets of so many rows of x whose linear fit leaves least of y, the best first."""
    x, y = _standard(x), _standard(y[None])[0]
    with_y = x @ y / len(y)
    kept = (
        np.sort(np.argsort(-np.abs(with_y), kind="stable")[:MOST_COLUMNS])
        if len(x) > MOST_COLUMNS
        else np.arange(len(x))
    )
    if size > len(kept):
        return []
    sets = np.array(list(combinations(range(len(kept)), size)))
    x, with_y = x[kept], with_y[kept]
    gram = x @ x.T / len(y)
    inner = gram[sets[:, :, None], sets[:, None, :]] + 1e-10 * np.eye(size)  # two equal columns would be singular
    told = np.einsum("ni,ni->n", np.linalg.solve(inner, with_y[sets][:, :, None])[:, :, 0], with_y[sets])
    best = np.argsort(-told, kind="stable")[:3]
    return [tuple(kept[sets[k]].tolist()) for k in best if told[k] > 1 - COARSE**2]


def _line(names: list[str], x: Floats, y: Floats) -> _Formula | None:
    for size in (2, 3):
        for chosen in _best_sets(x, y, size):
            found = _fitted([names[k] for k in chosen], x[list(chosen)], y)
            if found is not None:
                return found
    return None


def _long_line(names: list[str], x: Floats, y: Floats) -> _Formula | None:
    """All columns at once, then without the unnecessary ones."""
    if len(names) <= 3 or len(names) * 5 > len(y):
        return None
    order = np.argsort(-np.abs(_standard(x) @ _standard(y[None])[0]), kind="stable")[: 4 * MOST_COLUMNS]
    names, x = [names[k] for k in order], x[order]
    if _fitted(names, x, y) is None:
        return None
    weights = np.abs(np.linalg.lstsq(_standard(x).T, y - y.mean(), rcond=1e-10)[0]) / y.std()
    needed = np.flatnonzero(weights > 1e-3)
    return _fitted([names[k] for k in needed], x[needed], y)


def _fitted(names: list[str], x: Floats, y: Floats) -> _Formula | None:
    design = np.concatenate([_standard(x), np.ones((1, len(y)))]).T
    weights = np.linalg.lstsq(design, y, rcond=1e-10)[0]
    miss = np.abs(y - design @ weights)
    good = miss <= np.quantile(miss, 0.95)  # again without rows that may not follow it: a few would bend the line
    weights = np.linalg.lstsq(design[good], y[good], rcond=1e-10)[0]
    exact = weights[:-1] / x.std(axis=1)
    if not exact.all():
        return None
    for factors in (np.array([float(f"{f:.2g}") for f in exact]), exact):  # 1.0003 probably means 1
        base = float(np.median(y - factors @ x))
        for told in (float(round(base)), base):
            text = _sum_text(names, factors, told)
            found = _judged(y, told + factors @ x, text, tuple(names), len(y)) if factors.all() else None
            if found is not None:
                return found
    return None


def _sum_text(names: list[str], factors: Floats, base: float) -> str:
    parts = [
        f"{'-' if f < 0 else '+'} {'' if abs(f) == 1 else f'{abs(f):.5g} '}{n}"
        for n, f in zip(names, factors, strict=True)
    ]
    text = " ".join(parts[:10] + ([f"and {len(parts) - 10} more"] if len(parts) > 10 else []))
    text = f"{text} {'-' if base < 0 else '+'} {abs(base):.5g}" if abs(base) > 1e-9 else text
    return text.removeprefix("+ ")


def _product(names: list[str], x: Floats, y: Floats) -> _Formula | None:
    """Products, powers and ratios of columns, also of a sum or difference of two."""
    positive = y > 0
    usable = [k for k in range(len(names)) if (x[k] > 0).mean() >= 0.5]
    for k in usable:
        positive = positive & (x[k] > 0) if (x[k] > 0).mean() >= NEARLY_ALL else positive
    usable = (
        [k for k in usable if (x[k][positive] > 0).all() and np.log(x[k][positive]).std(ddof=0) > 0]
        if positive.any()
        else []
    )
    if positive.mean() < 0.5 or len(usable) < 2 or positive.sum() < LEAST_ROWS:
        return None
    y, raw = y[positive], x[:, positive]
    terms: list[_Term] = [(names[k], (names[k],), np.log(raw[k])) for k in usable]
    found = _powers(terms, y, (2, 3))
    if found is not None:
        return found
    few = sorted(range(len(names)), key=lambda k: -abs(_standard(raw[k : k + 1])[0] @ _standard(np.log(y)[None])[0]))[
        :SUMS
    ]
    for a, b in combinations(sorted(few), 2):
        for sign, values in (("+", raw[a] + raw[b]), ("-", raw[a] - raw[b])):
            values = values if np.median(values) > 0 else -values
            if values.min() > 0 and np.log(values).std() > 0:
                text = (
                    f"({names[a]} {sign} {names[b]})"
                    if np.median(raw[a] - raw[b]) > 0 or sign == "+"
                    else f"({names[b]} - {names[a]})"
                )
                terms.append((text, (names[a], names[b]), np.log(values)))
    return _powers(terms, y, (2,))


def _powers(terms: list[_Term], y: Floats, sizes: tuple[int, ...]) -> _Formula | None:
    logs, log_y = np.stack([t[2] for t in terms]), np.log(y)
    if log_y.std() == 0:
        return None
    for size in sizes:
        for chosen in _best_sets(logs, log_y, size):
            design = logs[list(chosen)]
            weights = np.linalg.lstsq(
                (design - design.mean(axis=1, keepdims=True)).T, log_y - log_y.mean(), rcond=1e-10
            )[0]
            powers = np.array(POWERS)[np.abs(weights[:, None] - np.array(POWERS)).argmin(axis=1)]
            answers = np.exp(powers @ design)
            factor = float(np.median(y / answers))
            factor = round(factor) if round(factor) and abs(factor / round(factor) - 1) < 1e-3 else factor
            text = " x ".join(_power_text(terms[k][0], p) for k, p in zip(chosen, powers, strict=True))
            text = text if factor == 1 else f"{factor:.5g} x {text}"
            used = tuple(dict.fromkeys(n for k in chosen for n in terms[k][1]))
            found = _judged(y, factor * answers, text, used, len(y))
            if found is not None:
                return found
    return None


def _power_text(name: str, power: float) -> str:
    return name if power == 1 else f"{name}^{power:g}"
