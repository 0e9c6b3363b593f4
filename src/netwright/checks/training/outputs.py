"""Whether a network's outputs are what its loss takes: their shape, and the values they can have."""

from collections.abc import Iterator
from math import isfinite, prod

from torch import Tensor

from netwright.checks.evidence import Skip
from netwright.checks.training.evidence import TrainingEvidence
from netwright.records.batch import Batch
from netwright.records.finding import Finding, Measure, Remedy
from netwright.records.task import Task
from netwright.training.evaluate import evaluating
from netwright.training.reach import (
    Ends,
    are_probabilities,
    ends,
    held,
    reach,
    takes_log_probabilities,
    takes_logits,
)
from netwright.training.spread import Spread, repeats, spread

LEAST_ROWS = 32  # looked at, if the data give them at once
MOST_ROWS = 64
MANY_ROWS = 512
REACH = 0.9  # of what can be learned: the rest is more than outliers among targets that were scaled to the range
HELD = 0.5  # of the gradient: most of what is still to be learned cannot be
ALL_HELD = 0.99  # of it, after a ReLU: half is usual before the first step, and training frees them


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
            remedies=(Remedy(found.remedy),),
        )


def loss_and_outputs(evidence: TrainingEvidence) -> Iterator[Finding]:
    """loss and outputs do not fit

    The loss takes logits and gets probabilities, or logarithms and gets none, or the outputs have a range that the
    answers are not in.

    Why it matters: softmax or sigmoid before a loss that takes logits makes gradients so small that training is slow
    and stays poor; a network that ends with a ReLU can never answer below zero, and learns nothing where it should.

    How it is decided: the last weights are multiplied by a thousand and by a million, with both signs. What the outputs
    never leave then is their range. The loss of a batch is computed for answers made of its targets, as they are and
    within the range: of what the loss can fall below that of one answer for all rows, less than 0.9 (REACH) is left
    within the range. Or the range has a sharp end (ReLU, clamp), and the loss takes logits of classes, or more than
    half (HELD) of its gradient is at outputs that stand at an end and get none; with one end, all of it (ALL_HELD). Or
    the loss falls without end if all outputs grow, as nll_loss does, and the outputs are not the logarithms of
    probabilities.
    """
    task, batch = _task(evidence), _rows(evidence)
    outputs, within = ends(evidence.network, batch, task.forward)
    if not (isinstance(outputs, Tensor) and outputs.is_floating_point() and bool(outputs.isfinite().all())):
        raise Skip("it judges finite outputs in one tensor")
    outputs, loss, measures = outputs.float(), task.batch_loss, list[Measure]()
    found, advice = "", ""
    if takes_log_probabilities(loss, outputs, batch) and not are_probabilities(outputs.exp()):
        what = "probabilities" if are_probabilities(outputs) else "logits"
        found = f"the loss takes the logarithms of probabilities, but the outputs are {what}"
        advice = "end the network with log_softmax, or train the logits with cross entropy."
    elif within.is_open:
        return
    elif (able := reach(loss, outputs, batch, within)) is not None and able.share < REACH:
        measures.append(Measure("share of what can be learned within the range", able.share, threshold=REACH))
        found, advice = _bounded(within, batch, outputs)
    elif within.is_cut and takes_logits(loss, outputs, batch):
        found = f"the outputs end at {_range(within)}, as after a ReLU, but the loss takes logits of any size"
        advice = "end the network with a linear layer."
    elif within.is_cut and (share := _held(evidence, task, within)) > (bar := HELD if within.is_closed else ALL_HELD):
        measures.append(Measure("share of the gradient at outputs that are cut off", share, threshold=bar))
        found = f"outputs are cut off ({_range(within)}, as by clamp or ReLU) where they get no gradient"
        advice = "end the network with a smooth function: sigmoid between two ends, softplus above zero."
    if found:
        ends_seen = (Measure("least output", float(outputs.min())), Measure("greatest output", float(outputs.max())))
        yield Finding(
            "error", found, (*measures, *ends_seen), confidence=0.95, remedies=(Remedy(advice, mend="logits"),)
        )


def _bounded(within: Ends, batch: Batch, outputs: Tensor) -> tuple[str, str]:
    """What is wrong with outputs in this range, and what to do."""
    numbers = [t.float() for t in batch.targets if t.is_floating_point() and t.numel() == outputs.numel()]
    if are_probabilities(outputs):
        return (
            "the outputs are probabilities that sum to 1, but the loss takes logits",
            "remove the final softmax, or train with the logarithm of the outputs and nll_loss.",
        )
    if numbers and bool((numbers[0] != within.within(numbers[0])).any()):
        low, high = float(numbers[0].min()), float(numbers[0].max())
        return (
            f"the outputs can only be {_range(within)}, but targets are from {low:.4g} to {high:.4g}",
            "end the network with a linear layer, or scale the targets to the range.",
        )
    return (
        f"the outputs can only be {_range(within)}, but the loss takes logits of any size",
        "end the network with a linear layer: remove the final sigmoid or tanh.",
    )


def _range(within: Ends) -> str:
    if not isfinite(within.high):
        return f"{within.low:.4g} or more"
    return (
        f"{within.high:.4g} or less" if not isfinite(within.low) else f"between {within.low:.4g} and {within.high:.4g}"
    )


def _held(evidence: TrainingEvidence, task: Task, within: Ends) -> float:
    """On many rows: few may be wrong and stand at an end."""
    batch = next(evidence.drawn(evidence.train, MANY_ROWS))
    with evaluating(evidence.network):
        outputs = task.forward(evidence.network, batch)
    return held(task.batch_loss, outputs, batch, within) if isinstance(outputs, Tensor) else 0.0


def _task(evidence: TrainingEvidence) -> Task:
    """Also one of which only the loss is known. Raises Skip if not even that is."""
    task = evidence.task if evidence.run is None else evidence.run.task
    if task is None:
        raise Skip("the task is not known")
    return task


def _rows(evidence: TrainingEvidence) -> Batch:
    return next(evidence.drawn(evidence.train, max(LEAST_ROWS, evidence.recipe.batch_size))).head(MOST_ROWS)
