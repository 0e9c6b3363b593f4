"""From raw rows to examples: kinds of columns and the task, learned from training rows; then all rows are encoded."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor

from netwright.data.cache import encode_column
from netwright.data.dataset import Dataset
from netwright.data.examples import InMemory, in_memory
from netwright.data.mapped import PASS_BYTES, Column, Encoder, TargetEncoder
from netwright.data.readers.table import require_column
from netwright.data.split import Rows, Split
from netwright.kinds import KINDS
from netwright.records.batch import Examples
from netwright.records.errors import DataError, Unreadable, counted, listed
from netwright.records.schema import Block, Field, Schema
from netwright.records.source import UNSAID, Source
from netwright.records.task import Labels, Numbers, Task, viewed
from netwright.resolve import resolve, with_detail
from netwright.tasks import TASKS

COUNTING = 0.8  # whole numbers with at least this share of steps of one count the rows, some of which may be missing
FIRST = 8  # cells that quickly show that a column does not count the rows
LOOK = 1_000  # cells that quickly show that a column varies
SHOWN = 30  # columns of one kind that are reported one by one
LEARNED_BYTES = 1 << 30  # of targets on disk to learn a task from; if there are more, an even sample
CUT_BYTES = 1 << 26  # the same of windows that were cut from rows: they overlap, and few hold nearly all numbers
MEASURED = ("numbers", "dates")  # families of cells of which some may be unreadable
PART_NAMES = ("training", "validation", "test")


@dataclass(frozen=True)
class Prepared:
    """All that training needs, and what a person should know about how it was prepared."""

    schema: Schema
    task: Task
    train: Examples
    valid: Examples
    test: Examples
    whole: Examples  # the rows of all parts, ascending
    notes: tuple[str, ...]
    bad: Mapping[int, str]  # rows that cannot be read, and why

    def view(self) -> Labels | Numbers | None:
        """Whether targets are labels or numbers, and the names of labels."""
        return viewed(self.task, self.whole)


def prepare(
    dataset: Dataset,
    parts: Split,
    source: Source = UNSAID,
) -> Prepared:
    """Recognizes kinds and task, learns them from the training rows alone, and encodes every row once.

    `source.kinds` overrides the guessed kinds. `source.task` is a name, a class, a learned task, or None to recognize
    it by the target. Rows that cannot be read are left out and counted.
    Raises DataError for columns of unsupported types, and the errors of kinds and tasks about their cells.
    """
    said = source.kinds
    for name in said if dataset.raw is None else ():  # of rows that were cut, the columns may have become channels
        require_column(dataset, name, "column")
    dataset = replace(dataset, table=dataset.table.drop(parts.drop))
    train = dataset.table[parts.train]
    names, dropped = _useful(dataset, train, said)
    fields = tuple(
        _learned(dataset, dataset.learned_from(train[name]), said.get(name) or dataset.kinds.get(name, ""))
        for name in names
    )
    schema = Schema(fields)
    guesses = _guesses(fields, said, {field.name: _first_lost(dataset, field, parts.train) for field in fields})
    bad, kept = dict[int, str](), list[str]()
    inputs = _encode_inputs(schema, dataset, bad, kept)
    readable = _without(parts.train, bad)
    _require_rows(dataset, readable, "training", bad)
    learned = _task(dataset, source.task, readable, schema)
    targets = _encode_targets(learned, dataset, bad)
    rows = _without(np.sort(np.concatenate([parts.train, parts.valid, parts.test])), bad)
    whole = in_memory(dataset, schema, learned, inputs, targets, rows)
    (train, valid, tests), lost = _parts(dataset, whole, parts, bad)
    name = ", ".join(dataset.targets) or "no target"
    told = [f"{name}: {text}" for text in (learned.describe(), *learned.remarks())]
    columns = (*guesses, *dropped, *_ids(dataset, fields, dataset.table[parts.train]), *kept)
    notes = (*dataset.notes, *columns, *told, parts.how, *parts.notes, *lost)
    train = train.by_length() if learned.by_length else train
    return Prepared(schema, learned, train, valid, tests, whole, notes, bad)


def encode_new(schema: Schema, task: Task | None, dataset: Dataset) -> tuple[InMemory, dict[int, str]]:
    """New rows, encoded by the schema learned in training, with targets if there is a task.

    Rows that cannot be read are left out of the examples; the dict says where they are and why. Columns that the
    schema does not know are ignored. Raises DataError for a missing column.
    """
    needed = (*(f.name for f in schema.inputs), *(dataset.targets if task is not None else ()))
    for name in needed:
        if name not in dataset.table.columns:
            problem = f"{Path(dataset.origin).name} has no column {name!r}"
            raise DataError(problem, remedy=f"include all of {listed(needed)}.")
    bad = dict[int, str]()
    inputs = _encode_inputs(schema, dataset, bad, [])
    targets = () if task is None else _encode_targets(task, dataset, bad)
    rows = _without(np.arange(len(dataset)), bad)
    return in_memory(dataset, schema, task, inputs, targets, rows), dict(sorted(bad.items()))


def _useful(dataset: Dataset, train: pl.DataFrame, said: Mapping[str, str]) -> tuple[list[str], tuple[str, ...]]:
    """Input columns that vary among the training rows or whose kind is known, and a note about the others."""
    known = {*said, *dataset.kinds}
    constant = [name for name in dataset.inputs if name not in known and is_constant(train[name])]
    left = {*constant}
    names = [name for name in dataset.inputs if name not in left]
    if not names:
        came = f"{listed(constant)} never change" if constant else "there is no column beside the target"
        raise DataError(f"{dataset.origin} has nothing to learn from: {came}", remedy="add columns that vary.")
    alone = len(constant) == 1
    columns = f"column {listed(constant)} has" if alone else f"columns {listed(constant)} have"
    note = f"{columns} one value in all training rows and {'was' if alone else 'were'} left out"
    return names, (note,) if constant else ()


def is_constant(cells: pl.Series) -> bool:
    """Whether cells are all the same, or all missing."""
    if cells.dtype.is_nested() or cells.dtype == pl.Binary:
        return False
    return cells.head(LOOK).n_unique() <= 1 and cells.n_unique() == 1


def _learned(dataset: Dataset, cells: pl.Series, said: str) -> Field:
    """The field of a column: of the stated kind, else of the first that matches."""
    if said:
        kind, detail = with_detail("kind", said, KINDS, Field)
        return kind.learn(cells.name, cells, detail)
    for kind in (resolve("kind", name, KINDS) for name in KINDS):
        if kind.is_input and kind.matches(cells):
            return kind.learn(cells.name, cells)
    problem = f"column {cells.name!r} of {Path(dataset.origin).name} holds {cells.dtype}, an unsupported type"
    raise DataError(problem, remedy=f"leave it out (--drop {cells.name}) or turn it into numbers or text.")


def _first_lost(dataset: Dataset, field: Field, rows: Rows) -> str:
    """The place of the first training cell that cannot be read, as words to add; empty if there is none."""
    cells = dataset.table[field.name]
    if field.family not in MEASURED or cells.dtype != pl.String:
        return ""
    lost = [odd.cells for odd in field.odd(cells[rows]) if odd.is_lost]
    first = next((int(which.arg_max() or 0) for which in lost if which.any()), None)
    return "" if first is None else f"; the first is {dataset.locate(int(rows[first]))}"


def _guesses(fields: tuple[Field, ...], said: Mapping[str, str], places: Mapping[str, str]) -> tuple[str, ...]:
    """A line for each column, or one for a kind with very many."""
    counts = Counter(field.seen_as for field in fields)
    lines = [
        f"{field.name}: {field.describe()}{places[field.name]}{' (as you said)' if field.name in said else ''}"
        for field in fields
        if counts[field.seen_as] <= SHOWN
    ]
    many = [kind for kind, count in counts.items() if count > SHOWN]
    return (*lines, *(f"{listed([f.name for f in fields if f.seen_as == kind], 3)}: {kind}" for kind in many))


def _ids(dataset: Dataset, fields: tuple[Field, ...], train: pl.DataFrame) -> tuple[str, ...]:
    """Notes about columns that number or name the rows: they say nothing about other rows."""
    found = list[str]()
    for field in (field for field in fields if field.name not in dataset.mapped):
        counts = train[field.name].dtype.is_integer() and counts_rows(dataset.table[field.name])
        if counts or (field.family == "labels" and train[field.name].n_unique() == len(train)):
            found.append(field.name)
    many = "them" if len(found) > 1 else "it"
    text = f"{listed(found)}: different in every row, like a row's number or name; leave {many} out with --drop"
    return (text,) if found else ()


def counts_rows(cells: pl.Series) -> bool:
    """Whether whole numbers rise from row to row, nearly always by one."""
    if not cells.null_count() and any(after <= before for before, after in pairwise(cells.head(FIRST).to_list())):
        return False  # at once: wide tables have thousands of columns that number nothing
    steps = cells.diff().drop_nulls().to_numpy()
    return len(steps) > 0 and bool(steps.min() > 0) and float((steps == 1).mean()) >= COUNTING


def _task(dataset: Dataset, task: str | type[Task] | Task | None, rows: Rows, schema: Schema) -> Task:
    if not (task is None or isinstance(task, str | type)):
        return task
    if _are_mapped(dataset):
        most = max(1, (LEARNED_BYTES if dataset.raw is None else CUT_BYTES) // max(1, _row_bytes(dataset)))
        rows = rows[:: -(-len(rows) // most)]
    cells = dataset.cells(rows, dataset.targets)
    try:
        return _recognized(dataset, task, cells, schema)
    except Unreadable as error:
        where = dataset.locate(int(rows[min(error.bad)]))
        raise DataError(f"{error.problem} ({where})", remedy=error.remedy) from None


def _recognized(dataset: Dataset, task: str | type[Task] | None, cells: pl.DataFrame, schema: Schema) -> Task:
    if task is not None:
        chosen, detail = with_detail("task", task, TASKS, Task)
        return chosen.learn(cells, schema, dataset.found or detail)
    said = dataset.kinds.get(dataset.targets[0], "") if len(dataset.targets) == 1 else ""
    if said and (family := with_detail("kind", said, KINDS, Field)[0].family):
        known: list[type[Task]] = [resolve("task", name, TASKS) for name in TASKS]
        fitting = [one for one in known if family in one.families]
        if not fitting:
            problem = f"no task predicts the target {dataset.targets[0]!r} as {said}"
            raise DataError(problem, remedy="choose the kind number or category, or name the task with --task.")
        return fitting[0].learn(cells, schema)
    if not dataset.targets and len(schema.inputs) > 1:
        name = Path(dataset.origin).name
        raise DataError(f"{name} has no target", remedy=f"choose the target from {listed(dataset.table.columns)}.")
    for name in TASKS:
        final = resolve("task", name, TASKS)
        if final.matches(cells):
            return final.learn(cells, schema)
    kinds = ", ".join(f"{column.name!r} ({column.dtype})" for column in cells.iter_columns())
    raise DataError(f"no task fits the target {kinds}", remedy="name the task with --task, or choose another target.")


def _encode_inputs(schema: Schema, dataset: Dataset, bad: dict[int, str], notes: list[str]) -> tuple[Column, ...]:
    """A column for each block, as in `Schema.encode`, but unreadable cells are collected, not raised."""
    return tuple(_encode_block(block, dataset, bad, notes) for block in schema.blocks)


def _encode_block(block: Block, dataset: Dataset, bad: dict[int, str], notes: list[str]) -> Column:
    first = block.fields[0]
    if first.name in dataset.mapped:
        return Encoder(first, dataset.mapped[first.name], dataset.table[first.name].to_numpy())
    columns = list[Tensor]()
    for field in block.fields:
        decoded = encode_column(field, dataset.table[field.name])
        columns.append(decoded.tensor)
        bad.update(decoded.bad)
        notes.extend(decoded.notes)
    return torch.stack(columns, dim=1) if first.joins else columns[0]


def _are_mapped(dataset: Dataset) -> bool:
    """Whether targets are on disk."""
    return any(name in dataset.mapped for name in dataset.targets)


def _row_bytes(dataset: Dataset) -> int:
    return int(dataset.cells(np.arange(1), dataset.targets).estimated_size())


def _encode_targets(task: Task, dataset: Dataset, bad: dict[int, str]) -> tuple[Column, ...]:
    """The tensors, or what encodes them batch by batch; then one pass finds what cannot be read.

    If both an input and its target cannot be read, the input's reason is given.
    """
    found = dict[int, str]()

    def encoded(cells: pl.DataFrame) -> tuple[Tensor, ...]:
        try:
            return task.encode(cells)
        except Unreadable as error:
            found.update(error.bad)
            return error.encoded

    if not _are_mapped(dataset):
        targets: tuple[Column, ...] = encoded(dataset.table.select(dataset.targets))
        bad |= found | bad
        return targets
    cells, rows, count = partial(dataset.cells, names=dataset.targets), np.arange(len(dataset)), 0
    for block in np.split(rows, rows[:: max(1, PASS_BYTES // max(1, _row_bytes(dataset)))][1:]):
        found.clear()
        count = len(encoded(cells(block)))
        bad |= {int(block[row]): reason for row, reason in found.items()} | bad
    return tuple(TargetEncoder(encoded, cells, number) for number in range(count))


def _parts(
    dataset: Dataset, whole: InMemory, parts: Split, bad: dict[int, str]
) -> tuple[list[Examples], tuple[str, ...]]:
    """The examples of each part without unreadable rows, and a note for each part that lost some."""
    notes, examples = list[str](), list[Examples]()
    for name, rows in zip(PART_NAMES, (parts.train, parts.valid, parts.test), strict=True):
        kept, lost = _without(rows, bad), np.intersect1d(rows, [*bad]) if bad else rows[:0]
        _require_rows(dataset, kept, name, bad)
        examples.append(replace(whole, index=torch.from_numpy(kept)))
        if len(lost):
            first = int(lost[0])
            text = f"left out {counted(len(lost), f'unreadable {name} row')}"
            notes.append(f"{text}, the first is {dataset.locate(first)}: {bad[first]}")
    return examples, tuple(notes)


def _without(rows: Rows, bad: Mapping[int, str]) -> Rows:
    """Ascending rows that can be read."""
    return np.setdiff1d(rows, [*bad]) if bad else rows


def _require_rows(dataset: Dataset, rows: Rows, part: str, bad: dict[int, str]) -> None:
    if not len(rows):
        first = min(bad, default=0)
        reason = f"; the first is {dataset.locate(first)}: {bad[first]}" if bad else ""
        raise DataError(f"no {part} row can be read{reason}", remedy="repair the files or the cells.")
