"""Simple forecasts: the last value, the last season, the profile of the last ones, ridge regression, boosted trees."""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from netwright.models.forecaster import usual
from netwright.models.history import History
from netwright.records.batch import Batch, Examples
from netwright.tasks.least_squares import Windows, around, held_out, least_squares

MOST_NUMBERS = 2_000_000  # of windows that are learned from: 8 MB
LEARNED = 1_000_000  # numbers of other columns, to learn their means and spreads from
AT_ONCE = 256  # windows that are scaled
TREE_ROWS = 40_000  # pairs of a window and a step that trees learn from: seconds on one core
TREE_NUMBERS = 2_500_000  # in these rows: sklearn copies them to float64, twice
FIRST_SHARE = 4  # a part of the rows is enough for the trees whose errors on later windows say how wide intervals are
TREES = 100  # 200 lowered the error on ETTh1 by less than one percent
TREE_WINDOWS = 256  # that those errors are of
PAIRS = 8_192  # that trees answer at once: sklearn copies them to float64
RECENT = 8  # last steps that trees see
CYCLES = 1, 2, 3, 7, 14  # seasons before of which trees see the same step: days of a week among hours

Point = Callable[[Tensor, Tensor], Tensor]
"""Scaled past (B, targets, lags) and covariates (B, width) -> (B, targets, ahead), on the same scale."""
Rule = Callable[[Batch], Tensor]


def drawn(train: Examples, history: History, *, is_relative: bool) -> Windows:
    """Evenly spread training windows as `history` reads them, after it learned from them; in order of time.

    Errors count in standard deviations of the target, or (`is_relative`) in units of each series' own usual error.
    """
    order = train.order
    rows = train.rows if order is None else train.rows[order.argsort(stable=True)]
    moments = torch.arange(len(rows)) if order is None else order.sort(stable=True).values
    train, targets = train.plain().uncut(), len(history.mean)
    first = train.take(rows[:1])
    history.learn(train.take(rows[_spread(len(rows), LEARNED // sum(x.numel() for x in first.inputs))]).inputs)
    chosen = _spread(len(rows), MOST_NUMBERS // (targets * (history.lags + history.ahead) + history.width))
    parts = [_scaled(train.take(some), history, is_relative=is_relative) for some in rows[chosen].split(AT_ONCE)]
    past, shared, future, weights = (torch.cat(some) for some in zip(*parts, strict=True))
    return Windows(past, shared, future, weights, moments[chosen])


def _spread(count: int, most: int) -> Tensor:
    """At most so many places of so many, evenly spread, with the first and the last; at least one."""
    return torch.from_numpy(np.linspace(0, count - 1, max(1, min(count, most))).round().astype(np.int64))


def _scaled(batch: Batch, history: History, *, is_relative: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Past, covariates, future and weights."""
    past, middle, spread, shared = history(*batch.inputs)
    future = (batch.targets[0].float().transpose(1, 2) - middle) / spread
    return past, shared, future, spread[..., 0] / (batch.targets[1].float() if is_relative else 1)


def rules(
    train: Examples, history: History, season: int, levels: Sequence[float], *, is_relative: bool
) -> Mapping[str, Rule]:
    """By name: from a batch to quantiles (B, ahead, targets, levels), standardized.

    Quantiles lie around the forecast as its errors do, at each step and in units of the window's spread; the median is
    the forecast. Errors of what was fitted are those on windows that it was not fitted to.
    """
    windows = drawn(train, history, is_relative=is_relative)
    lags, ahead = history.lags, history.ahead
    usuals = {"last value": usual(lags, ahead, 1)}
    if season > 1:
        last = torch.zeros(lags, ahead)
        steps = torch.arange(ahead)
        last[lags - season + steps % season, steps] = 1.0
        usuals["one season before"] = last
        if lags >= 2 * season:
            usuals["profile of the last seasons"] = usual(lags, ahead, season)
    found = dict[str, Rule]()
    for name, weights in usuals.items():
        missed = (windows.future - windows.past @ weights).flatten(0, 1)
        found[name] = _rule(lambda past, shared, weights=weights: past @ weights, around(missed, levels), history)
    fit = least_squares(windows, season, levels)
    found["ridge on the past"] = _rule(fit, fit.errors, history)
    trees, errors = _trees(windows, history, season, levels)
    return {**found, "boosted trees": _rule(trees, errors, history)}


def _rule(point: Point, around: Tensor, history: History) -> Rule:
    around = around.float()

    def answer(batch: Batch) -> Tensor:
        past, middle, spread, shared = history(*(x.cpu() for x in batch.inputs))
        forecast = point(past, shared)[..., None] + around
        return (forecast * spread[..., None] + middle[..., None]).transpose(1, 2).to(batch.rows.device)

    return answer


def _trees(windows: Windows, history: History, season: int, levels: Sequence[float]) -> tuple[Point, Tensor]:
    """Boosted trees that see a step's number, the last steps, the same step of the last seasons, and the covariates.

    And the quantiles of the errors that trees make on later windows.
    """
    early, late = held_out(windows)
    late = late.thinned(TREE_WINDOWS)
    columns = _columns(windows.past[:1], windows.shared[:1], history, season, np.arange(1)).shape[1]
    most = min(TREE_ROWS, TREE_NUMBERS // columns)
    first = _boosted(early, history, season, most // FIRST_SHARE)
    missed = (late.future - first(late.past, late.shared)).flatten(0, 1)
    return _boosted(windows, history, season, most), around(missed, levels)


def _boosted(windows: Windows, history: History, season: int, most: int) -> Point:
    from sklearn.ensemble import HistGradientBoostingRegressor

    total = windows.future.numel()
    chosen = _spread(total, most).numpy()
    y = windows.future.flatten().numpy()[chosen]
    known = np.isfinite(y)
    x = _columns(windows.past, windows.shared, history, season, chosen[known])
    model: Any = HistGradientBoostingRegressor(loss="absolute_error", max_iter=TREES, random_state=0)
    model.fit(x, y[known])

    def point(past: Tensor, shared: Tensor) -> Tensor:
        shape = (len(past), past.shape[1], history.ahead)
        pairs = np.split(np.arange(prod(shape)), range(PAIRS, prod(shape), PAIRS))
        found = [model.predict(_columns(past, shared, history, season, some)) for some in pairs]
        return torch.from_numpy(np.concatenate(found)).float().reshape(shape)

    return point


def _columns(past: Tensor, shared: Tensor, history: History, season: int, pairs: np.ndarray) -> np.ndarray:
    """(pairs, columns) float32 of window, target and step."""
    ahead, lags, targets = history.ahead, history.lags, past.shape[1]
    which, step = pairs // ahead, pairs % ahead
    flat = past.flatten(0, 1).numpy()
    parts = [step[:, None].astype(np.float32), flat[:, -RECENT:][which]]
    for cycle in CYCLES:
        if season > 1 and cycle * season <= lags:
            parts.append(flat[which, lags - cycle * season + step % season][:, None])
    if season > 1:
        parts.append(flat[:, -season:].mean(1)[which][:, None])
    if targets > 1:
        parts.append((which % targets)[:, None].astype(np.float32))
    if shared.shape[1]:
        parts.append(shared.numpy()[which // targets])
    return np.concatenate(parts, 1)
