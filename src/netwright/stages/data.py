"""Data read, split, fixed, prepared and checked."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from netwright.checks import DATA_CHECKS, MODEL_CHECKS
from netwright.checks.evidence import DataEvidence, examine
from netwright.data.dataset import Dataset
from netwright.data.examples import adopted, first_of
from netwright.data.fixes import apply_fixes, as_fixes, spare_scored
from netwright.data.prepare import prepare
from netwright.data.read import read_source
from netwright.data.split import split as split_rows
from netwright.kinds.cells import present
from netwright.machine.device import prepare_device
from netwright.records.batch import Batch, Examples
from netwright.records.errors import DataError, counted, listed
from netwright.records.escaped import one_line
from netwright.records.finding import Report
from netwright.records.options import silent
from netwright.records.result import Tell, Warned
from netwright.records.run import Run
from netwright.records.schema import Schema
from netwright.records.source import Source
from netwright.training.check import check_network
from netwright.training.forms import fitting

SHOWN = 3  # entries of a list
MANY_COLUMNS = 10_000  # from here on their number decides how long checks take


def audited(source: Source, against: Any, seed: int, *, fast: bool, tell: Tell) -> tuple[Report, Dataset]:
    """The findings of the data checks, and the data, fixed if the source has fixes.

    `against` (Any: as the source's data) is new data to compare with. `fast` skips checks that train networks and looks
    at a sample of rows.
    """
    dataset = read_source(source)
    if (width := dataset.table.width) > MANY_COLUMNS:
        tell(f"checking {width:,} columns takes minutes; choose fewer if that is too long")
    new = None if against is None else read_source(replace(source, data=against, target=(), labels="", split=""))
    fixes = as_fixes(source.fixes)
    parts = prepared = None
    problem = ""
    try:
        parts = split_rows(dataset, source, seed=seed)
    except DataError as error:  # the audit itself reports what is wrong with the data
        if fixes:
            raise
        problem = str(error)
    if parts is not None:
        given = len(dataset.notes)
        dataset, fixes = spare_scored(dataset, parts, fixes)
        dataset, parts = apply_fixes(dataset, parts, fixes)
        for note in dataset.notes[given:]:
            tell(note)
        try:
            prepared = prepare(dataset, parts, source)
        except DataError as error:
            problem = str(error)
    evidence = DataEvidence(dataset, parts, prepared, problem, new, seed, fast, tell)
    with prepare_device():
        return examine(evidence, DATA_CHECKS if fast else {**DATA_CHECKS, **MODEL_CHECKS}), dataset


def new_examples(run: Run, data: Any, *, is_labelled: bool) -> Examples:
    """An engineer's own rows for their own network: a loader, or all rows at once, read as `adopt` reads them.

    Without labels whatever the network takes will do. Raises DataError and NetworkError as `adopt`.
    """
    if isinstance(data, str | Path) or (isinstance(data, list) and any(isinstance(x, str | Path) for x in data)):
        problem = f"this run is your own network, which takes tensors, and not {str(data)!r}"
        raise DataError(problem, remedy="give a loader, or tensors.")
    task, name = run.task, "loader of new rows"

    def check(batch: Batch) -> None:
        if is_labelled or batch.targets:
            check_network(run.network, task, batch)
        if not is_labelled:
            task.predict(run.network, batch)

    return adopted(data, name, fitting(run.network, first_of(data, name), check)[0])


@dataclass(frozen=True)
class _Odd:
    """Cells of one column of new rows with one claim: how many, and the first. Without a claim: all with a value."""

    cells: int
    first: str


def count_odd(schema: Schema, dataset: Dataset, found: dict[tuple[str, str], _Odd]) -> None:
    """Adds the cells that are not read as in training to those already found.

    Raises DataError for a column of which nothing can be read from the first rows on.
    """
    for field in schema.inputs:
        if field.name in dataset.mapped or field.name not in dataset.table.columns:
            continue
        cells = dataset.table[field.name]
        known = int(present(cells).sum()) + found.get((field.name, ""), _Odd(0, "")).cells
        found[field.name, ""] = _Odd(known, "")
        for odd in field.odd(cells):
            count, key = int(odd.cells.sum()), (field.name, odd.claim)
            before = found.get(key, _Odd(0, ""))
            row = odd.cells.arg_max() or 0
            first = before.first or (f"{dataset.locate(row)}: {_written(cells[row])}" if count else "")
            if odd.is_lost and count and before.cells + count == known:
                problem = f"no cell of column {field.name!r} can be read as a {field.seen_as}: the first is {first}"
                remedy = f"write it as in training ({field.describe()}), or leave the cells empty."
                raise DataError(problem, remedy=remedy)
            found[key] = _Odd(before.cells + count, first)


def _written(cell: Any) -> str:  # Any: as polars gives it
    """A cell as a message shows it: of a list the first entries."""
    return listed([repr(part) for part in cell], SHOWN) if isinstance(cell, pl.Series) else repr(cell)


def tell_odd(found: Mapping[tuple[str, str], _Odd], tell: Tell) -> None:
    """Reports the cells that were not read as in training; as a Python warning if nobody listens."""
    for (name, claim), odd in found.items():
        if claim and odd.cells:
            known = counted(found[name, ""].cells, "cell")
            _warn(f"{name}: {odd.cells:,} of {known} {claim}; the first is {odd.first}", tell)


def tell_bad(dataset: Dataset, bad: Mapping[int, str], tell: Tell) -> None:
    """Reports what reading skipped and the rows that cannot be read."""
    for note in dataset.notes:
        tell(note)
    tell_unread(NONE_UNREAD.with_rows(dataset, bad), tell)


@dataclass(frozen=True)
class Unread:
    """Rows that cannot be read: how many, and the first with its reason."""

    count: int
    first: str

    def with_rows(self, dataset: Dataset, bad: Mapping[int, str]) -> "Unread":
        """With those of another piece of the data."""
        first = self.first or (f"{dataset.locate(min(bad))}: {bad[min(bad)]}" if bad else "")
        return Unread(self.count + len(bad), first)


NONE_UNREAD = Unread(0, "")


def tell_unread(unread: Unread, tell: Tell) -> None:
    """Reports rows that cannot be read; as a Python warning if nobody listens."""
    if unread.count:
        _warn(f"{counted(unread.count, 'row')} cannot be read, the first is {unread.first}", tell)


def _warn(text: str, tell: Tell) -> None:
    """A warning of Python if nobody listens."""
    if tell is silent:
        warnings.warn(one_line(text), stacklevel=2)
    else:
        tell(Warned(text))
