"""Simple forecasts: the last value, the last season, the profile of the last ones, ridge regression, boosted trees."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from netwright.models.forecaster import usual
from netwright.models.history import History
from netwright.records.batch import Batch, Examples
from netwright.tasks.least_squares import Windows, least_squares

MOST_NUMBERS = 4_000_000  # of windows that are learned from: 32 MB in float64
TREE_ROWS = 40_000  # pairs of a window and a step that trees learn from: seconds on one core
TREES = 100  # 200 lowered the error on ETTh1 by less than one percent
TREE_WINDOWS = 256  # whose errors say how wide the trees' intervals are
RECENT = 8  # last steps that trees see
CYCLES = 1, 2, 3, 7, 14  # seasons before of which trees see the same step: days of a week among hours

Point = Callable[[Tensor, Tensor], Tensor]
"""Scaled past (B, targets, lags) and covariates (B, width) -> (B, targets, ahead), on the same scale."""
Rule = Callable[[Batch], Tensor]


@final
@dataclass(frozen=True, eq=False)
class Drawn:
    """Evenly spread training windows: encoded, and scaled."""

    batch: Batch
    windows: Windows
    middle: Tensor  # (N, targets, 1), in standard deviations of the target
    spread: Tensor

    def thinned(self, most: int) -> "Drawn":
        """Every few windows."""
        step = -(-len(self.middle) // most)
        return replace(
            self,
            windows=self.windows.slice(0, len(self.middle), step),
            middle=self.middle[::step],
            spread=self.spread[::step],
        )


def drawn(train: Examples, history: History, *, is_relative: bool) -> Drawn:
    """Training windows as `history` reads them, after it learned from them.

    Errors count in standard deviations of the target, or (`is_relative`) in units of each series' own usual error.
    """
    rows = train.rows
    first = train.take(rows[:1])
    each = sum(x.numel() for x in (*first.inputs, *first.targets))
    chosen = np.linspace(0, len(rows) - 1, max(1, min(len(rows), MOST_NUMBERS // each))).round().astype(np.int64)
    batch = train.plain().uncut().take(rows[torch.from_numpy(chosen)])
    history.learn(batch.inputs)
    past, middle, spread, shared = (x.double() for x in history(*batch.inputs))
    future = (batch.targets[0].double().transpose(1, 2) - middle) / spread
    weights = spread[..., 0] / batch.targets[1].double() if is_relative else spread[..., 0]
    return Drawn(batch, Windows(past, shared, future, weights), middle, spread)


def rules(
    train: Examples, history: History, season: int, levels: Sequence[float], *, is_relative: bool
) -> Mapping[str, Rule]:
    """By name: from a batch to quantiles (B, ahead, targets, levels), standardized.

    Quantiles lie around the forecast as the errors on training windows do, at each step and in units of the window's
    spread; the median is the forecast.
    """
    some = drawn(train, history, is_relative=is_relative)
    lags, ahead = history.lags, history.ahead
    points: dict[str, Point] = {"last value": _weighted(usual(lags, ahead, 1))}
    if season > 1:
        last = torch.zeros(lags, ahead)
        steps = torch.arange(ahead)
        last[lags - season + steps % season, steps] = 1.0
        points["one season before"] = _weighted(last)
        if lags >= 2 * season:
            points["profile of the last seasons"] = _weighted(usual(lags, ahead, season))
    fit = least_squares(some.windows, season, levels)
    points["ridge on the past"] = fit
    found = {name: _with_quantiles(point, some, history, levels) for name, point in points.items()}
    return {**found, "boosted trees": _trees(some, history, season, levels)}


def _weighted(weights: Tensor) -> Point:
    weights = weights.double()
    return lambda past, shared: past @ weights


def _with_quantiles(point: Point, some: Drawn, history: History, levels: Sequence[float]) -> Rule:
    missed = (some.windows.future - point(some.windows.past, some.windows.shared)).flatten(0, 1)
    found = torch.nanquantile(missed, torch.tensor([0.5, *levels], dtype=torch.float64), dim=0).nan_to_num(0.0)
    around = (found[1:] - found[0]).T  # (ahead, levels)

    def answer(batch: Batch) -> Tensor:
        past, middle, spread, shared = (x.double().cpu() for x in history(*(x.cpu() for x in batch.inputs)))
        forecast = point(past, shared)[..., None] + around
        return (forecast * spread[..., None] + middle[..., None]).transpose(1, 2).float().to(batch.rows.device)

    return answer


def _trees(some: Drawn, history: History, season: int, levels: Sequence[float]) -> Rule:
    """Boosted trees that see a step's number, the last steps, the same step of the last seasons, and the covariates."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    windows = some.windows
    count, targets, ahead = windows.future.shape
    total = count * targets * ahead
    chosen = np.linspace(0, total - 1, min(total, TREE_ROWS)).astype(np.int64)
    x = _columns(windows.past, windows.shared, history, season, chosen)
    y = windows.future.flatten().numpy()[chosen]
    known = np.isfinite(y)
    model: Any = HistGradientBoostingRegressor(loss="absolute_error", max_iter=TREES, random_state=0)
    model.fit(x[known], y[known])

    def point(past: Tensor, shared: Tensor) -> Tensor:
        rows = len(past) * targets * ahead
        return torch.from_numpy(model.predict(_columns(past, shared, history, season, np.arange(rows)))).reshape(
            -1, targets, ahead
        )

    return _with_quantiles(point, some.thinned(TREE_WINDOWS), history, levels)


def _columns(past: Tensor, shared: Tensor, history: History, season: int, pairs: np.ndarray) -> np.ndarray:
    """(pairs, columns) float32 of window, target and step."""
    ahead, lags, targets = history.ahead, history.lags, past.shape[1]
    which, step = pairs // ahead, pairs % ahead
    flat = past.flatten(0, 1).numpy()
    parts = [step[:, None], flat[:, -RECENT:][which]]
    for cycle in CYCLES:
        if season > 1 and cycle * season <= lags:
            parts.append(flat[which, lags - cycle * season + step % season][:, None])
    if season > 1:
        parts.append(flat[:, -season:].mean(1)[which][:, None])
    if targets > 1:
        parts.append((which % targets)[:, None])
    if shared.shape[1]:
        parts.append(shared.numpy()[which // targets])
    return np.concatenate(parts, 1).astype(np.float32)
