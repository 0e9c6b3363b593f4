"""The linear forecast with the least error: what a network starts at, and what it must beat."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import final

import torch
from torch import Tensor

from netwright.models.forecaster import usual

HELD = 5  # one window in five, the latest, chooses among fits
LEAST_HELD = 20  # windows; with fewer, the errors are those on all
PENALTIES = (1.0, 10.0, 100.0, 1_000.0, 10_000.0)  # on weights of steps in spreads
POWERS = 0, 2  # errors count in spreads of the window, or as `Windows.weights` says
MOST_WIDTH = 2_000  # columns of a fit, covariates for each target included: more are left to the network


@final
@dataclass(frozen=True, eq=False)
class Windows:
    """Scaled windows, float64, in order of time: the past as `History` gives it, and the future on the same scale."""

    past: Tensor  # (N, targets, lags)
    shared: Tensor  # (N, covariates)
    future: Tensor  # (N, targets, ahead); NaN if missing
    weights: Tensor  # (N, targets): what an error of 1 counts

    def slice(self, start: int, end: int, step: int = 1) -> "Windows":
        """Some of them."""
        return Windows(*(x[start:end:step] for x in (self.past, self.shared, self.future, self.weights)))


@final
@dataclass(frozen=True, eq=False)
class Linear:
    """A forecast (N, targets, ahead) from scaled windows, and the quantiles of its errors."""

    past: Tensor  # (lags, ahead)
    bias: Tensor  # (ahead,)
    beside: Tensor  # (targets, covariates, ahead)
    errors: Tensor  # (ahead, levels)

    def __call__(self, past: Tensor, shared: Tensor) -> Tensor:
        """The forecast."""
        return past @ self.past + self.bias + torch.einsum("ns,csa->nca", shared, self.beside)


def least_squares(windows: Windows, season: int, levels: Sequence[float]) -> Linear:
    """Ridge regression on the past and the covariates, around what is usual: the last cycles, or the last value.

    Which of the two, the penalty, and whether errors count in units of each window's own spread or of the target, is
    what forecasts the latest windows best. Errors are those on windows that the choice was made on.
    """
    count, lags, ahead = len(windows.past), windows.past.shape[2], windows.future.shape[2]
    cut = count - count // HELD if count // HELD >= LEAST_HELD else count
    early, late = windows.slice(0, cut), windows.slice(cut if cut < count else 0, count)
    centers = [usual(lags, ahead, one).double() for one in ((season, 1) if season > 1 else (1,))]
    ways = [_Way(center, power, penalty) for center in centers for power in POWERS for penalty in PENALTIES]
    fits = _fits(early, ways)
    scores = [_error(fit, late) for fit in fits]
    place = min(range(len(ways)), key=lambda k: scores[k] if isfinite(scores[k]) else inf)
    chosen = fits[place]
    missed = (late.future - chosen(late.past, late.shared)).flatten(0, 1)
    found = torch.nanquantile(missed, torch.tensor([0.5, *levels], dtype=torch.float64), dim=0).nan_to_num(0.0)
    errors = (
        found[1:] - found[0]
    ).T  # around the forecast itself: the latest windows may lie above or below it by chance
    final = _fits(windows, [ways[place]])[0] if cut < count else chosen
    return replace(final, errors=errors)


@final
@dataclass(frozen=True, eq=False)
class _Way:
    """How to fit: around which weights of the past (lags, ahead), by which power of a window's weight, how freely."""

    center: Tensor
    power: int
    penalty: float


def _fits(windows: Windows, ways: Sequence[_Way]) -> list[Linear]:
    """A fit for each way; sums are computed once for all penalties."""
    found, sums = list[Linear](), dict[tuple[int, int], tuple[Tensor, Tensor]]()
    for way in ways:
        key = id(way.center), way.power
        if key not in sums:
            sums[key] = _sums(windows, way.center, way.power)
        found.append(_solved(sums[key], way, windows))
    return found


def _sums(windows: Windows, center: Tensor, power: int) -> tuple[Tensor, Tensor]:
    """Products of columns with columns, and with what is left of the future."""
    lags, targets, covariates = windows.past.shape[2], windows.past.shape[1], windows.shared.shape[1]
    has_beside = targets * covariates + lags <= MOST_WIDTH
    width = lags + 1 + (targets * covariates if has_beside else 0)
    gram = torch.zeros(width, width, dtype=torch.float64)
    right = torch.zeros(width, center.shape[1], dtype=torch.float64)
    scale = (windows.weights**power / (windows.weights**power).mean().clamp(min=1e-12)).clamp(max=1e6)
    for target in range(targets):
        past, left = windows.past[:, target], windows.future[:, target] - windows.past[:, target] @ center
        known = ~left.isnan()
        left = torch.where(known, left, 0.0)  # a missing step counts as forecast by what is usual
        x = torch.cat(
            [past, torch.ones(len(past), 1, dtype=torch.float64), *([windows.shared] if has_beside else [])], 1
        )
        x = x * scale[:, target, None].sqrt()
        where = torch.arange(lags + 1)
        if has_beside:
            where = torch.cat([where, lags + 1 + target * covariates + torch.arange(covariates)])
        gram[where[:, None], where] += x.T @ x
        right[where] += x.T @ (left * scale[:, target, None].sqrt())
    return gram, right


def _solved(sums: tuple[Tensor, Tensor], way: _Way, windows: Windows) -> Linear:
    gram, right = sums
    lags, ahead = way.center.shape
    targets, covariates = windows.past.shape[1], windows.shared.shape[1]
    found = torch.linalg.solve(gram + way.penalty * torch.eye(len(gram), dtype=torch.float64), right)
    beside = (
        found[lags + 1 :] if len(found) > lags + 1 else torch.zeros(targets * covariates, ahead, dtype=torch.float64)
    )
    none = torch.empty(0)
    return Linear(way.center + found[:lags], found[lags], beside.reshape(targets, covariates, ahead), none)


def _error(fit: Linear, windows: Windows) -> float:
    """The mean absolute error as it counts."""
    off = (windows.future - fit(windows.past, windows.shared)).abs() * windows.weights[..., None]
    return float(off.nanmean())
