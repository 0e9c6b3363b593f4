"""Scores of a run."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright.records.errors import DataError
from netwright.records.options import code_option, option
from netwright.records.result import Outcome, Tell

if TYPE_CHECKING:
    from netwright.records.run import Run
    from netwright.records.task import Scores


@dataclass(frozen=True)
class Options:
    """Which data to score."""

    data: Any = option(None, "New data that contain the target.", metavar="[DATA]", is_argument=True, reads=True)
    labels: str = option("", "Long format: the table with one row per series.", metavar="FILE", reads=True)
    allow_code: bool = code_option()


def evaluate(run: "Run | Path | str", options: Options, tell: Tell) -> "Outcome[Scores]":
    """Show scores of RUN with 95 % intervals: on its test part, scored once, or on new DATA."""
    from netwright.data.read import read_labelled_chunks
    from netwright.machine.device import prepare_device
    from netwright.reports.text import scores_table, verdict
    from netwright.stages.data import new_examples
    from netwright.stages.runs import loaded, opened, scored_pieces
    from netwright.training.evaluate import evaluate as scores_of

    if options.data is None:
        run = loaded(run, options.allow_code)
        if (scores := run.scores) is None:
            raise DataError("this run has no scored test part", remedy="name data to evaluate on.")
        told = f"{verdict(run)}\n\n{scores_table(scores, run.baselines)}"
    else:
        run = opened(run, tell, allow_code=options.allow_code)
        if run.schema.inputs:
            said = run.source
            texts = [field.name for field in run.schema.inputs if field.as_written]
            source = replace(
                said.about_rows(), data=options.data, target=said.target, labels=options.labels, task=run.task,
                as_written=(*texts, *(said.target if run.task.as_written else ())),
            )  # fmt: skip
            scores = scored_pieces(run, read_labelled_chunks(source), tell)
        else:
            examples = new_examples(run, options.data, is_labelled=True)
            with prepare_device():
                scores = scores_of(run.network, run.task, examples, run.recipe).result(examples.groups)
        told = f"{run.task.plainly(scores, run.schema.things)}\n\n{scores_table(scores)}".lstrip()
    return Outcome(scores, told, asdict(scores))
