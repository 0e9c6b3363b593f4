"""Fixes of data: proposed in a file, or applied to the data."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from netwright.records.errors import DataError
from netwright.records.escaped import in_lines
from netwright.records.options import option, seed_option
from netwright.records.result import Outcome, Tell
from netwright.records.source import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netwright.records.finding import Fix


@dataclass(frozen=True)
class Options:
    """Where to write fixes and fixed data."""

    file: str = option(
        "", "The file (CSV) for proposed fixes, for you to edit.", metavar="[FILE]", is_argument=True, writes=True
    )
    to: str = option("", "Write the data with --fixes applied (.csv, .parquet or .jsonl).", metavar="FILE", writes=True)
    seed: int = seed_option()
    fast: bool = option(False, "Propose only fixes that need no trained network.")


def fix(source: Source, options: Options, tell: Tell) -> "Outcome[tuple[Fix, ...]]":
    """Write proposed fixes of the data to a file for you to edit, or apply them.

    `netwright fix people.csv fixes.csv -t income` audits the data and writes what it would change, the surest first.
    Lines below a confidence of 0.9 say apply = no, and so do relabels and drops of validation and test rows: scores
    must not be on rows that a model changed. Review the file; then train with `--fixes fixes.csv`, or write fixed data
    with `netwright fix people.csv --fixes fixes.csv --to fixed.csv`.
    """
    if not options.file and not options.to:
        raise DataError("there is no file to write", remedy="name a file for the fixes, or one for fixed data (--to).")
    from netwright.data.fixes import as_fixes, write_fixes
    from netwright.stages.data import audited

    fixes = as_fixes(source.fixes)
    lines = list[str]()
    if options.to:
        lines.append(_applied(source, options.to, options.seed, tell))
    if options.file:
        report, _ = audited(source, None, options.seed, fast=options.fast, tell=tell)
        fixes = (*fixes, *report.fixes)
        write_fixes(fixes, options.file)
        lines.append(next_step(fixes, options.file))
    return Outcome(fixes, in_lines(lines), [asdict(fix) for fix in fixes])


def _applied(source: Source, to: str, seed: int, tell: Tell) -> str:
    """Writes the fixed data."""
    from pathlib import Path

    import numpy as np
    import polars as pl

    from netwright.data.fixes import apply_fixes, as_fixes, spare_scored
    from netwright.data.read import read_source
    from netwright.data.split import split
    from netwright.reports.answers import written

    dataset = read_source(source)
    parts = split(dataset, source, seed=seed)
    dataset, fixes = spare_scored(dataset, parts, as_fixes(source.fixes))
    dataset, parts = apply_fixes(dataset, parts, fixes)
    for note in dataset.notes:
        tell(note)
    table = dataset.every(1)
    if dataset.parts is not None or any(fix.action == "move" for fix in fixes):
        words = np.full(len(dataset), "train", dtype=object)
        words[parts.valid], words[parts.test] = "valid", "test"
        table = table.with_columns(pl.Series(source.split or "part", words, pl.String))
    count = written(iter((table,)), Path(to))
    return f"{count:,} rows written to {to}"


def next_step(fixes: "Sequence[Fix]", file: str) -> str:
    """What to do with a file of fixes."""
    if not fixes:
        return f"no fixes proposed; {file} has only a header"
    ready = sum(fix.apply for fix in fixes)
    return (
        f"{len(fixes):,} fixes written to {file}, {ready:,} of them with apply = yes. Review them, set apply to no or "
        f"yes if you disagree, then give the same data and options to: netwright train ... --fixes {file}"
    )
