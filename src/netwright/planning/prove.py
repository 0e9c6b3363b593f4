"""What fixing data brings, measured: networks trained with and without the fixes on the same seeds and test rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netwright.data.dataset import Dataset
from netwright.data.fixes import apply_fixes, located
from netwright.data.prepare import prepare
from netwright.data.readers.files import counted
from netwright.data.split import Split
from netwright.planning.quick import quick_runs
from netwright.records.errors import DataError, NetwrightError, RecipeError
from netwright.records.finding import Fix
from netwright.records.history import Progress
from netwright.records.proof import Gain, Proof, Proven
from netwright.records.run import Run
from netwright.records.task import Task
from netwright.tasks.cells import as_labels, as_numbers
from netwright.tasks.classification import Classification
from netwright.tasks.regression import Regression
from netwright.training.evaluate import device_of, evaluating, predictions

SEEDS = 5  # pairs of trainings; of three, one in nine bootstrap samples would hold a single seed
LEAST_SEEDS = 3
RESAMPLES = 1000  # the usual number for a 95 % percentile interval

Measures = Mapping[str, NDArray[np.float64]]
"""For each metric (seeds, test rows): smaller is better; NaN where a row cannot be read."""


@final
@dataclass(frozen=True)
class Trial:
    """How both networks are trained: the same but for the fixes."""

    kinds: Mapping[str, str]
    task: str | type[Task] | Task | None
    settings: Mapping[str, object]
    seeds: tuple[int, ...]
    tell: Callable[[str | Progress], object]


def prove_fixes(dataset: Dataset, parts: Split, fixes: Sequence[Fix], trial: Trial) -> Proof:
    """Which kinds of fix make networks better on rows that no fix has touched.

    Every kind (the code of its finding) is tried alone and all of them together, on the same split and seeds as the
    training without. A kind is kept where the 95 % interval of its gain lies above zero; where none does by itself, all
    are kept if they do so together. The gain is that of answers: of accuracy for classes and the mean absolute error
    for numbers, else of the loss. Not of the loss in the former: the labels of the test rows are as wrong as they were,
    and a network that learned from clean ones is punished for being sure. Moves between parts are kept unproven: they
    decide which rows may be trusted to score, which no score can show.

    Raises DataError where there is nothing to prove, RecipeError for fewer than three seeds.
    """
    if len(trial.seeds) < LEAST_SEEDS:
        raise RecipeError(f"{counted(len(trial.seeds), 'seed')} prove nothing", remedy="give three seeds or more.")
    if not fixes:
        raise DataError("there are no fixes to prove", remedy="give some, or audit the data for them.")
    judged = [fix for fix in located(dataset, fixes) if fix.action != "move"]
    codes = tuple(dict.fromkeys(fix.code for fix in judged))
    before = _measured(dataset, parts, (), trial, "without fixes")
    together = _proven("", dataset, parts, judged, before, trial)
    groups = [
        _proven(code, dataset, parts, [fix for fix in judged if fix.code == code], before, trial)
        if len(codes) > 1
        else replace(together, code=code)
        for code in codes
    ]
    if together.is_kept and not any(group.is_kept for group in groups):
        only = "only together with the others do they help"
        groups = [replace(group, is_kept=True, reason=only) for group in groups]
    accepted = {group.code for group in groups if group.is_kept}
    kept = tuple(fix for fix in fixes if fix.action == "move" or fix.code in accepted)
    rest = tuple(fix for fix in fixes if not (fix.action == "move" or fix.code in accepted))
    return Proof(dataset.origin, len(parts.test), trial.seeds, tuple(groups), together, kept, rest)


def _proven(
    code: str, dataset: Dataset, parts: Split, fixes: Sequence[Fix], before: Measures, trial: Trial
) -> Proven:  # fmt: skip
    """One group of fixes against none."""
    used = _but_test(parts, fixes)
    said = partial(Proven, code, len(fixes), len(fixes) - len(used))
    if not fixes:
        return said((), True, "moves between parts alone, which scores do not judge")
    if not used:
        return said((), False, "all of them are in test rows, where nothing is changed while proving")
    try:
        after = _measured(dataset, parts, used, trial, f"with {counted(len(used), 'row')} fixed for {code or 'all'}")
    except NetwrightError as error:
        return said((), False, f"the data cannot be trained on then: {error.problem}")
    gains = tuple(_gain(name, before[name], after[name], trial.seeds[0]) for name in before)
    first = gains[0]
    if first.low > 0:
        return said(gains, True, f"{first.metric} is better beyond chance")
    return said(
        gains, False, f"{first.metric} is worse" if first.high < 0 else f"no gain in {first.metric} beyond chance"
    )


def _measured(dataset: Dataset, parts: Split, fixes: Sequence[Fix], trial: Trial, what: str) -> Measures:
    """Trains a network for each seed, and measures all of them on the test rows as they are in the raw data."""
    trial.tell(f"proving: {what}, {counted(len(trial.seeds), 'seed')}")
    changed, cut = apply_fixes(dataset, parts, fixes)
    prepared = prepare(changed, cut, kinds=trial.kinds, task=trial.task)
    test = dataset.table[parts.test].select(dataset.targets)
    found = [_on_test(run, cut, test) for run in quick_runs(prepared, trial.settings, trial.seeds, trial.tell)]
    return {name: np.stack([one[name] for one in found]) for name in found[0]}


def _but_test(parts: Split, fixes: Sequence[Fix]) -> list[Fix]:
    """The fixes without those of test rows, which stay as they are."""
    test = set(parts.test.tolist())
    return [fix for fix in fixes if fix.row not in test]


def _on_test(run: Run, cut: Split, test: pl.DataFrame) -> Measures:
    """Each metric for each test row, smaller is better; `test` are the raw targets of the test part."""
    losses = np.full(len(cut.test), np.nan)
    with evaluating(run.network):
        for batch in run.test.batches(run.recipe.batch_size, seed=None):
            given = run.task.losses(run.network, batch.to(device_of(run.network)))
            losses[np.searchsorted(cut.test, batch.rows.numpy())] = given.double().cpu().numpy()
    if not isinstance(run.task, Classification | Regression):
        return {"loss": losses}
    answers = pl.concat(list(predictions(run.network, run.task, run.test, run.recipe)))
    places = np.searchsorted(cut.test, answers["row"].to_numpy())
    errors = np.full(len(cut.test), np.nan)
    truth = test.to_series()[places]
    if isinstance(run.task, Classification):
        errors[places] = (as_labels(truth) != answers["prediction"]).to_numpy()
        return {"accuracy": errors, "loss": losses}
    errors[places] = (as_numbers(truth) - answers["prediction"]).abs().to_numpy()
    return {"mae": errors}  # losses of different fixes are in units of different spread


def _gain(metric: str, before: NDArray[np.float64], after: NDArray[np.float64], seed: int) -> Gain:
    """The paired bootstrap over test rows and seeds together, of rows that can be read with and without the fixes.

    Rows and seeds are drawn with replacement, each by itself: the pigeonhole bootstrap of Owen 2007, arXiv:0712.1111,
    whose intervals are rather too wide than too narrow.
    """
    known = np.isfinite(before).all(0) & np.isfinite(after).all(0)
    if not known.any():
        raise DataError("no test row can be read with and without the fixes", remedy="apply fewer of them.")
    before, after = before[:, known], after[:, known]
    better = before - after
    seeds, rows = better.shape
    generator = np.random.default_rng(seed)
    drawn = [
        better[generator.integers(0, seeds, seeds)].mean(0)[generator.integers(0, rows, rows)].mean()
        for _ in range(RESAMPLES)
    ]
    low, high = np.percentile(drawn, (2.5, 97.5))
    told = (lambda errors: 1 - errors.mean()) if metric == "accuracy" else (lambda errors: errors.mean())
    return Gain(metric, float(told(before)), float(told(after)), float(better.mean()), float(low), float(high), rows)
