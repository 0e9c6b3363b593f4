"""Symbol sequences with strange symbols or a strange length."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import polars as pl

from netwright.checks.data.encoded import encoded
from netwright.checks.data.unlike import Floats, Mask, Odd, deviations, told
from netwright.checks.evidence import DataEvidence
from netwright.records.finding import Finding, Measure

STRANGE = 0.002  # share of all symbols up to which one is strange
MANY = 0.1  # share of a sequence that may be strange symbols: one uncertain symbol is usual, ten of sixty are not
LENGTH = 2.0  # times shorter or longer than the middle sequence
BY = 5.0  # robust standard deviations of the logarithm of the length
SPREAD = 0.1  # lowest standard deviation
ADVICE = "Write them like the others, or drop them."


def odd_sequences(evidence: DataEvidence) -> Iterator[Finding]:
    """odd symbol sequences

    Sequences with symbols that are very rare in the data (lower case among capitals, digits, a letter that means "not
    sure"), and sequences much shorter or longer than the others.

    Why it matters: no network learns a symbol that it sees a few times, and often the symbol is an error. A sequence
    cut short lacks the place that its label is about.

    How it is decided: a symbol is strange if it makes up at most 0.2 % of all symbols. Sequences with more than a tenth
    of strange symbols are a warning, those with fewer a note. A length is odd if it is at most half, or at least twice,
    the middle length and 5 robust standard deviations (of the logarithm, at least 0.1) away. Fewer than 10 sequences
    that are less than 0.1 % of all are a note.
    """
    rows = evidence.rows()
    for field, _ in encoded(evidence, "symbols"):
        cells = evidence.dataset.table[field.name].cast(pl.String)[rows].fill_null("")
        lengths = cells.str.len_chars().to_numpy().astype(np.float64)
        counts = cells.str.split("").explode().drop_nulls().value_counts(name="count")
        symbols = counts.filter((pl.col("count") <= STRANGE * lengths.sum()) & (pl.col(field.name) != ""))[field.name]
        odds = list[Odd]()
        if len(symbols):
            share = _count(cells, symbols) / np.maximum(lengths, 1)
            strange = f"very rare symbols: {' '.join(sorted(symbols))[:60]}"
            is_much, unsure = share > MANY, "a symbol may mean that the true one is uncertain"
            odds = [
                _odd(is_much, share, f"consist largely of {strange}"),
                replace(
                    _odd((share > 0) & ~is_much, share, f"have {strange}"), otherwise=unsure, severity="note", drop=0
                ),
            ]
        logs = np.log(np.maximum(lengths, 0.5))
        away = np.abs(logs - np.median(logs))
        is_far = (away >= np.log(LENGTH)) & (np.abs(deviations(logs, SPREAD)) >= BY)
        odds.append(_odd(is_far, away, f"are far shorter or longer than the middle one of {np.median(lengths):.0f}"))
        yield from told(evidence, field.name, rows, "sequence", ADVICE, odds)


def _odd(mask: Mask, badness: Floats, text: str) -> Odd:
    return Odd("", mask, badness, text, (Measure("share of the sequences", float(mask.mean())),), 0.9, drop=0.6)


def _count(cells: pl.Series, symbols: pl.Series) -> Floats:
    """How many of the symbols each cell has."""
    any_of = "".join(f"\\x{{{ord(symbol):x}}}" for symbol in symbols)
    return cells.str.count_matches(f"[{any_of}]").to_numpy().astype(np.float64)
