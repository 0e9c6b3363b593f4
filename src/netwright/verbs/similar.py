"""What is alike, as a ranking has learned it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from netwright.records.options import code_option, option
from netwright.records.result import Cells, Outcome

if TYPE_CHECKING:
    import polars as pl

    from netwright.records.run import Run


@dataclass(frozen=True)
class Options:
    """How much to show."""

    top: int = option(10, "How many items.", low=1)
    allow_code: bool = code_option()


def similar(run: "Run | Path | str", item: str, options: Options) -> "Outcome[pl.DataFrame]":
    """Show the items most alike to ITEM in RUN, a ranking: those that the same other items lead to."""
    from netwright.reports.answers import as_csv
    from netwright.stages.runs import loaded

    run = loaded(run, options.allow_code)
    found = run.task.similar(run.network, str(item), options.top)
    return Outcome(found, Cells(as_csv(found, header=True)), found.to_dicts())
