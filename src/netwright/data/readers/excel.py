"""Sheets of Excel and OpenDocument; reading needs the extra `excel`."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, is_zipfile

import polars as pl

from netwright.data.dataset import Dataset
from netwright.data.readers.files import CHUNK, MOST_TIMES, UNPACKED_BYTES, require_memory
from netwright.records.errors import DataError, listed
from netwright.records.paths import open_regular, spelled
from netwright.resolve import require

EXCEL = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
EXTRA, INSTEAD = "excel", ", or save the sheet as CSV."


def read_sheet(path: Path) -> Dataset:
    """The first sheet, whose first filled row has the column names; a note names the other sheets.

    Lines count from that row. Raises MissingPackage without fastexcel.
    """
    fastexcel = require("fastexcel", extra=EXTRA, instead=INSTEAD)
    require_memory(path)
    _require_unpackable(path)
    try:
        book = fastexcel.read_excel(path)
        table: pl.DataFrame = book.load_sheet(0, schema_sample_rows=None).to_polars()
    except fastexcel.FastExcelError as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"cannot read {spelled(path)}: {reason}", remedy="save the sheet again, best as CSV.") from None
    lines = pl.Series("line", range(2, table.height + 2), pl.Int64)
    filled = table.select(pl.any_horizontal(pl.all().is_not_null())).to_series() if table.width else lines > 0
    first, *others = book.sheet_names
    note = f"{spelled(path.name)}: sheet {first!r} was read, and not {listed(list(map(repr, others)))}"
    return Dataset(table.filter(filled), (), spelled(path), lines.filter(filled), notes=(note,) if others else ())


def _require_unpackable(path: Path) -> None:
    """Raises DataError if the parts of a book unpack to far more than sheets do.

    They are unpacked to count, because what their headers say of their sizes need not be true.
    """
    if not is_zipfile(path):  # the older .xls
        return
    most = max(UNPACKED_BYTES, MOST_TIMES * path.stat().st_size)
    try:
        for count in _unpacked(path):
            most -= count
            if most < 0:
                problem = f"{spelled(path)} unpacks to more than {MOST_TIMES} times its size"
                raise DataError(problem, remedy="save the sheet as CSV.")
    except (BadZipFile, zlib.error, ValueError, NotImplementedError) as error:  # the last for newer versions of zip
        raise DataError(f"cannot read {spelled(path)}: {error}", remedy="save the sheet again, best as CSV.") from None


def _unpacked(path: Path) -> Iterator[int]:
    """How many bytes come out of the parts, piece by piece. Parts may overlap: each counts."""
    with open_regular(path) as file, ZipFile(file) as book:
        for part in book.infolist():
            if part.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
                raise BadZipFile(f"{part.filename!r} is neither stored nor deflated")
            file.seek(part.header_offset)
            header = file.read(30)
            file.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), 1)
            left, stream = part.compress_size, zlib.decompressobj(-zlib.MAX_WBITS)
            while left > 0 and (packed := file.read(min(left, CHUNK))):
                left -= len(packed)
                if part.compress_type == ZIP_STORED:
                    yield len(packed)
                while packed and part.compress_type == ZIP_DEFLATED:
                    yield len(stream.decompress(packed, CHUNK))
                    packed = stream.unconsumed_tail
