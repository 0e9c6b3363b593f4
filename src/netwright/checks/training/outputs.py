"""Whether a network's outputs are what its loss takes: their shape, and the values they can have."""

from collections.abc import Iterator
from math import prod

from netwright.checks.evidence import Skip
from netwright.checks.training.evidence import TrainingEvidence
from netwright.records.batch import Batch
from netwright.records.finding import Finding, Measure, Remedy
from netwright.records.task import Task
from netwright.training.evaluate import evaluating
from netwright.training.spread import Spread, repeats, spread

LEAST_ROWS = 32  # looked at, if the data give them at once
MOST_ROWS = 64


def broadcast_loss(evidence: TrainingEvidence) -> Iterator[Finding]:
    """outputs and targets are broadcast

    Outputs (N, 1) and targets (N,) are broadcast to (N, N): the loss compares every output with every target.

    Why it matters: whichever target belongs to a row no longer matters. The network learns one answer for all rows, the
    mean of the targets, without any error.

    How it is decided: outputs and targets differ only in axes of size 1, and the loss of a batch stays the same (within
    1e-5, SAME) in three orders of its targets (ORDERS), but not if outputs and targets have one shape. Or the loss of a
    watched step repeated the outputs over the rows, and the loss given for the diagnosis does not.
    """
    task, batch = _task(evidence), _rows(evidence)
    with evaluating(evidence.network):
        outputs = task.forward(evidence.network, batch)
    where, found = "the loss", spread(task.batch_loss, outputs, batch)
    if (
        found is None
        and batch.targets
        and (seen := evidence.watched.repeated)
        and not repeats(task.batch_loss, outputs, batch)
    ):
        where, found = "the loss of the loop", Spread(seen[0], (seen[0][0], *batch.targets[0].shape[1:]), seen[1])
    if found is not None:
        axis = next((k for k, size in enumerate(found.outputs) if size == 1), 1)
        shapes = f"outputs.squeeze({axis}), or targets.unsqueeze({axis})"
        if len(found.outputs) < len(found.targets):
            shapes = "targets.squeeze(1), or outputs.unsqueeze(1)"
        yield Finding(
            "error",
            f"{where} broadcasts outputs {found.outputs} and targets {found.targets} to {found.both}: "
            "it compares every output with every target, not with its own",
            (
                Measure(
                    "targets that each output is compared with", prod(found.both) / prod(found.outputs), threshold=1.0
                ),
            ),
            confidence=0.97,
            remedies=(Remedy(f"give outputs and targets one shape: {shapes}."),),
        )


def _task(evidence: TrainingEvidence) -> Task:
    """Also one of which only the loss is known. Raises Skip if not even that is."""
    task = evidence.task if evidence.run is None else evidence.run.task
    if task is None:
        raise Skip("the task is not known")
    return task


def _rows(evidence: TrainingEvidence) -> Batch:
    return next(evidence.drawn(evidence.train, max(LEAST_ROWS, evidence.recipe.batch_size))).head(MOST_ROWS)
