"""Simple forecasts: the last value, the value one season before, and ridge regression on the past."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from netwright.records.batch import Batch, Examples

MOST_NUMBERS = 4_000_000  # of windows that are learned from: 32 MB in float64
HELD = 5  # one window in five, the latest, chooses the penalty
PENALTIES = (1.0, 10.0, 100.0, 1_000.0)  # on weights of standardized steps

Point = Callable[[Tensor], Tensor]
"""Past (B, lags, targets), standardized and without gaps -> (B, horizon, targets)."""


def rules(
    train: Examples, moments: tuple[Sequence[float], Sequence[float]], season: int, levels: Sequence[float]
) -> Mapping[str, Callable[[Batch], Tensor]]:
    """By name: from a batch to quantiles (B, horizon, targets, levels), standardized by the moments.

    Quantiles lie around the forecast as the errors on training windows do, at each step; the median is the forecast.
    """
    past, future = _drawn(train, moments)
    ahead = future.shape[1]
    points: dict[str, Point] = {"last value": lambda x: x[:, -1:].expand(-1, ahead, -1)}
    if season > 1:
        steps = torch.arange(ahead) % season - season
        points["one season before"] = lambda x: x[:, steps]
    points["ridge on the past"] = ridge(past, future)
    return {name: _with_quantiles(point, past, future, moments, levels) for name, point in points.items()}


def ridge(past: Tensor, future: Tensor) -> Point:
    """Linear in the past minus its last value, alike for all targets; the penalty suits the latest windows."""
    last = past[:, -1:]
    x, y = ((part - last).transpose(1, 2) for part in (past, future))
    cut = len(x) - len(x) // HELD

    def fitted(stop: int, penalty: float) -> Tensor:
        a, b = x[:stop].flatten(0, 1), y[:stop].flatten(0, 1)
        return torch.linalg.solve(a.T @ a + penalty * torch.eye(a.shape[1], dtype=a.dtype), a.T @ b)

    errors = {penalty: float((x[cut:] @ fitted(cut, penalty) - y[cut:]).square().sum()) for penalty in PENALTIES}
    weights = fitted(len(x), min(errors, key=lambda penalty: errors[penalty]))
    return lambda past: ((past - past[:, -1:]).transpose(1, 2) @ weights).transpose(1, 2) + past[:, -1:]


def _drawn(train: Examples, moments: tuple[Sequence[float], Sequence[float]]) -> tuple[Tensor, Tensor]:
    """Past and future of evenly spread windows."""
    rows = train.rows
    first = train.take(rows[:1])
    each = first.inputs[0].numel() + first.targets[0].numel()
    chosen = np.linspace(0, len(rows) - 1, max(1, min(len(rows), MOST_NUMBERS // each))).round().astype(np.int64)
    batch = train.plain().uncut().take(rows[torch.from_numpy(chosen)])
    return _scaled(batch, moments), batch.targets[0].double().cpu()


def _scaled(batch: Batch, moments: tuple[Sequence[float], Sequence[float]]) -> Tensor:
    """(B, lags, targets) float64; a gap is the last value before it, or the mean."""
    mean, scale = (torch.tensor(one, dtype=torch.float64) for one in moments)
    x = (batch.inputs[0].double().cpu() - mean) / scale
    places = torch.where(x.isnan(), -1, torch.arange(x.shape[1])[:, None]).cummax(1).values
    return torch.where(places < 0, 0.0, x.gather(1, places.clamp(min=0)))


def _with_quantiles(
    point: Point,
    past: Tensor,
    future: Tensor,
    moments: tuple[Sequence[float], Sequence[float]],
    levels: Sequence[float],
) -> Callable[[Batch], Tensor]:
    errors = torch.quantile(future - point(past), torch.tensor([0.5, *levels], dtype=torch.float64), dim=0)
    around = (errors[1:] - errors[0]).movedim(0, -1)

    def answer(batch: Batch) -> Tensor:
        return (point(_scaled(batch, moments))[..., None] + around).float().to(batch.targets[0].device)

    return answer
