"""The linear forecast with the least error: what a network starts at, and what it must beat."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from netwright.models.forecaster import usual

HELD = 5  # one window in five, the latest, chooses among fits
LEAST_HELD = 20  # windows; with fewer, each fifth in turn is forecast from the others
PENALTIES = (10_000.0, 1_000.0, 100.0, 10.0, 1.0)  # on weights of steps in spreads; the first if none can be tried
POWERS = 0, 2  # errors count in spreads of the window, or as `Windows.weights` says
MOST_WIDTH = 2_000  # columns of a fit, covariates for each target included: more are left to the network
AT_ONCE = 1_024  # windows that are summed in float64


@final
@dataclass(frozen=True, eq=False)
class Windows:
    """Scaled windows, float32, in order of time: the past as `History` gives it, and the future on the same scale."""

    past: Tensor  # (N, targets, lags)
    shared: Tensor  # (N, covariates)
    future: Tensor  # (N, targets, ahead); NaN if missing
    weights: Tensor  # (N, targets): what an error of 1 counts
    moments: Tensor  # (N,) int64, ascending: the step of each window

    def __len__(self) -> int:
        return len(self.past)

    def take(self, which: Tensor | slice) -> "Windows":
        """Some of them."""
        return Windows(*(x[which] for x in (self.past, self.shared, self.future, self.weights, self.moments)))

    def thinned(self, most: int) -> "Windows":
        """Every few windows."""
        return self.take(slice(None, None, -(-len(self) // most)))


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
    what forecasts windows best that the fit has not seen. Errors are those on these windows.
    """
    lags, ahead = windows.past.shape[2], windows.future.shape[2]
    centers = [usual(lags, ahead, one) for one in ((season, 1) if season > 1 else (1,))]
    final, way = _fits(windows, centers), 0
    tries = [(_fits(early, centers), late) for early, late in _tries(windows)]
    if tries:
        way = min(range(len(final)), key=lambda way: sum(_error(fits[way], late) for fits, late in tries))
    missed = [_missed(fits[way], late).flatten(0, 1) for fits, late in tries or [(final, windows)]]
    return replace(final[way], errors=around(torch.cat(missed), levels))


def around(missed: Tensor, levels: Sequence[float]) -> Tensor:
    """(ahead, levels): the quantiles of errors (N, ahead) around the forecast itself.

    Their median is taken off: held-out windows may lie above or below their forecasts by chance.
    """
    found = torch.nanquantile(missed.double(), torch.tensor([0.5, *levels], dtype=torch.float64), dim=0).nan_to_num(0.0)
    return (found[1:] - found[0]).T


def held_out(windows: Windows) -> tuple[Windows, Windows]:
    """Windows to fit to, and the latest fifth, which shares no step with them; all twice if none would be left."""
    moments, first = windows.moments, max(0, len(windows) - max(1, len(windows) // HELD))
    first = int(torch.searchsorted(moments, moments[first]))  # with all of its time
    end = int(torch.searchsorted(moments, moments[first] - windows.future.shape[2], right=True))
    return (windows.take(slice(end)), windows.take(slice(first, None))) if end else (windows, windows)


def _tries(windows: Windows) -> Iterator[tuple[Windows, Windows]]:
    """What is fitted to and what is forecast from it: the latest fifth, or each fifth in turn of few windows."""
    if len(windows) // HELD >= LEAST_HELD:
        yield held_out(windows)
        return
    moments, ahead = windows.moments, windows.future.shape[2]
    for some in moments.tensor_split(HELD):
        if len(some):
            late = (moments >= some[0]) & (moments <= some[-1])
            early = (moments <= some[0] - ahead) | (moments >= some[-1] + ahead)
            if early.any():
                yield windows.take(early), windows.take(late)


def _fits(windows: Windows, centers: Sequence[Tensor]) -> list[Linear]:
    """One for each power, penalty and center."""
    (_, targets, lags), covariates = windows.past.shape, windows.shared.shape[1]
    has_beside = targets * covariates + lags <= MOST_WIDTH
    found, none = list[Linear](), torch.zeros(targets, covariates, windows.future.shape[2])
    for power in POWERS:
        gram, right = _sums(windows, torch.cat(tuple(centers), 1).double(), power, has_beside=has_beside)
        for penalty in PENALTIES:
            lower = torch.linalg.cholesky(gram + penalty * torch.eye(len(gram), dtype=gram.dtype))
            weights = torch.cholesky_solve(right, lower).float()
            for center, its in zip(centers, weights.chunk(len(centers), 1), strict=True):
                beside = its[lags + 1 :].reshape(none.shape) if has_beside else none
                found.append(Linear(center + its[:lags], its[lags], beside, none))
    return found


def _sums(windows: Windows, centers: Tensor, power: int, *, has_beside: bool) -> tuple[Tensor, Tensor]:
    """Products of columns with columns, and with what each center leaves of the future: float64."""
    (_, targets, lags), covariates = windows.past.shape, windows.shared.shape[1] * has_beside
    width = lags + 1 + targets * covariates
    gram, right = (centers.new_zeros(width, size) for size in (width, centers.shape[1]))
    scale = windows.weights.double() ** power
    scale = (scale / scale.mean().clamp(min=1e-12)).clamp(max=1e6).sqrt()
    ones, times = torch.ones(AT_ONCE, 1, dtype=gram.dtype), centers.shape[1] // windows.future.shape[2]
    for start in range(0, len(windows), AT_ONCE):
        some = windows.take(slice(start, start + AT_ONCE))
        shared = some.shared[:, :covariates].double()
        for target in range(targets):
            past, weight = some.past[:, target].double(), scale[start : start + AT_ONCE, target, None]
            left = some.future[:, target].double().repeat(1, times) - past @ centers
            left = torch.where(left.isnan(), 0.0, left)  # a missing step counts as forecast by what is usual
            x = torch.cat([past, ones[: len(past)], shared], 1) * weight
            first = lags + 1 + target * covariates
            where = torch.cat([torch.arange(lags + 1), torch.arange(first, first + covariates)])
            gram[where[:, None], where] += x.T @ x
            right[where] += x.T @ (left * weight)
    return gram, right


def _missed(fit: Linear, windows: Windows) -> Tensor:
    return windows.future - fit(windows.past, windows.shared)


def _error(fit: Linear, windows: Windows) -> float:
    """The sum of absolute errors as they count."""
    return float((_missed(fit, windows).abs() * windows.weights[..., None]).nansum())
