"""Whether a change improves networks: trained with and without it on the same seeds, scored on the same rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from netwright.records.batch import Examples
from netwright.records.errors import DataError, RecipeError, counted
from netwright.records.proof import Gain
from netwright.records.run import Run
from netwright.statistics import pigeonhole
from netwright.tasks.metrics import Better
from netwright.training.evaluate import device_of, evaluating

LEAST_SEEDS = 3
WORST = 2.0  # times the largest finite value replaces an infinite one, so that any finite training is a gain


@final
@dataclass(frozen=True, eq=False)
class Measured:
    """A metric for each row: (rows,) for one training, (seeds, rows) for several.

    NaN if a row cannot be read, infinite for no answer.
    """

    values: NDArray[np.float64]
    better: Better


Measures = Mapping[str, Measured]
"""By the metric's name."""


def check_seeds(seeds: Sequence[int]) -> None:
    """Raises RecipeError for fewer than LEAST_SEEDS."""
    if len(seeds) < LEAST_SEEDS:
        raise RecipeError(f"{counted(len(seeds), 'seed')} prove nothing", remedy="give three seeds or more.")


def losses_of(run: Run, examples: Examples) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Row numbers, and the task's own loss of each row."""
    rows, losses = list[NDArray[np.int64]](), list[NDArray[np.float64]]()
    with evaluating(run.network):
        for batch in examples.batches(run.recipe.batch_size, seed=None):
            rows.append(batch.rows.numpy())
            losses.append(run.task.losses(run.network, batch.to(device_of(run.network))).double().cpu().numpy())
    return np.concatenate(rows), np.concatenate(losses)


def stacked(measured: Sequence[Measures]) -> Measures:
    """Joins the measures of several seeds, each (rows,)."""
    return {
        name: Measured(np.stack([one[name].values for one in measured]), first.better)
        for name, first in measured[0].items()
    }


def verdict(gain: Gain) -> tuple[bool, str]:
    """Whether a change is kept, and why."""
    if gain.low > 0:
        return True, f"{gain.metric} is better beyond chance"
    return False, f"{gain.metric} is worse" if gain.high < 0 else f"no gain in {gain.metric} beyond chance"


def gain(metric: str, before: Measured, after: Measured, seed: int) -> Gain:
    """The paired bootstrap over rows and seeds together, on rows that can be read with and without the change.

    Infinite values count as WORST times the largest finite one.
    """
    whole = np.stack((before.values, after.values))
    whole = whole[:, :, ~np.isnan(whole).any((0, 1))]
    if not whole.size:
        raise DataError("no test row can be read with and without the change", remedy="change less.")
    sign = 1 if before.better == "higher" else -1
    worst = -sign * WORST * np.abs(whole).max(initial=0.5, where=np.isfinite(whole))
    was, now = np.where(np.isfinite(whole), whole, worst)
    by = pigeonhole(sign * (now - was), seed)
    return Gain(metric, float(was.mean()), float(now.mean()), by.value, by.low, by.high, was.shape[1])
