"""The encoded columns of one kind, and the rows of them that could be read."""

from typing import TypeVar

import numpy as np
from torch import Tensor

from netwright.checks.evidence import FAST_ROWS, DataEvidence, Skip
from netwright.data.examples import InMemory
from netwright.data.mapped import Encoder
from netwright.data.split import Rows
from netwright.records.schema import Field

F = TypeVar("F", bound=Field)


def encoded(evidence: DataEvidence, kind: type[F]) -> tuple[tuple[F, Tensor | Encoder], ...]:
    """Each column of the kind with its tensor of all rows. Raises Skip where there is none."""
    prepared = evidence.prepared
    if prepared is None or not isinstance(prepared.train, InMemory):
        raise Skip("the data are not encoded")
    columns = zip(prepared.schema.blocks, prepared.train.inputs, strict=True)
    found = tuple((block.fields[0], column) for block, column in columns if isinstance(block.fields[0], kind))
    if not found:
        raise Skip(f"there is no column of the kind {kind.kind}")
    return found


def readable(evidence: DataEvidence, most: int = FAST_ROWS) -> Rows:
    """`evidence.rows(most)` without those that could not be read."""
    bad = {} if evidence.prepared is None else evidence.prepared.bad
    return np.setdiff1d(evidence.rows(most), np.fromiter(bad, np.int64, len(bad)), assume_unique=True)
