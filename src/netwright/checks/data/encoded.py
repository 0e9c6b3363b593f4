"""The encoded columns of one family, and their readable rows."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from netwright.checks.evidence import FAST_ROWS, DataEvidence, Skip
from netwright.data.split import Rows
from netwright.records.batch import Examples
from netwright.records.features import Summary
from netwright.records.schema import Block, Family, Field, Schema

Column = Callable[[Tensor], Tensor]
"""(row numbers) -> their encoded cells."""


def encoded(evidence: DataEvidence, family: Family) -> tuple[tuple[Field, Column], ...]:
    """Each column of the family. Raises Skip if there is none."""
    if evidence.prepared is None:
        raise Skip("the data are not encoded")
    found = tuple((b.fields[0], column) for b, column in blocks(evidence) if b.fields[0].family == family)
    if not found:
        raise Skip(f"there is no column of {family}")
    return found


def blocks(evidence: DataEvidence) -> tuple[tuple[Block, Column], ...]:
    """Each block of inputs with its column; none if the data cannot be encoded."""
    prepared = evidence.prepared
    if prepared is None:
        return ()
    columns = (partial(prepared.whole.column, number) for number in range(len(prepared.schema.blocks)))
    return tuple(zip(prepared.schema.blocks, columns, strict=True))


def summaries(schema: Schema, examples: Examples, rows: Rows) -> list[Summary]:
    """Some encoded rows as columns that a person can name."""
    index = torch.from_numpy(np.asarray(rows, np.int64))
    blocks = enumerate(schema.blocks)
    return [column for number, block in blocks for column in block.summary(examples.column(number, index).cpu())]


def readable(evidence: DataEvidence, most: int = FAST_ROWS) -> Rows:
    """`evidence.rows(most)` without unreadable rows."""
    return np.setdiff1d(evidence.rows(most), evidence.bad, assume_unique=True)
