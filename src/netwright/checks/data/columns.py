"""Columns of single values, as checks use them: numbers as numbers, texts without outer spaces."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netwright.checks.evidence import DataEvidence, Skip
from netwright.data.split import Rows
from netwright.kinds import KINDS
from netwright.kinds.cells import is_single, words
from netwright.kinds.number import Number
from netwright.kinds.number import as_numbers as read_column
from netwright.records.finding import Action, Fix
from netwright.records.schema import Field
from netwright.resolve import with_detail

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

MOST_FIXES = 100_000  # fixes in one finding: beyond, the column is the problem, not its rows
MOST_ROWS = 100_000  # rows listed in one finding
SINGLE = ("labels", "numbers", "dates")  # families whose cells are single values


@dataclass(frozen=True)
class Columns:
    """Columns of single values in the examined rows, without paths of images and the like."""

    rows: Rows  # numbers of the examined rows
    table: pl.DataFrame  # their cells: texts stripped; NaN and words for missing values are null
    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    numbers: Mapping[str, Floats]  # NaN if missing or not a number; for columns of numbers
    parts: Mapping[str, Mask]  # train, valid, test: which of the rows; empty if they are not split

    @property
    def is_train(self) -> Mask:
        """Training rows; all rows if the data are not split."""
        return self.parts.get("train", np.ones(len(self.rows), bool))

    def texts(self) -> Iterator[tuple[str, pl.Series]]:
        """Columns of text, inputs and targets."""
        return ((c.name, c) for c in self.table.iter_columns() if c.dtype == pl.String)

    def measured(self) -> Iterator[tuple[str, Floats]]:
        """Input columns of numbers."""
        return ((name, self.numbers[name]) for name in self.inputs if name in self.numbers)


def columns(evidence: DataEvidence) -> Columns:
    """The rows a check may examine, read once for all checks."""
    dataset, rows = evidence.dataset, evidence.rows()
    skipped = {*dataset.mapped, *(name for name, kind in dataset.kinds.items() if kind and _family(kind) not in SINGLE)}
    skipped |= {field.name for field in evidence.fields if field.family in ("pictures", "steps", "")}
    names = [n for n in dataset.table.columns if n not in skipped and is_single(dataset.table[n])]
    if not names:
        raise Skip("there are no columns of single values")
    whole = dataset.table.select(names)
    table = whole if len(rows) == len(dataset) else whole[rows]
    table = table.with_columns(
        *(words(c) for c in table.iter_columns() if c.dtype == pl.String),
        *(c.fill_nan(None) for c in table.iter_columns() if c.dtype.is_float()),
    )
    numbers = {c.name: values for c in table.iter_columns() if (values := as_numbers(c)) is not None}
    split = evidence.parts
    parts = {} if split is None else {"train": split.train, "valid": split.valid, "test": split.test}
    return Columns(
        rows,
        table,
        tuple(name for name in names if name not in dataset.targets),
        tuple(name for name in names if name in dataset.targets),
        numbers,
        {part: np.isin(rows, where, assume_unique=True) for part, where in parts.items()},
    )


def _family(kind: str) -> str:
    return with_detail("kind", kind, KINDS, Field)[0].family


def as_numbers(cells: pl.Series) -> Floats | None:
    """Float64 with NaN for missing cells, or None for columns that are not numbers."""
    if cells.dtype.is_numeric():
        numbers = cells.cast(pl.Float64)
        return (numbers.fill_null(float("nan")) if numbers.null_count() else numbers).to_numpy()
    if cells.dtype == pl.String and Number.matches(cells):
        return read_column(cells).fill_null(float("nan")).to_numpy()
    return None


def fixes(
    evidence: DataEvidence, column: str, rows: Rows, action: Action, new: list[str], confidence: float
) -> tuple[Fix, ...]:
    """A fix for each row of a column, up to MOST_FIXES; `new` has an entry per row, "" for a missing cell."""
    dataset, few = evidence.dataset, rows[:MOST_FIXES]
    old = dataset.table[column][few].cast(pl.String).fill_null("").to_list()
    return tuple(
        Fix(int(row), dataset.locate(int(row)), action, column, before, after, confidence=confidence)
        for row, before, after in zip(few, old, new, strict=False)
    )


def listed_rows(rows: Rows) -> tuple[int, ...]:
    """The first rows, as a finding stores them."""
    return tuple(rows[:MOST_ROWS].tolist())


def share_text(share: float) -> str:
    """`5.2 %`, `0.031 %`."""
    return f"{100 * share:.3g} %"
