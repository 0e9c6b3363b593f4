"""Opening files: compressed or not, in any encoding, with errors that name the file."""

import codecs
import gzip
import io
import os
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import IO, Any, BinaryIO, TextIO

from netwright.machine.memory import free_memory
from netwright.records.errors import BudgetError, DataError, counted
from netwright.records.paths import open_regular, require_regular, spelled

CHUNK = 1 << 22  # bytes checked at once: bounds memory
LONGEST_LINE = 1 << 26  # characters of a line, such as a row of JSON with a picture in it
UNPACKED_BYTES = 1 << 28  # that any compressed file may have
MOST_TIMES = 200  # times its size that it may have beyond: tables have 3 to 30; deflate's most is 1,032
MOST_COLUMNS = 50_000  # of a table: each costs milliseconds in every step, so more would take hours
HEAD = 4096  # bytes that show whether a file is text
ZEROS_IN_UTF32 = 0.9  # share of zero bytes at both middle places of four: Latin letters have them
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
            f"{spelled(path)} was removed while it was read", remedy="leave the data in place until they are read."
        ) from None
    except PermissionError:
        raise DataError(f"no permission to read {spelled(path)}", remedy="allow reading it (chmod +r).") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        problem = f"{spelled(path)} is a broken gzip file: {error}"
        raise DataError(problem, remedy="download or compress it again.") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"cannot read {spelled(path)}: {reason}", remedy="give a readable file.") from None
    except MemoryError:
        raise too_large(path) from None


def too_large(path: Path) -> BudgetError:
    """The error for data that do not fit into memory."""
    remedy = "give fewer rows or smaller files, or use a machine with more memory."
    return BudgetError(f"{spelled(path)} does not fit into memory", remedy=remedy)


def require_memory(path: Path) -> None:
    """Raises BudgetError if a file alone is larger than the memory that is free, and OSError if it is no file."""
    require_regular(found := os.stat(path))
    if found.st_size > free_memory():
        raise too_large(path)


def open_bytes(path: Path) -> IO[bytes]:
    """The content of a regular file; `.gz` is decompressed. Raises OSError for anything else.

    Reading raises DataError if far more is unpacked than data compress to.
    """
    file = open_regular(path)
    return io.BufferedReader(_Unpacked(path, file), CHUNK) if path.suffix.lower() == ".gz" else file


class _Unpacked(io.RawIOBase):
    """A compressed file, unpacked up to a ratio."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        super().__init__()
        self._path, self._file, self._stream = path, file, gzip.GzipFile(fileobj=file)
        self._most = max(UNPACKED_BYTES, MOST_TIMES * os.fstat(file.fileno()).st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # Any: whatever can be written to
        count = self._stream.readinto(buffer)
        if self._stream.tell() > self._most:
            problem = f"{spelled(self._path)} unpacks to more than {MOST_TIMES} times its size"
            raise DataError(problem, remedy="unpack it yourself (gunzip), and give the file that comes out.")
        return count

    def close(self) -> None:
        self._stream.close()
        self._file.close()
        super().close()


def lines_of(stream: TextIO, path: Path, first: int = 1) -> Iterator[str]:
    """The lines, which may be very long, but not endless. Raises DataError."""
    for number in count(first):
        line = stream.readline(LONGEST_LINE)
        if not line:
            return
        if len(line) == LONGEST_LINE and not line.endswith("\n"):
            problem = f"{spelled(path)}, line {number} has more than {LONGEST_LINE:,} characters"
            raise DataError(problem, remedy="end each row with a line break.")
        yield line


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
        if wide := _wide(head):
            return wide, f"{spelled(path.name)} was read as {wide[:6].upper()}"
        if head.startswith(NOT_TEXT) or head.count(0) > ZEROS_IN_TEXT * len(head):
            raise DataError(
                f"{spelled(path)} is not text: it starts with {head[:4]!r}", remedy="export it as text in UTF-8."
            )
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
                f"{spelled(path.name)} is not UTF-8 (byte 0x{byte:02x} near position {read + error.start}): "
                "read as cp1252, Western European; save it as UTF-8 if letters look wrong"
            )
    return "utf-8-sig", f"{spelled(path.name)}: {counted(zeros, 'zero byte')} left out" if zeros else ""


def _wide(head: bytes) -> str:
    """UTF-32 or UTF-16, by its mark or by zero bytes; empty for others."""
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):  # the first starts like UTF-16's
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if head and min(head[1::4].count(0), head[2::4].count(0)) > ZEROS_IN_UTF32 * (len(head) // 4):
        return "utf-32-be" if head[0::4].count(0) > head[3::4].count(0) else "utf-32-le"
    half = len(head) // 2
    if half and head[1::2].count(0) > ZEROS_IN_UTF16 * half > head[0::2].count(0):
        return "utf-16-le"
    if half and head[0::2].count(0) > ZEROS_IN_UTF16 * half > head[1::2].count(0):
        return "utf-16-be"
    return ""
