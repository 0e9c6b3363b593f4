"""Sheets of Excel and OpenDocument; reading needs the extra `excel`."""

from pathlib import Path

import polars as pl

from netwright.data.dataset import Dataset
from netwright.records.errors import DataError, listed
from netwright.resolve import require

EXCEL = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
EXTRA, INSTEAD = "excel", ", or save the sheet as CSV."


def read_sheet(path: Path) -> Dataset:
    """The first sheet, whose first filled row has the column names; a note names the other sheets.

    Lines count from that row. Raises MissingPackage without fastexcel.
    """
    fastexcel = require("fastexcel", extra=EXTRA, instead=INSTEAD)
    try:
        book = fastexcel.read_excel(path)
        table: pl.DataFrame = book.load_sheet(0, schema_sample_rows=None).to_polars()
    except fastexcel.FastExcelError as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"cannot read {path}: {reason}", remedy="save the sheet again, best as CSV.") from None
    lines = pl.Series("line", range(2, table.height + 2), pl.Int64)
    filled = table.select(pl.any_horizontal(pl.all().is_not_null())).to_series() if table.width else lines > 0
    first, *others = book.sheet_names
    note = f"{path.name}: sheet {first!r} was read, and not {listed(list(map(repr, others)))}"
    return Dataset(table.filter(filled), (), str(path), lines.filter(filled), notes=(note,) if others else ())
