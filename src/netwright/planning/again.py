"""Training repeated: with other seeds, or on fewer rows."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn

from netwright.machine.randomness import seeded
from netwright.planning.quick import anew, trained
from netwright.records.batch import Examples
from netwright.records.errors import DataError, counted
from netwright.records.history import Progress
from netwright.records.run import Run
from netwright.training.calibrate import calibrate


def trained_again(run: Run, tell: Callable[[str | Progress], object], share: float, seeds: Sequence[int]) -> list[Run]:
    """Repeats a run's training with each seed, on a share of its rows drawn by the seed, with as many steps.

    A run's own `build` is called with torch's generator at the seed. If it always gives the same weights, only the
    order of rows and dropout differ. Raises DataError for a share of a loader's rows, and the error of the first
    training that failed.
    """
    seconds = sum(epoch.seconds for epoch in run.history.epochs)
    rows = "" if share == 1 else f" on {share:.0%} of the rows"
    tell(f"training it again{rows}: {counted(len(seeds), 'training')} of about {seconds:.1f} s")
    done = trained([_untrained(run, share, seed) for seed in seeds], tell)
    for one in done:
        calibrate(one)
    return done


def _untrained(run: Run, share: float, seed: int) -> Run:
    recipe = run.recipe
    epochs = {"epochs": round(recipe.epochs / share), "patience": round(recipe.patience / share)}
    recipe = recipe.edit({**epochs, "seed": seed})
    build = None if run.schema.inputs else partial(_seeded, run.build, seed)
    return anew(run, recipe, run.train if share == 1 else _drawn(run.train, share, seed), build)


def _seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    with seeded(seed):
        return build()


def _drawn(train: Examples, share: float, seed: int) -> Examples:
    if not train.is_indexed:
        problem = "rows from a loader cannot be subsampled"
        raise DataError(problem, remedy="give nw.adopt all rows as one pair (x, y).")
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
    return train.part(order[: max(1, round(share * len(train)))].sort().values)
