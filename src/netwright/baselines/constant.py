"""The best answer that does not look at the inputs."""

from netwright.records.batch import Examples, Rows
from netwright.records.schema import Schema
from netwright.records.task import Scores, Task, expanded

ROWS = 1024  # in a batch, fewer where rows are large
BATCH_CELLS = 4_000_000  # encoded cells in a batch: features of them are float64 for a moment, 32 MB


def constant(schema: Schema, task: Task, train: Examples, test: Examples) -> Scores | None:
    """Always the shares of the training labels, or the mean of the training targets: what chance scores.

    None if the task has no best constant answer.
    """
    targets = Rows()
    for batch in train.batches(batch_rows(train), seed=None):
        targets.add(batch.targets)
    if (answer := task.constant(targets.joined())) is None:
        return None
    score = task.score()
    for batch in test.batches(batch_rows(test), seed=None):
        score.add(expanded(answer, len(batch)), batch)
    return score.result(test.groups)


def batch_rows(examples: Examples) -> int:
    """How many rows of a batch are a few megabytes."""
    first = next(examples.uncut().batches(1, seed=None)).inputs
    return max(1, min(ROWS, BATCH_CELLS // max(1, sum(x.numel() for x in first))))
