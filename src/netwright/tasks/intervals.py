"""Quantiles of a forecast: fitted to a held-out part, and read off at any level."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor

from netwright.records.asked import Asked
from netwright.records.errors import RecipeError, counted

# Of the way to the factors that fit the held-out part, in logarithms. On fourteen public series (hours, days, months)
# the share of test values in an 80 % interval was .045 off with half the way, .048 with none, .069 with all of it.
SHARE = 0.5
LEAST_FACTOR, MOST_FACTOR = 0.5, 2.0  # of a stretch: beyond it the network is at fault, not its intervals
LEAST_VALUES = 200  # of the held-out part: with fewer, intervals stay as they are
NEAR = 1e-9  # distances from the median that are none


def stretched(pairs: Iterable[tuple[Tensor, Tensor]], levels: Sequence[float]) -> Tensor:
    """(levels,): the factors of the distances from the median with which each quantile has its share of the targets.

    `pairs` are outputs (n, levels) and targets (n,). The factors keep quantiles in order, and are 1 for the median.
    """
    middle, shares = levels.index(0.5), list[Tensor]()
    for outputs, targets in pairs:
        off = (targets - outputs[:, middle])[:, None]
        shares.append((off / _apart(outputs - outputs[:, middle, None])).double())
    found, factors = torch.cat(shares) if shares else torch.empty(0, len(levels)), torch.ones(len(levels))
    if len(found) < LEAST_VALUES:
        return factors
    for k, level in enumerate(levels):
        if k != middle:
            factors[k] = float(np.quantile(found[:, k].numpy(), level if k > middle else 1 - level))
    factors = factors.clamp(LEAST_FACTOR, MOST_FACTOR) ** SHARE
    upper, lower = factors[middle:].flip(0), factors[: middle + 1]
    upper[-1] = lower[-1] = torch.inf  # the median itself limits nothing
    # No quantile is stretched more than one farther out, so that they cannot cross.
    factors = torch.cat([lower.cummin(0).values[:-1], upper.cummin(0).values.flip(0)])
    factors[middle] = 1.0
    return factors


def _apart(distance: Tensor) -> Tensor:
    return torch.where(distance.abs() < NEAR, NEAR * torch.where(distance < 0, -1.0, 1.0), distance)


def asked_of_forecasts(asked: Asked, horizon: int) -> dict[str, Any]:
    """The fields of a task that answers so. Raises RecipeError for steps it has not learned, and what is for others."""
    for word in ("users", "top", "exclude_seen"):
        if getattr(asked, word) != getattr(Asked(), word):
            name = word.replace("_", "-")
            raise RecipeError(f"--{name} does not suit forecasting", remedy="leave it out: this run forecasts series.")
    if asked.horizon > horizon:
        raise RecipeError(
            f"this run has learned {counted(horizon, 'step')} ahead, not {asked.horizon}",
            remedy=f"ask for {horizon} or fewer, or train with --task forecasting:{asked.horizon}.",
        )
    if not 0 <= asked.service_level < 1:
        raise RecipeError(f"the service level is {asked.service_level}", remedy="give a share below 1, such as 0.95.")
    return {"ask_horizon": asked.horizon, "ask_service": asked.service_level}


def sufficient(quantiles: NDArray[np.float64], levels: Sequence[float], level: float) -> NDArray[np.float64]:
    """(n,): the value that is not exceeded with probability `level`, from quantiles (n, levels).

    Between two levels, and beyond the last, along the quantiles of a normal distribution.
    """
    at, z = ndtri(np.array(levels)), float(ndtri(level))
    place = int(np.clip(np.searchsorted(at, z), 1, len(at) - 1)) if len(at) > 1 else 0
    if not place:
        return quantiles[:, 0]
    share = (z - at[place - 1]) / (at[place] - at[place - 1])
    return quantiles[:, place - 1] + share * (quantiles[:, place] - quantiles[:, place - 1])
