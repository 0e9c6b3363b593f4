"""A training repeated at earlier times, each scored on what came next: rolling origins."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace

import numpy as np
import polars as pl

from netwright.data.dataset import Dataset
from netwright.data.prepare import prepare
from netwright.data.split import Rows, Split
from netwright.data.split import split as split_rows
from netwright.machine.device import prepare_device
from netwright.planning.choose import choose
from netwright.planning.quick import untrained
from netwright.records.errors import DataError, counted
from netwright.records.history import Progress
from netwright.records.result import Tell
from netwright.records.rolled import Period, Rolled
from netwright.records.run import Run
from netwright.records.source import Source
from netwright.stages.runs import scored
from netwright.training.calibrate import calibrate
from netwright.training.fit import fit


def require_times(dataset: Dataset) -> None:
    """Raises DataError if the examples have no order in time."""
    if dataset.order is None:
        problem = "these examples have no order in time, so there are no earlier times to train at"
        raise DataError(problem, remedy="leave out --origins; it is for forecasts.")


def rolled(
    dataset: Dataset, parts: Split, source: Source, run: Run, given: Mapping[str, object], count: int, tell: Tell
) -> Rolled:
    """The test part cut into periods of equal length; for each a training on all before it, with the run's settings.

    What is learned from the data (scales, kinds, what is usual) is learned again each time. Raises DataError if a
    period has no examples.
    """
    require_times(dataset)
    order = np.asarray(dataset.order)
    moments = np.unique(order[parts.test])
    if len(moments) < count:
        problem = f"the test part has {counted(len(moments), 'time')}, too few for {count} origins"
        raise DataError(problem, remedy="ask for fewer (--origins), or give more rows.")
    machine = {name: getattr(run.recipe, name) for name in ("precision", "kernels", "compile", "threads")}
    settings, periods = {**given, **machine, "augment": run.recipe.augment}, list[Period]()
    for number, times in enumerate(np.array_split(moments, count), 1):
        tests = np.flatnonzero((order >= times[0]) & (order <= times[-1]))
        tests = np.intersect1d(tests, parts.test)
        tell(f"origin {number} of {count}: training on what was known before, scoring {counted(len(tests), 'example')}")
        periods.append(_period(dataset, np.flatnonzero(order < times[0]), tests, source, settings, tell))
    return Rolled(tuple(periods), run.task.trivial)


def _period(
    dataset: Dataset, before: Rows, tests: Rows, source: Source, settings: Mapping[str, object], tell: Tell
) -> Period:
    which = np.zeros(len(dataset), bool)
    which[before] = which[tests] = True
    named = np.full(len(dataset), "train", object)
    named[tests] = "test"
    told = replace(dataset, parts=pl.Series("part", named, pl.String)).keep(pl.Series(which), "")
    prepared = prepare(told, split_rows(told, source), source)
    recipe, _ = choose(prepared.schema, prepared.task, len(prepared.train), settings)
    run = _trained(untrained(prepared, recipe), tell)
    run = scored(run, tell)
    if run.scores is None:
        raise DataError("a period has no examples to score", remedy="ask for fewer origins (--origins).")
    spans = None if dataset.spans is None else dataset.spans[tests]
    first, last = (0, 0) if spans is None else (int(spans[:, 0].min()), int(spans[:, 1].max()) - 1)
    return Period(_when(dataset, first), _when(dataset, last), len(prepared.train), run.scores, run.baselines)


def _trained(run: Run, tell: Tell) -> Run:
    with prepare_device(run.recipe.threads), closing(fit(run)) as events:
        while True:
            try:
                event = next(events)
            except StopIteration as end:
                trained: Run = end.value
                break
            if isinstance(event, Progress):
                tell(event)
    calibrate(trained)
    return trained


def _when(dataset: Dataset, row: int) -> str:
    """The time of a raw row; its number if the data have no times."""
    times = None if dataset.raw is None else dataset.raw.times
    return f"row {row:,}" if times is None else str(times[row]).removesuffix(" 00:00:00")
