"""Whether a training's rows come in an order that mixes their targets."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netwright.checks.evidence import Skip
from netwright.checks.training.evidence import TrainingEvidence
from netwright.checks.training.progress import SHOWN, first_network, some_steps
from netwright.checks.training.replay import replayed
from netwright.checks.training.rows import AGAIN, ROWS
from netwright.data.examples import InMemory
from netwright.records.batch import joined
from netwright.records.finding import Finding, Measure, Remedy, Severity
from netwright.training.evaluate import device_of
from netwright.training.probes import ENDS

MIXED = 0.5  # of the variation of all targets: two of ten classes in a batch leave as much
ORDERS = 200  # drawn at random: rare classes are missing in many batches by chance
BLOCK = 32  # rows
MOST_BATCHES = 300  # of a loader, held in memory to shuffle them

Numbers = NDArray[Any]  # whole numbers of classes, or floats


def rows_in_order(evidence: TrainingEvidence) -> Iterator[Finding]:
    """rows in order of their targets

    Rows come sorted by their targets, so that a batch holds one class, or targets of one size.

    Why it matters: each batch pulls the network towards its own class, and the next one undoes it. Batch norm learns
    statistics of single classes.

    How it is decided: the targets vary within batches less than half (MIXED) as much as in all rows (Gini impurity for
    classes), and less than in each of 200 random orders (ORDERS). In a watched loop, the batches are those whose
    targets were seen; else the loader is read as it comes, 32 rows or more at a time. It is serious if the replay of
    the loop, with rows at random, leaves it far behind (see `your loop does something else`). For a loader it is a
    warning if a few steps with the same rows shuffled beat as many in its own order. Else it is a note: rows of a
    series may be read in order.
    """
    blocks, whole = _blocks(evidence)
    if (whole == whole[0]).all():
        return
    mixed, sizes = _within(blocks, whole), [len(block) for block in blocks]
    if mixed >= MIXED:
        return
    draws = np.random.default_rng(evidence.recipe.seed)
    least = min(_within([draws.choice(whole, n) for n in sizes], whole) for _ in range(ORDERS))
    if mixed >= least:
        return
    severity = _harm_of_order(evidence)
    yield Finding(
        severity,
        f"rows come in the order of their targets and are not shuffled: within a batch, targets vary {mixed:.0%} as "
        "much as in all rows" + ("; shuffled, a few steps learn clearly more" if severity != "note" else ""),
        (Measure("variation within batches", mixed, threshold=MIXED),),
        confidence=0.95,
        remedies=(Remedy("shuffle the rows anew in each epoch: DataLoader(..., shuffle=True)."),),
    )


def _blocks(evidence: TrainingEvidence) -> tuple[list[Numbers], Numbers]:
    """Targets of some batches as the training saw them, and of all rows. Raises Skip if they are not known."""
    loop = None if evidence.run is None else evidence.run.loop
    rows, count = list[Tensor](), 0
    for batch in evidence.train.plain().batches(evidence.recipe.batch_size, seed=None):
        if len(batch.targets) != 1 or batch.targets[0].numel() != len(batch):
            raise Skip("the targets are not one number for each row")
        rows.append(batch.targets[0].cpu().reshape(-1))
        count += len(batch)
        if count >= AGAIN:
            break
    whole = torch.cat(rows)
    if evidence.train.is_indexed:
        seen = [one.targets[0].cpu() for one in (() if loop is None else loop.passes) if len(one.targets) == 1]
        blocks = [t.reshape(-1) for t in seen if t.numel() == len(t) >= ROWS]
    else:
        size = len(rows[0]) * -(-BLOCK // len(rows[0]))
        blocks = [block for block in whole.split(size) if len(block) >= ROWS]
    if len(blocks) < 2:
        raise Skip("the order of the rows was not seen")
    return [block.numpy() for block in blocks], whole.numpy()


def _within(blocks: Sequence[Numbers], whole: Numbers) -> float:
    """How much targets vary within blocks, as a share of how much all vary."""
    vary = _impurity if np.issubdtype(whole.dtype, np.integer) else np.var
    return fmean(float(vary(block)) for block in blocks) / float(vary(whole))


def _impurity(labels: Numbers) -> float:
    """The probability that two labels drawn from these differ. Gini 1912."""
    _, counts = np.unique(labels, return_counts=True)
    return float(1 - ((counts / len(labels)) ** 2).sum())


def _harm_of_order(evidence: TrainingEvidence) -> Severity:
    try:
        if evidence.train.is_indexed:
            return "error" if evidence.once(replayed).is_behind else "note"
        network, rows = (
            first_network(evidence),
            joined(list(islice(evidence.train.batches(0, seed=None), MOST_BATCHES))),
        )
        mixed = InMemory(rows.inputs, rows.targets, torch.arange(len(rows)), "row {}".format)
        shown = [batch.to(device_of(network)) for batch in islice(mixed.batches(SHOWN, seed=0), ENDS)]
        ordered = some_steps(evidence, network, shown=shown)
        return (
            "warning" if some_steps(replace(evidence, train=mixed), network, shown=shown).beats(ordered.end) else "note"
        )
    except Skip:
        return "note"
