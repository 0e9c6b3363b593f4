"""Raw cells before their kind is known: reading them, missing ones, samples, the usual scale."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from torch import Tensor

from netwright.records.errors import DataError, Unreadable, counted
from netwright.records.schema import Field, Odd

TRUTHS = ("true", "false")
YES, NO = ("1", "true", "yes"), ("0", "false", "no")
MISSING = ("", "?", "-", "na", "n/a", "#n/a", "<na>", "nan", "nat", "null", "none")  # lower case
NEARLY_ALL = 0.95  # share of cells that must look like a kind; the rest count as mistakes
SAMPLE = 10_000  # cells to recognize a kind from: enough to see it, and no slower for a million rows

Values = NDArray[Any]


def names(cells: pl.Series) -> pl.Series:
    """Single cells as stripped text; empty and NaN cells are missing. 3, 3.0 and "3" are one name."""
    if cells.dtype.is_float():
        column = pl.col("x")
        is_whole = column.is_finite() & (column == column.floor()) & (column.abs() < 2**53)
        whole = pl.when(is_whole).then(column.cast(pl.Int64, strict=False).cast(pl.String))
        other = column.fill_nan(None).cast(pl.String)
        return cells.to_frame("x").select(whole.otherwise(other).alias(cells.name)).to_series()
    text = cells.cast(pl.String).str.strip_chars()
    return text.set(text == "", None)


def visible(texts: pl.Series) -> pl.Series:
    """Without differences that nobody sees: one Unicode form, plain spaces, no zero-width spaces or soft hyphens."""
    if not (texts.str.len_bytes() > texts.str.len_chars()).any():
        return texts
    plain = texts.str.replace_all(r"[\u{ad}\u{200b}\u{2060}\u{feff}]", "").str.replace_all(r"[\u{a0}\u{202f}]", " ")
    return plain.str.strip_chars().str.normalize("NFC")


def positions(texts: pl.Series, known: Sequence[str]) -> pl.Series:
    """The place of each text among the known ones, as Int64; null if it is none of them.

    A text that is not known as it is may differ from a known one in what nobody sees; true and false in their case.
    """
    own = pl.DataFrame(
        {"text": pl.Series(known, dtype=pl.String), "place": pl.Series(range(len(known)), dtype=pl.Int64)}
    )
    found = _looked_up(texts, own)
    hard = (found.is_null() & texts.is_not_null()).arg_true()
    if hard.is_empty():
        return found
    alike = own.with_columns(_alike(own["text"])).filter(~pl.col("text").is_duplicated())
    return found.scatter(hard, each_distinct(texts.gather(hard), lambda some: _looked_up(_alike(some), alike)))


def _looked_up(texts: pl.Series, known: pl.DataFrame) -> pl.Series:
    return texts.replace_strict(known["text"], known["place"], default=None, return_dtype=pl.Int64)


def one_spelling(texts: pl.Series) -> pl.Series:
    """Visible text in which true and false have one spelling each: their own, or lower case if there are several."""
    plain = visible(texts)
    lower = plain.str.to_lowercase()
    truths = plain.filter(lower.is_in(TRUTHS)).unique()
    return plain.zip_with(~lower.is_in(TRUTHS), lower) if len(truths) > truths.str.to_lowercase().n_unique() else plain


def _alike(texts: pl.Series) -> pl.Series:
    plain, lower = visible(texts), texts.str.to_lowercase()
    return plain.zip_with(~lower.is_in(TRUTHS), lower)


def yes_no(cells: pl.Series) -> pl.Series:
    """1.0 for 1, true and yes, 0.0 for 0, false and no, in any case; missing for anything else."""
    text = names(cells).str.to_lowercase()
    return text.replace_strict([*YES, *NO], [1.0] * len(YES) + [0.0] * len(NO), default=None, return_dtype=pl.Float64)


def words(cells: pl.Series) -> pl.Series:
    """Stripped text; null if it is one of `MISSING`."""
    bare = cells.str.strip_chars()
    is_short = bare.str.len_bytes() <= max(map(len, MISSING))
    if not is_short.any():
        return bare
    is_missing = is_short & bare.str.to_lowercase().is_in(MISSING)
    return bare.set(is_missing.fill_null(False), None)


def present(cells: pl.Series) -> pl.Series:
    """Which cells are not missing."""
    return (words(cells) if cells.dtype == pl.String else cells).is_not_null()


def sample(cells: pl.Series, most: int = SAMPLE) -> pl.Series:
    """At most `most` cells that are not null, evenly spread over the column."""
    present = cells.drop_nulls() if cells.null_count() else cells
    return present.gather_every(-(-len(present) // most)) if len(present) > most else present


def each_distinct(cells: pl.Series, read: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """`read(cells)`, once for each distinct cell if cells repeat, as in most columns of text."""
    distinct = cells.unique()
    if len(distinct) > len(cells) / 2 or cells.is_empty():
        return read(cells)
    values = read(distinct)
    return cells.replace_strict(distinct, values, return_dtype=values.dtype)


def robust(values: Values) -> tuple[float, float]:
    """Median, and the factor that scales values around it to a spread of about one; 0 if they do not vary.

    1 / (q75 - q25), or 2 / range if the quartiles are equal: Holzmueller et al. 2024, arXiv:2407.04491, section 3.
    """
    low, quarter, median, three_quarters, high = _quarters(values)
    spread = three_quarters - quarter or (high - low) / 2
    factor = 1 / spread if spread > 0 else 0.0
    return float(median), float(factor) if np.isfinite(factor) else 0.0


def _quarters(values: Values) -> list[float]:
    """`np.quantile(values, (0, 0.25, 0.5, 0.75, 1))` to the last bit, in a fifth of the time for short columns."""
    last = len(values) - 1
    places = [divmod(last * quarter, 4) for quarter in range(5)]  # the value below, and quarters of the way to the next
    ordered = np.partition(values, sorted({min(below + step, last) for below, _ in places for step in (0, 1)}))
    found = list[float]()
    for below, quarters in places:
        low, high = float(ordered[below]), float(ordered[min(below + 1, last)])
        way, gap = quarters / 4, high - low
        found.append(low + gap * way if quarters < 2 else high - gap * (1 - way))
    return found


def stacked(cells: pl.Series) -> tuple[Values, NDArray[np.bool_]]:
    """The Array cells that are not null as one array (n, *shape), and their rows."""
    return cells.drop_nulls().to_numpy(), cells.is_not_null().to_numpy()


def array_shape(cells: pl.Series) -> tuple[int, ...]:
    """The shape of a column's Array cells; empty for other columns."""
    return tuple(cells.dtype.shape) if isinstance(cells.dtype, pl.Array) else ()


def leaf(dtype: Any) -> pl.DataType:  # Any: the inner type of polars' nested types is not typed
    """The type of the single values inside nested lists and arrays."""
    while isinstance(dtype, pl.Array | pl.List):
        dtype = dtype.inner
    return dtype


def is_single(cells: pl.Series) -> bool:
    """Whether cells are single values that can be written as text."""
    return not cells.dtype.is_nested() and cells.dtype != pl.Binary and cells.dtype != pl.Object


def refuse_detail(kind: str, name: str, detail: str) -> None:
    """For kinds without options. Raises DataError if the user wrote something after the kind."""
    if detail:
        raise DataError(
            f"column {name!r}: the kind {kind} takes no detail, got {detail!r}", remedy=f"write {name}={kind}."
        )


def read_longest(kind: str, name: str, detail: str) -> int:
    """The length that the user wrote after the kind, 0 for none. Raises DataError for anything but a whole number."""
    if detail and not (detail.isdecimal() and int(detail) > 0):
        raise DataError(
            f"column {name!r}: the detail of {kind} must be the greatest length, a whole number, not {detail!r}",
            remedy=f"write for example {name}={kind}:128.",
        )
    return int(detail or 0)


def refuse_cells(kind: str, name: str, cells: pl.Series, wanted: str) -> DataError:
    """The error for cells of a type that the kind cannot read."""
    return DataError(
        f"column {name!r}: {kind} cells must be {wanted}, but the column holds {cells.dtype}",
        remedy=f"choose another kind for {name!r}.",
    )


def unreadable(what: str, first: str, remedy: str, encoded: tuple[Tensor, ...], bad: Mapping[int, str]) -> Unreadable:
    """The error for a target's cells: `in 3 rows 'y' holds no number: the first is row 0, 'x'`."""
    problem = f"in {counted(len(bad), 'row')} {what}: the first is row {next(iter(bad))}, {first}"
    return Unreadable(problem, remedy, encoded, dict(bad))


def lost(cells: pl.Series, read: pl.Series, what: str) -> tuple[Odd, ...]:
    """The texts that cannot be read: `read` is null, and they are not words for a missing cell."""
    if cells.dtype != pl.String:
        return ()
    return (Odd(f"are not {what}: read as missing", read.is_null() & words(cells).is_not_null(), is_lost=True),)


def refuse_missing(field: Field, cells: pl.Series, encoded: Tensor, least: int = 1) -> Tensor:
    """The encoded column. Raises Unreadable for missing cells of a target; in an input they are values.

    A cell is missing if it is NaN, or if none of its indexes is `least` or above.
    """
    if field.role == "input":
        return encoded
    flat = encoded.flatten(1) if encoded.ndim > 1 else encoded[:, None]
    rows = (flat.isnan() if flat.is_floating_point() else flat < least).all(1).nonzero()[:, 0].tolist()
    if not rows:
        return encoded
    bad = {row: f"the cell is {cells[row]!r}" for row in rows}
    what, first = f"{field.name!r} holds no {field.seen_as}", repr(cells[rows[0]])
    raise unreadable(what, first, "leave these rows out, or correct them.", (encoded,), bad)
