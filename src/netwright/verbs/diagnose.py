"""What is wrong with a training."""

from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright.records.options import code_option, fail_option, option, page_option
from netwright.records.result import Outcome, Section, Tell

if TYPE_CHECKING:
    from netwright.records.finding import Report
    from netwright.records.run import Run


@dataclass(frozen=True)
class Options:
    """How thorough to be."""

    data: Any = option(  # Any: a path, or data in memory
        None, "The run's data, if they have moved.", metavar="DATA", reads=True
    )
    deep: bool = option(False, "Also train again: on half of the rows, and with two other seeds.")
    page: str = page_option()
    allow_code: bool = code_option()
    fail_on: str = fail_option()


def diagnose(run: "Run | Path | str", options: Options, tell: Tell) -> "Outcome[Report]":
    """Find what is wrong with the training of RUN: the evidence, and what to do.

    Small experiments on copies decide when a threshold would guess; the network does not change. If RUN is a folder,
    its rows are read again and the report is written there.

    In Python, RUN may also be a run in memory, or your own network and loaders:
    `nw.diagnose(nw.adopt(network, loss, loader))`.
    """
    from netwright.machine.device import prepare_device
    from netwright.reports.charts import charts_of
    from netwright.reports.page import require_pages, written
    from netwright.reports.text import summary
    from netwright.run_folder import done, locked, write_result
    from netwright.stages.runs import diagnosed, opened

    require_pages(options.page)
    run = opened(run, tell, options.data, rows=True, allow_code=options.allow_code)
    with nullcontext() if run.folder is None else locked(run.folder, tell):
        with prepare_device(run.recipe.threads):
            report = diagnosed(run, tell, deep=options.deep)
        if run.folder is not None:
            write_result(run.folder, "diagnosis", report)
            done(run.folder, "diagnosis")
    charts = tuple(charts_of(run.history, run.watched))
    drawn = Section(f"Diagnosis of {report.subject}", report, summary(run), charts)
    return Outcome(report, str(report), asdict(report), report, (drawn,), written((drawn,), options.page))
