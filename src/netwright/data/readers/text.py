"""A file of running text, cut into windows for language models."""

from pathlib import Path

import numpy as np
import polars as pl

from netwright.data.dataset import Dataset
from netwright.data.readers.files import find_encoding, open_text, reading, require_memory
from netwright.kinds.sequence import SYMBOLS
from netwright.records.errors import DataError
from netwright.records.paths import spelled
from netwright.records.source import Source

WINDOW = 256  # characters: a few sentences, and short enough for attention on a laptop


def read_text(source: Source) -> Dataset:
    """Consecutive windows of 256 characters, in column "text"; the last one is shorter."""
    path = Path(source.data)
    with reading(path):
        require_memory(path)
        encoding, note = find_encoding(path)
        with open_text(path, encoding) as stream:
            text = stream.read()
    if not text.strip():
        raise DataError(f"{spelled(path)} is empty", remedy="give a text of a few thousand letters.")
    starts = range(0, len(text), WINDOW)
    breaks = np.flatnonzero(np.array([c == "\n" for c in text]))
    lines = 1 + np.searchsorted(breaks, np.array(starts))
    windows = pl.DataFrame({"text": [text[start : start + WINDOW] for start in starts]})
    few = len(set(text)) <= SYMBOLS  # else words: Chinese has more characters than a column of symbols can hold
    kinds = {"text": source.kinds.get("text", "sequence" if few else "text")}
    return Dataset(windows, (), spelled(path), pl.Series("line", lines, pl.Int64), None, kinds, (note,) if note else ())
