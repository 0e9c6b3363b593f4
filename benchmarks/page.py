"""From measured rows to the page: means, spreads, intervals and the table against the bars."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, mean, stdev

from public_data import Bar, Case

HALF_WIDTH = NormalDist().inv_cdf(0.975)  # standard errors in half a 95 % interval


@dataclass(frozen=True)
class Measured:
    """One model on one test part."""

    data: str
    model: str  # "netwright", or a key of simple_models.MODELS
    settings: str  # JSON of the settings changed; "{}" for the defaults
    seed: int
    fold: int
    train_rows: int
    test_rows: int
    seconds: float  # reading excluded; for netwright planning, training and scoring
    parameters: int
    epochs: int
    values: dict[str, float]
    halves: dict[str, float]  # half of each value's 95 % bootstrap interval over the test rows; empty if not measured


@dataclass(frozen=True)
class Summary:
    """One model and metric over all seeds and folds."""

    value: float  # mean over seeds of the mean over folds
    spread: float  # standard deviation over seeds; 0 for one seed
    low: float
    high: float
    seconds: float  # for one training, the mean


def summarize(rows: Sequence[Measured], metric: str) -> Summary:
    """Mean, spread over seeds and a 95 % interval that covers the test rows and the seeds.

    Test parts of folds are different rows, so their errors add in squares and shrink with the number of folds; seeds
    meet the same or overlapping rows, so more of them do not narrow that share. The seeds' own variance does shrink.
    """
    seeds = sorted({row.seed for row in rows})
    per_seed = [[row for row in rows if row.seed == seed] for seed in seeds]
    values = [mean(row.values[metric] for row in group) for group in per_seed]
    spread = stdev(values) if len(values) > 1 else 0.0
    of_rows = mean(sum((row.halves.get(metric, 0.0) / HALF_WIDTH) ** 2 for row in g) / len(g) ** 2 for g in per_seed)
    half = HALF_WIDTH * (of_rows + spread**2 / len(values)) ** 0.5
    value = mean(values)
    return Summary(value, spread, value - half, value + half, mean(row.seconds for row in rows))


def verdict(found: Summary, bar: float | None, higher_is_better: bool) -> str:
    """Whether a bar is met: by the mean, only within the interval, or not."""
    if bar is None:
        return ""
    if (found.value >= bar) if higher_is_better else (found.value <= bar):
        return "yes"
    return "within the interval" if found.low <= bar <= found.high else "**no**"


def table(cases: Sequence[Case], measured: Sequence[Measured]) -> str:
    """A Markdown table: a line for each data set, metric and group of settings."""
    head = (
        "| data | train / test rows | metric | simple models | netwright, mean ± sd | 95 % interval | bar | met "
        "| parameters | epochs | seconds |\n|---|---|---|---|---|---|---|---|---|---|---|"
    )
    lines = [line for case in cases for line in _lines(case, [row for row in measured if row.data == case.name])]
    return "\n".join([head, *lines])


def _lines(case: Case, rows: Sequence[Measured]) -> list[str]:
    simple = {name: [row for row in rows if row.model == name] for name in case.simple}
    ours = [row for row in rows if row.model == "netwright"]
    groups = [[row for row in ours if row.settings == settings] for settings in sorted({row.settings for row in ours})]
    return [
        _line(case, bar, {name: summarize(found, bar.metric) for name, found in simple.items() if found}, group)
        for bar in case.bars
        for group in groups or [[]]
        if group or any(simple.values())
    ]


def _line(case: Case, bar: Bar, simple: dict[str, Summary], ours: Sequence[Measured]) -> str:
    level = simple[bar.level].value if isinstance(bar.level, str) and bar.level in simple else bar.level
    level = level if isinstance(level, float) else None
    beside = "; ".join(f"{name} {_spread(found, bar)}" for name, found in simple.items())
    shown = "" if level is None else f"{'≥' if bar.higher_is_better else '≤'} {number(level, bar)}"
    if not ours:
        return f"| {case.name} | | {bar.metric} | {beside} | | | {shown} | | | | |"
    found = summarize(ours, bar.metric)
    name = case.name if ours[0].settings == "{}" else f"{case.name} `{ours[0].settings}`"
    cells = (
        name,
        f"{ours[0].train_rows:,} / {ours[0].test_rows:,}",
        bar.metric,
        beside,
        _spread(found, bar),
        f"{number(found.low, bar)} to {number(found.high, bar)}",
        f"{shown} ({bar.level})" if isinstance(bar.level, str) else shown,
        verdict(found, level, bar.higher_is_better),
        f"{mean(row.parameters for row in ours):,.0f}",
        f"{mean(row.epochs for row in ours):.0f}",
        f"{found.seconds:.1f}",
    )
    return "| " + " | ".join(cells) + " |"


def _spread(found: Summary, bar: Bar) -> str:
    return number(found.value, bar) + (f" ± {number(found.spread, bar)}" if found.spread else "")


def number(value: float, bar: Bar) -> str:
    """Four digits behind the point for shares; two for errors in the target's units."""
    return f"{value:.4f}" if bar.higher_is_better else f"{value:.2f}"
