"""Which rows to label next."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from netwright.machine.processes import refuse_ranks
from netwright.records.options import option, seed_option, settings_option
from netwright.records.result import Cells, Outcome, Tell
from netwright.records.source import Source

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Options:
    """How many rows to list, and where."""

    count: int = option(100, "How many rows.", metavar="N", low=1)
    to: str = option("", "Write the list to FILE (.csv, .parquet or .jsonl).", metavar="FILE", writes=True)
    settings: Mapping[str, object] = settings_option("A setting for the quick networks.")
    seed: int = seed_option()


def label(source: Source, options: Options, tell: Tell) -> "Outcome[pl.DataFrame]":
    """List the unlabelled rows most worth labelling: their place, a guess, and why.

    Unlabelled are rows of a table with an empty target, or files in a folder `unlabeled` next to the folders of labels.
    Quick networks learn from the labelled rows; the list holds rows that they doubt and that differ from each other.
    """
    refuse_ranks()
    from netwright.records.recipe import early

    early(options.settings, source.task)
    from pathlib import Path

    import numpy as np

    from netwright.data.fixes import apply_fixes, as_fixes, spare_scored
    from netwright.data.prepare import encode_new, prepare
    from netwright.data.read import read_source, read_unlabelled
    from netwright.data.split import split
    from netwright.machine.device import prepare_device
    from netwright.planning.labelling import COMMITTEE, worth_labelling
    from netwright.planning.quick import quick_runs
    from netwright.records.errors import counted
    from netwright.records.escaped import one_line
    from netwright.reports.answers import as_csv, written
    from netwright.stages.data import tell_bad

    dataset = read_source(source)
    pool = read_unlabelled(source, dataset.targets)
    parts = split(dataset, source, seed=options.seed)
    dataset, fixes = spare_scored(dataset, parts, as_fixes(source.fixes))
    dataset, parts = apply_fixes(dataset, parts, fixes)
    everything = np.sort(np.concatenate([parts.train, parts.test]))  # nothing is scored, so nothing is held out
    prepared = prepare(dataset, replace(parts, train=everything), source)
    examples, bad = encode_new(prepared.schema, None, pool)
    tell_bad(pool, bad, tell)
    tell(f"learning from {counted(len(prepared.train), 'labelled row')}: {counted(COMMITTEE, 'quick network')}")
    with prepare_device():
        runs = quick_runs(prepared, options.settings, range(options.seed, options.seed + COMMITTEE), tell)
        table = worth_labelling(runs, examples, pool, options.count)
    if options.to:
        written(iter((table,)), Path(options.to))
    listed = Cells(as_csv(table, header=True)) if not options.to else ""
    told = listed or one_line(f"{len(table):,} rows to label first written to {options.to}")
    return Outcome(table, told, table.to_dicts())
