"""Opening files: compressed or not, in any encoding, with errors that name the file."""

import codecs
import gzip
import io
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TextIO, cast

from netwright.records.errors import DataError, counted

CHUNK = 1 << 22  # bytes checked at once: bounds memory
MOST_COLUMNS = 50_000  # of a table: each costs milliseconds in every step, so more would take hours
HEAD = 4096  # bytes that show whether a file is text
ZEROS_IN_UTF16 = 0.4  # share of zero bytes at even or odd places; every ASCII letter of UTF-16 has one
ZEROS_IN_TEXT = 0.01  # with more than one zero byte in a hundred it is not text
NOT_TEXT = (
    b"PK\x03\x04",
    b"\xd0\xcf\x11\xe0",
    b"PAR1",
    b"%PDF",
    b"\x1f\x8b",
    b"\x89PNG",
)  # Excel, Parquet, PDF, gz, PNG


@contextmanager
def reading(path: Path) -> Generator[None]:
    """Turns the system's errors while reading `path` into a DataError."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(
            f"{path} was removed while it was read", remedy="leave the data in place until they are read."
        ) from None
    except PermissionError:
        raise DataError(f"no permission to read {path}", remedy="allow reading it (chmod +r).") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is a broken gzip file: {error}", remedy="download or compress it again.") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", remedy="give a readable file.") from None


def open_bytes(path: Path) -> IO[bytes]:
    """The file's content; `.gz` is decompressed."""
    return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix.lower() == ".gz" else path.open("rb")


def open_text(path: Path, encoding: str) -> TextIO:
    """The file as text with `\\n` line ends. Bytes that are invalid in the encoding become U+FFFD."""
    return io.TextIOWrapper(open_bytes(path), encoding=encoding, errors="replace", newline=None)


def require_narrow(origin: object, columns: int) -> None:
    """Raises DataError for more columns than can be looked at one by one."""
    if columns > MOST_COLUMNS:
        problem = f"{origin} has {columns:,} columns, more than {MOST_COLUMNS:,}"
        raise DataError(problem, remedy="choose the columns that matter, or give images and series as arrays.")


def suffix_of(path: Path) -> str:
    """`.csv` for both `people.csv` and `people.CSV.gz`."""
    return Path(path.stem if path.suffix.lower() == ".gz" else path.name).suffix.lower()


def find_encoding(path: Path) -> tuple[str, str]:
    """The encoding, and a note if it is not UTF-8. Raises DataError for files that are not text."""
    with open_bytes(path) as stream:
        head = stream.read(HEAD)
        if utf16 := _utf16(head):
            return utf16, f"{path.name} was read as UTF-16"
        if head.startswith(NOT_TEXT) or head.count(0) > ZEROS_IN_TEXT * len(head):
            raise DataError(f"{path} is not text: it starts with {head[:4]!r}", remedy="export it as text in UTF-8.")
        decoder = codecs.getincrementaldecoder("utf-8")()
        read = zeros = 0
        try:
            while head:
                decoder.decode(head)
                read += len(head)
                zeros += head.count(0)
                head = stream.read(CHUNK)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            return "cp1252", (
                f"{path.name} is not UTF-8 (byte 0x{byte:02x} near position {read + error.start}): read as cp1252, "
                "Western European; save it as UTF-8 if letters look wrong"
            )
    return "utf-8-sig", f"{path.name}: {counted(zeros, 'zero byte')} left out" if zeros else ""


def _utf16(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    half = len(head) // 2
    if half and head[1::2].count(0) > ZEROS_IN_UTF16 * half > head[0::2].count(0):
        return "utf-16-le"
    if half and head[0::2].count(0) > ZEROS_IN_UTF16 * half > head[1::2].count(0):
        return "utf-16-be"
    return ""
