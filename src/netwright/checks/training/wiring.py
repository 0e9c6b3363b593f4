"""Whether loss, outputs, modes and rows of a batch are connected correctly."""

from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor

from netwright.checks.evidence import Skip
from netwright.checks.training.evidence import TrainingEvidence
from netwright.checks.training.progress import first_network, some_steps
from netwright.records.batch import Batch, side_by_side
from netwright.records.finding import Finding, Measure, Remedy
from netwright.training.evaluate import evaluating
from netwright.training.look import carried, parting

OFTEN = 0.5  # share of the steps
SWITCHED = 0.1  # share of the steps, if the first steps ran in training mode: a last epoch or two may be meant
SAME = 1e-5  # of the outputs' size: more than rounding in another order changes
LEAKED = 1e-3  # of it: beyond any rounding except bf16's relative 4e-3, which is not used here
ROWS = 16  # rows examined for leaks
DIVERGED = 1e-6  # of the loss, after a few steps with the same seed
STEPS = 5


def wrong_mode(evidence: TrainingEvidence) -> Iterator[Finding]:
    """wrong mode

    Dropout or batch norm is on while answering, or off while training.

    Why it matters: random answers are worse and never the same; training without its dropout overfits; batch norm in
    evaluation mode learns no statistics.

    How it is decided: two passes over the same rows in evaluation mode differ by more than 1e-5 (SAME) of the outputs'
    size (also with the same random numbers, and a tensor that the network holds has changed: a state carried from batch
    to batch); or batch norm whose weights trained counted no batch; or a network with dropout or batch norm was in
    evaluation mode in more than half (OFTEN) of all steps, or in a tenth (SWITCHED) if it was in training mode before.
    """
    batch = evidence.batch
    first, second = _answers(evidence, batch), _answers(evidence, batch)
    size = float(first.abs().mean()) or 1.0
    difference = float((first - second).abs().max()) / size
    if difference > SAME and (kept := carried(evidence.network, batch, evidence.forward)):
        yield Finding(
            "error",
            f"{kept[0]} is carried from batch to batch: the next answers to the same rows differ by {difference:.2g} "
            "of their size",
            (Measure("difference of two passes", difference, threshold=SAME),),
            title="a state carried from batch to batch",
            layers=kept,
            confidence=0.95,
            otherwise=("batches that continue each other in order, as in truncated backpropagation through time.",),
            remedies=(Remedy(f"set {kept[0]} back at the beginning of each forward: a batch has other rows."),),
        )
    elif difference > SAME:
        yield Finding(
            "error",
            f"two answers to the same rows in evaluation mode differ by {difference:.2g} of their size"
            + _told(where := parting(evidence.network, batch, batch, SAME, evidence.forward)),
            (Measure("difference of two passes", difference, threshold=SAME),),
            layers=where,
            confidence=0.97,
            otherwise=("deliberate noise.",),
            remedies=(Remedy("pass self.training to dropout in forward: F.dropout(x, p, training=self.training)."),),
        )
    told: tuple[str, Measure, list[str]] | None = None
    moded = [n for n, m in evidence.network.named_modules() if type(m).__name__.startswith(("Dropout", "BatchNorm"))]
    seen = evidence.watched
    if idle := _never_counted(evidence):
        names = f"{', '.join(idle[:3])} ran in evaluation mode"
        zero = Measure("batches counted while training", 0.0)
        told = f"batch norm trained without counting a batch: {names}", zero, idle
    elif (
        moded
        and seen.steps
        and (share := seen.evaluating / seen.steps) > (least := SWITCHED if seen.evaluating_from else OFTEN)
    ):
        measure = Measure("share of steps in evaluation mode", share, threshold=least)
        since = f", from step {seen.evaluating_from:,} on" if seen.evaluating_from else ""
        told = f"{share:.0%} of the steps ran in evaluation mode{since}, with {', '.join(moded[:3])}", measure, moded
    if told is not None:
        summary, measure, where = told
        yield Finding(
            "warning",
            summary,
            (measure,),
            layers=tuple(where),
            confidence=0.9,
            otherwise=("batch norm that is frozen on purpose.",),
            remedies=(
                Remedy("call network.train() before the steps of each epoch, and network.eval() before answering."),
            ),
        )


def rows_leak(evidence: TrainingEvidence) -> Iterator[Finding]:
    """rows leak into each other

    A row's answer depends on the other rows of its batch.

    Why it matters: scores depend on how rows are batched, and a single row has no answer of its own.

    How it is decided: in evaluation mode, the network answers 16 rows (ROWS), and again after half of them are replaced
    by other rows: half of the halves, and so on, until each row has stayed once while any other one was replaced. The
    answers to the rows that stay must not change by more than 1e-3 (LEAKED) of the outputs' size.
    """
    batch = evidence.batch
    count = min(ROWS, len(batch) // 2)
    if count < 2:
        raise Skip("the batches have fewer than four rows")
    one, changes = _answers(evidence, batch.head(count)), torch.zeros(count)
    if len(one) != count:
        return
    size, worst, numbers = float(one.abs().mean()) or 1.0, batch, torch.arange(count)
    for bit, value in product(range((count - 1).bit_length()), (0, 1)):
        stays = (numbers >> bit) % 2 == value
        others = batch.pick(torch.where(stays, numbers, numbers + count))
        changed = (_answers(evidence, others) - one).abs().amax(1).cpu() / size
        if float(changed[stays].max()) > float(changes.max()):
            worst = others
        changes = torch.maximum(changes, changed * stays)
    if (change := float(changes.max())) > LEAKED:
        row = int(changes.argmax())
        where = parting(evidence.network, batch.head(count), worst, LEAKED, evidence.forward, row)
        yield Finding(
            "error",
            f"{int((changes > LEAKED).sum())} of {count} answers change with other rows in the batch, by up to "
            f"{change:.2g} of their size" + _told(where),
            (Measure("change of an answer", change, threshold=LEAKED),),
            layers=where,
            confidence=0.95,
            remedies=(
                Remedy(
                    "look for what mixes the batch with another axis: a recurrent or attention layer without "
                    "batch_first=True, or a view, reshape, softmax or mean over the rows."
                ),
            ),
        )


def not_reproducible(evidence: TrainingEvidence) -> Iterator[Finding]:
    """not reproducible

    Two training runs with the same seed differ.

    Why it matters: the effect of a change cannot be told from chance, and no error can be reproduced.

    How it is decided: two times five steps (STEPS) from the initial weights, with the same batches and the same seed,
    have losses that differ by more than 1e-6 (DIVERGED) of their size.
    """
    network = first_network(evidence)
    twice = [some_steps(evidence, network, steps=STEPS).losses for _ in range(2)]
    difference = max((abs(a - b) / max(abs(a), 1e-12) for a, b in zip(*twice, strict=False)), default=0.0)
    if difference > DIVERGED:
        yield Finding(
            "warning",
            f"the losses of two training runs with the same seed differ by {difference:.1e} within {STEPS} steps",
            (Measure("relative difference of losses", difference, threshold=DIVERGED),),
            confidence=0.95,
            otherwise=("kernels that add in varying order.",),
            remedies=(Remedy("draw all randomness from torch's generator, in the data loader too."),),
        )


def _never_counted(evidence: TrainingEvidence) -> list[str]:
    """Batch norms that train and keep statistics but counted no batch during training."""
    if evidence.build is None or not evidence.history.epochs:
        return []
    first = dict(evidence.build().named_buffers())
    return [
        name.removesuffix(".num_batches_tracked")
        for name, count in evidence.network.named_buffers()
        if name.endswith("num_batches_tracked")
        and int(count) == int(first[name])
        and any(p.requires_grad for p in evidence.network.get_submodule(name.rpartition(".")[0]).parameters())
    ]


def _told(where: tuple[str, ...]) -> str:
    """Code between two modules has no name of its own."""
    return "" if not where else f", from {where[0]} on" if len(where) == 1 else f", between {where[0]} and {where[1]}"


def _answers(evidence: TrainingEvidence, batch: Batch) -> Tensor:
    with evaluating(evidence.network):
        return side_by_side(evidence.forward(evidence.network, batch))
