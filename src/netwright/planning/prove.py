"""The measured gain of data fixes: networks trained with and without them on the same seeds and test rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import final

import numpy as np
import polars as pl

from netwright.data.dataset import Dataset
from netwright.data.fixes import apply_fixes, located
from netwright.data.prepare import prepare
from netwright.data.split import Rows, Split
from netwright.kinds.cells import names, positions
from netwright.kinds.number import as_numbers
from netwright.planning.paired import Measured, Measures, check_seeds, gain, losses_of, stacked, verdict
from netwright.planning.quick import quick_runs
from netwright.records.errors import DataError, NetwrightError, counted
from netwright.records.finding import Fix
from netwright.records.history import Progress
from netwright.records.proof import Proof, Proven
from netwright.records.run import Run
from netwright.records.source import Source
from netwright.records.task import Labels, viewed
from netwright.training.evaluate import predictions


@final
@dataclass(frozen=True)
class Trial:
    """How both networks are trained; only the fixes differ."""

    source: Source
    settings: Mapping[str, object]
    seeds: tuple[int, ...]
    tell: Callable[[str | Progress], object]


def prove_fixes(dataset: Dataset, parts: Split, fixes: Sequence[Fix], trial: Trial) -> Proof:
    """Which kinds of fix improve networks on rows that no fix has touched: only training rows are fixed.

    Every kind (the code of its finding) is tried alone, and all together, on the same split and seeds as the training
    without fixes. A kind is kept if the 95 % interval of its gain is above zero; if no kind is, all are kept if they
    gain together. The gain is in answers: accuracy for classes, mean absolute error for numbers; otherwise in the
    loss. Loss would not do for classes and numbers: test labels are as wrong as before, and punish a network that
    learned from clean ones for its confidence. Moves between parts are kept unproven: they decide which rows to trust
    for scoring, which no score can show.

    Raises DataError if there is nothing to prove, RecipeError for fewer than three seeds.
    """
    check_seeds(trial.seeds)
    if not fixes:
        raise DataError("there are no fixes to prove", remedy="give some, or get them from an audit.")
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
        only = "they help only together with the others"
        groups = [replace(group, is_kept=True, reason=only) for group in groups]
    accepted = {group.code for group in groups if group.is_kept}
    kept = tuple(fix for fix in fixes if fix.action == "move" or fix.code in accepted)
    rest = tuple(fix for fix in fixes if not (fix.action == "move" or fix.code in accepted))
    return Proof(dataset.origin, len(parts.test), trial.seeds, tuple(groups), together, kept, rest)


def _proven(
    code: str, dataset: Dataset, parts: Split, fixes: Sequence[Fix], before: Measures, trial: Trial
) -> Proven:  # fmt: skip
    """One group of fixes against none."""
    used = _of_training(parts, fixes)
    said = partial(Proven, code, len(fixes), len(fixes) - len(used))
    if not fixes:
        return said((), True, "only moves between parts, which scores cannot judge")
    if not used:
        return said((), False, "all are in validation and test rows, which stay unchanged here")
    try:
        after = _measured(dataset, parts, used, trial, f"with {counted(len(used), 'row')} fixed for {code or 'all'}")
    except NetwrightError as error:
        return said((), False, f"training on the fixed data fails: {error.problem}")
    gains = tuple(gain(name, before[name], after[name], trial.seeds[0]) for name in before)
    return said(gains, *verdict(gains[0]))


def _measured(dataset: Dataset, parts: Split, fixes: Sequence[Fix], trial: Trial, what: str) -> Measures:
    """Trains a network per seed, and measures all of them on the unchanged test rows."""
    trial.tell(f"proving: {what}, {counted(len(trial.seeds), 'seed')}")
    changed, cut = apply_fixes(dataset, parts, fixes)
    prepared = prepare(changed, cut, trial.source)
    raw = dataset.table.select(dataset.targets)
    return stacked([
        _on_test(run, cut, raw, parts.test)
        for run in quick_runs(prepared, trial.settings, trial.seeds, trial.tell)
    ])  # fmt: skip


def _of_training(parts: Split, fixes: Sequence[Fix]) -> list[Fix]:
    """The fixes except those of rows that choose an epoch or are scored, which stay unchanged."""
    held = {*parts.valid.tolist(), *parts.test.tolist()}
    return [fix for fix in fixes if fix.row not in held]


def _on_test(run: Run, cut: Split, raw: pl.DataFrame, test: Rows) -> Measures:
    """Each metric for each test row; `raw` are the targets of all rows before the fixes, `test` the rows to score."""
    losses = np.full(len(cut.test), np.nan)
    rows, given = losses_of(run, run.test)
    losses[np.searchsorted(cut.test, rows)] = given
    if (view := viewed(run.task, run.test)) is None:
        return {"loss": Measured(losses, "lower")}
    answers = pl.concat(list(predictions(run.network, run.task, run.test, run.recipe)))
    places = np.searchsorted(cut.test, answers["row"].to_numpy())
    values = np.full(len(cut.test), np.nan)
    targets, scored = raw.to_series(), test[places]
    if isinstance(view, Labels):
        right, answered = (positions(names(cells), view.names) for cells in (targets[scored], answers["prediction"]))
        values[places] = (right == answered).to_numpy()
        return {"accuracy": Measured(values, "higher"), "loss": Measured(losses, "lower")}
    values[places] = (as_numbers(targets)[scored] - answers["prediction"]).abs().to_numpy()
    return {"mae": Measured(values, "lower")}  # losses of different fixes are in units of different spread
