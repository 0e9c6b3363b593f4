"""What a row holds and what an attack changed in it, in words. All text is plain: whoever shows it escapes it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import final

from torch import Tensor

from netwright.records.batch import Batch
from netwright.records.schema import Field, Schema


@final
@dataclass(frozen=True)
class Change:
    """A column before and after, in words.

    `words` holds the words or symbols of a text, before and after: they differ where one was swapped.
    """

    column: str
    before: str
    after: str
    words: tuple[tuple[str, str], ...] = ()


def marked(change: Change, around: int = 6) -> tuple[str, str]:
    """The cell before and after; of a text, each changed word in brackets, with a few words around it."""
    if not change.words:
        return change.before, change.after
    differ = [place for place, (one, other) in enumerate(change.words) if one != other]
    shown = sorted(
        {k for place in differ for k in range(place - around, place + around + 1)} & {*range(len(change.words))}
    )
    return _joined(change.words, shown, 0), _joined(change.words, shown, 1)


def _joined(words: tuple[tuple[str, str], ...], shown: list[int], side: int) -> str:
    """The shown words of one side; what is left out between them is an ellipsis."""
    parts, last = list[str](), -1
    for place in shown:
        pair = words[place]
        parts += ["..."] if place > last + 1 else []
        parts.append(f"[{pair[side]}]" if pair[0] != pair[1] else pair[side])
        last = place
    return " ".join([*parts, *(["..."] if last < len(words) - 1 else [])])


def cells_of(schema: Schema, batch: Batch, row: int) -> list[tuple[str, str]]:
    """(column, cell in words) of a row, by its position in the batch, in the order of the data."""
    cells = {field.name: field.said(cell) for field, cell in _encoded(schema, batch, row)}
    return [(field.name, cells[field.name]) for field in schema.inputs]


def changes_of(schema: Schema, before: Batch, after: Batch, row: int) -> tuple[Change, ...]:
    """The columns of a row that differ between two batches, in the order of the data."""
    pairs = zip(_encoded(schema, before, row), _encoded(schema, after, row), strict=True)
    found = {field.name: _change(field, one, other) for (field, one), (_, other) in pairs if _differ(one, other)}
    return tuple(found[field.name] for field in schema.inputs if field.name in found)


def _encoded(schema: Schema, batch: Batch, row: int) -> Iterator[tuple[Field, Tensor]]:
    """Each field, and its cell of a row."""
    for block, x in zip(schema.blocks, batch.inputs, strict=True):
        for place, field in enumerate(block.fields):
            yield field, x[row, place] if field.joins else x[row]


def _differ(before: Tensor, after: Tensor) -> bool:
    return bool(((before != after) & ~(before.isnan() & after.isnan())).any())


def _change(field: Field, before: Tensor, after: Tensor) -> Change:
    said, now = field.contrasted(before, after)
    return Change(field.name, said, now, tuple(zip_longest(_words(field, before), _words(field, after), fillvalue="")))


def _words(field: Field, cell: Tensor) -> list[str]:
    """Each token of a cell, without padding; none for other kinds."""
    return [word for word in field.decode(cell[:, None]) if word] if field.known_tokens() else []
