"""Sequences of symbols with strange symbols, or of strange length."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from netwright.checks.data.encoded import encoded
from netwright.checks.data.unlike import Floats, as_rows, deviations, drops, severity_of
from netwright.checks.evidence import DataEvidence
from netwright.data.readers.files import counted
from netwright.data.split import Rows
from netwright.kinds.sequence import Sequence
from netwright.records.finding import Finding, Measure, Remedy

STRANGE = 0.002  # share of all symbols of the data up to which one is strange
MANY = 0.1  # share of a sequence that strange symbols may have: one that is not sure is usual, ten of sixty are not
LENGTH = 2.0  # times shorter or longer than the middle sequence
BY = 5.0  # robust standard deviations of the logarithm of the length
SPREAD = 0.1  # least one


def odd_sequences(evidence: DataEvidence) -> Iterator[Finding]:
    """odd symbol sequences

    Sequences with symbols that hardly ever come in the data (lower case among capitals, digits, a letter that means
    "not sure"), and sequences much shorter or longer than the others.

    Why it matters: a symbol seen a few times is learned by no network, and often it is a slip. A sequence cut short
    lacks the place that its label is about.

    How it is decided: a symbol is strange where it makes up at most 0.2 % of all symbols. Sequences of which strange
    symbols make up more than a tenth are a warning, those with fewer a note. A length is odd where it is at most half,
    or at least twice, the middle length and 5 robust standard deviations (of the logarithm, at least 0.1) away.
    """
    rows = evidence.rows()
    for field, _ in encoded(evidence, Sequence):
        cells = evidence.dataset.table[field.name].cast(pl.String)[rows].fill_null("")
        lengths = cells.str.len_chars().to_numpy().astype(np.float64)
        counts = cells.str.split("").explode().drop_nulls().value_counts(name="count")
        symbols = counts.filter((pl.col("count") <= STRANGE * lengths.sum()) & (pl.col(field.name) != ""))[field.name]
        if len(symbols):
            told = " ".join(sorted(symbols))
            share = _count(cells, symbols) / np.maximum(lengths, 1)
            for is_many in (True, False):
                places = np.flatnonzero(share > MANY if is_many else (share > 0) & (share <= MANY))
                text = f"{'are largely made of' if is_many else 'hold'} symbols that hardly ever come: {told[:60]}"
                yield from _found(evidence, field.name, rows, places, share, text, not is_many)
        logs = np.log(np.maximum(lengths, 0.5))
        away = np.abs(logs - np.median(logs))
        places = np.flatnonzero((away >= np.log(LENGTH)) & (np.abs(deviations(logs, SPREAD)) >= BY))
        text = f"are far shorter or longer than the middle one of {np.median(lengths):.0f}"
        yield from _found(evidence, field.name, rows, places, away, text, False)


def _count(cells: pl.Series, symbols: pl.Series) -> Floats:
    """How many of the symbols each cell holds."""
    any_of = "".join(f"\\x{{{ord(symbol):x}}}" for symbol in symbols)
    return cells.str.count_matches(f"[{any_of}]").to_numpy().astype(np.float64)


def _found(
    evidence: DataEvidence, column: str, rows: Rows, places: Rows, score: Floats, text: str, is_note: bool
) -> Iterator[Finding]:
    if not len(places):
        return
    found = as_rows(rows[places[np.argsort(-score[places], kind="stable")]])
    severity = "note" if is_note else severity_of(len(found), len(rows))
    yield Finding(
        severity=severity,
        summary=f"{counted(len(found), 'sequence')} of {len(rows):,} in {column!r} {text}",
        measures=(Measure("share of the sequences", len(found) / len(rows)),),
        columns=(column,),
        rows=found,
        confidence=0.9,
        otherwise=("a symbol may stand for what is not known for sure",) if is_note else (),
        remedies=(Remedy("Write them as the others are written, or leave them out."),),
        fixes=drops(evidence, found, 0.6) if severity == "warning" else (),
    )
