"""Whether a change makes networks better: trained with and without it on the same seeds, scored on the same rows."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from netwright.data.readers.files import counted
from netwright.records.batch import Examples
from netwright.records.errors import DataError, RecipeError
from netwright.records.proof import Gain
from netwright.records.run import Run
from netwright.statistics import pigeonhole
from netwright.training.evaluate import device_of, evaluating

LEAST_SEEDS = 3
WORST = 2.0  # times the greatest finite value: what stands for an infinite one, so that any finite training is a gain

Measures = Mapping[str, NDArray[np.float64]]
"""For each metric (seeds, rows): smaller is better; NaN where a row cannot be read, infinity for no answer."""


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
    """The measures of several seeds: of one, each is (rows,)."""
    return {name: np.stack([one[name] for one in measured]) for name in measured[0]}


def verdict(gain: Gain) -> tuple[bool, str]:
    """Whether a change is kept, and why."""
    if gain.low > 0:
        return True, f"{gain.metric} is better beyond chance"
    return False, f"{gain.metric} is worse" if gain.high < 0 else f"no gain in {gain.metric} beyond chance"


def gain(metric: str, before: NDArray[np.float64], after: NDArray[np.float64], seed: int) -> Gain:
    """The paired bootstrap over rows and seeds together, of rows that can be read with and without the change.

    Infinite values count as WORST times the greatest finite one.
    """
    known = ~(np.isnan(before).any(0) | np.isnan(after).any(0))
    if not known.any():
        raise DataError("no test row can be read with and without the change", remedy="change less.")
    before, after = before[:, known], after[:, known]
    whole = np.stack((before, after))
    worst = WORST * np.abs(whole).max(initial=0.5, where=np.isfinite(whole))
    before, after = np.where(np.isfinite(whole), whole, worst)
    by = pigeonhole(before - after, seed)
    told = (lambda errors: 1 - errors.mean()) if metric.endswith("accuracy") else (lambda errors: errors.mean())
    return Gain(metric, float(told(before)), float(told(after)), by.value, by.low, by.high, before.shape[1])
