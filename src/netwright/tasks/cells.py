"""How raw target cells are read: as labels, as numbers, as yes or no."""

from collections.abc import Sequence

import polars as pl

from netwright.records.errors import DataError

FEW_CLASSES = 20  # more distinct whole numbers are a quantity; digits, stars and months are fewer
ROWS_PER_CLASS = 3  # whole numbers that repeat less often than this are a quantity in a small table
PICTURES = (".png", ".bmp", ".gif", ".tif", ".tiff", ".jpg", ".jpeg", ".webp", ".pgm")
YES, NO = ("1", "true", "yes"), ("0", "false", "no")


def as_labels(cells: pl.Series) -> pl.Series:
    """Labels as text: 3, 3.0 and "3" are one label; true and false for truth values; blank and NaN are missing."""
    if cells.dtype.is_float():
        whole = cells.to_frame("x").select(
            pl.when(pl.col("x").is_finite() & (pl.col("x") == pl.col("x").floor()) & (pl.col("x").abs() < 2**53))
            .then(pl.col("x").cast(pl.Int64, strict=False).cast(pl.String))
            .otherwise(pl.col("x").fill_nan(None).cast(pl.String))
            .alias(cells.name)
        )
        return whole.to_series()
    text = cells.cast(pl.String).str.strip_chars()
    return text.set(text == "", None)


def as_numbers(cells: pl.Series) -> pl.Series:
    """Cells as float64, unreadable ones missing. Text is read as numbers; truth values are 0 and 1."""
    if cells.dtype == pl.String or cells.dtype == pl.Categorical or isinstance(cells.dtype, pl.Enum):
        cells = cells.cast(pl.String).str.strip_chars()
    return cells.cast(pl.Float64, strict=False)


def as_yes_no(cells: pl.Series) -> pl.Series:
    """1.0 for 1, true and yes, 0.0 for 0, false and no, whatever their case; missing for anything else."""
    text = as_labels(cells).str.to_lowercase()
    return text.replace_strict([*YES, *NO], [1.0] * len(YES) + [0.0] * len(NO), default=None, return_dtype=pl.Float64)


def hold_numbers(cells: pl.Series) -> bool:
    """Whether all cells that are not missing are numbers, or text that reads as numbers."""
    if cells.dtype.is_numeric():
        return True
    return cells.dtype == pl.String and 0 < cells.drop_nulls().len() == as_numbers(cells).drop_nulls().len()


def hold_pictures(cells: pl.Series) -> bool:
    """Whether cells are pictures: paths with a picture's ending, encoded files, or arrays of two or three axes."""
    if isinstance(cells.dtype, pl.Array):
        return len(cells.dtype.shape) in (2, 3)
    if cells.dtype != pl.String:
        return cells.dtype == pl.Binary
    known = cells.drop_nulls()
    return len(known) > 0 and bool(
        known.str.to_lowercase().str.contains(rf"({'|'.join(PICTURES)})$".replace(".", r"\.")).all()
    )


def hold_few_whole_numbers(cells: pl.Series) -> bool:
    """Whether numbers look like classes: whole, at most FEW_CLASSES of them, each on ROWS_PER_CLASS rows or more."""
    numbers = as_numbers(cells).drop_nulls().drop_nans()
    distinct = numbers.n_unique()
    few = 0 < distinct <= FEW_CLASSES and len(numbers) >= ROWS_PER_CLASS * distinct
    return few and bool((numbers == numbers.floor()).all())


def only_column(cells: pl.DataFrame, task: str) -> pl.Series:
    """The one target column, or DataError where there are none or several."""
    if cells.width != 1:
        raise DataError(
            f"{task} predicts one column, and {cells.width} were given", remedy="choose one column as the target."
        )
    return cells.to_series()


def count_of(count: int, what: str) -> str:
    """`1 row`, `3 rows`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def encoded_labels(cells: pl.Series, labels: Sequence[str]) -> pl.Series:
    """Each label's position in `labels`, int64; missing where it is not among them."""
    return as_labels(cells).replace_strict(list(labels), range(len(labels)), default=None, return_dtype=pl.Int64)
