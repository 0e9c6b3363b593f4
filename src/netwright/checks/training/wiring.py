"""Whether loss, outputs, gradients, updates, modes and rows are connected correctly."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import islice, product

import torch
from torch import Tensor

from netwright.checks.evidence import Skip
from netwright.checks.training.evidence import TrainingEvidence
from netwright.checks.training.progress import first_network, some_steps
from netwright.records.batch import Batch, side_by_side
from netwright.records.finding import Finding, Measure, Remedy
from netwright.training.evaluate import evaluating
from netwright.training.look import carried, parting
from netwright.training.probes import as_the_recipe, copied

OFTEN = 0.5  # share of the watched steps
LEFT = 0.1  # of them with old gradients: clearing every few steps may coincide with the watched steps
FAINT = 1e-4  # of the steepest gradient: that of a bias before batch norm is only rounding
SHARE = 0.01  # of all parameters: a forgotten scalar is worth a note
MOVED = 1e-6  # of a parameter's size: gradients times rate below it are lost in float32's rounding
SAME = 1e-5  # of the outputs' size: more than rounding in another order changes
LEAKED = 1e-3  # of it: beyond any rounding except bf16's relative 4e-3, which is not used here
ROWS = 16  # rows examined for leaks
PAIRS, AGAIN = 2_000, 20_000  # rows read in the first pass, and in the second to find them again
MISALIGNED = 0.01  # share of rows with another label in the second pass
DIVERGED = 1e-6  # of the loss, after a few steps with the same seed
STEPS = 5


def gradients_not_cleared(evidence: TrainingEvidence) -> Iterator[Finding]:
    """gradients not cleared

    Each step adds its gradients to those of all earlier steps.

    Why it matters: the network follows old gradients; it diverges, or learns far worse.

    How it is decided: at the first backward pass after an update, gradients from before the update are still there, in
    more than a tenth (LEFT) of the watched steps, and in at least two. Several backward passes for one update are
    accumulation and fine.
    """
    seen = evidence.watched
    if not seen.looked:
        raise Skip("the training's steps were not watched")
    share = seen.uncleared / seen.looked
    if share > LEFT and seen.uncleared > 1:
        yield Finding(
            "error",
            f"in {share:.0%} of the watched steps, gradients of earlier steps were still there",
            (Measure("share of steps with old gradients", share, threshold=LEFT),),
            confidence=0.99,
            remedies=(Remedy("call optimizer.zero_grad() in every step, before loss.backward()."),),
        )


def parameters_not_training(evidence: TrainingEvidence) -> Iterator[Finding]:
    """parameters that do not train

    Weights that get no gradient, or that the optimizer does not know.

    Why it matters: part of the network keeps its random initial weights and scrambles what passes through it.

    How it is decided: parameters with requires_grad that never got a gradient (cut off by detach, or never used), that
    got one and are in no optimizer, or that are unchanged since before training although they got gradients: more than
    a hundredth (SHARE) of all parameters. Less is usual: an embedding for missing cells, if none are missing. If a few
    steps (STEPS) on a copy, at the training's own rate, do not move a parameter either, it is left out: the rate is
    lost in rounding, and reported as too low. Parameters with requires_grad off are frozen on purpose: a note.
    """
    seen = evidence.watched
    sizes = {name: p.numel() for name, p in evidence.network.named_parameters()}
    if seen.looked:
        cut, still = [*seen.without_gradient], (*seen.not_in_optimizer, *_movable(evidence, seen.never_updated))
        slopes = _slopes(evidence) if still else {}
    else:
        slopes = _slopes(evidence)
        cut, still = [name for name, slope in slopes.items() if slope is None], _unmoved(evidence, slopes)
    steepest = max((slope for slope in slopes.values() if slope is not None), default=0.0)
    unknown = [name for name in still if (slopes.get(name) or 0.0) > FAINT * steepest and name not in cut]
    whole = max(1, sum(sizes.values()))
    where = "find what cuts the path from {} to the loss: .detach(), .data, torch.no_grad()."
    give = "give {} to the optimizer: optimizer(network.parameters())."
    faults = ((cut, "never get a gradient", where), (unknown, "get gradients but are never updated", give))
    for names, what, advice in faults:
        share = sum(sizes.get(name, 0) for name in names) / whole
        if share > SHARE:
            yield Finding(
                "error",
                f"{len(names)} parameters, {share:.1%} of all numbers, {what}: {', '.join(names[:5])}",
                (Measure("share of the network's numbers", share, threshold=SHARE),),
                layers=tuple(names),
                confidence=0.95,
                otherwise=("a part that is kept for another purpose.",),
                remedies=(Remedy(advice.format(names[0])),),
            )
    frozen = [name for name, p in evidence.network.named_parameters() if not p.requires_grad]
    if frozen:
        share = sum(sizes[name] for name in frozen) / whole
        yield Finding(
            "note",
            f"{len(frozen)} parameters, {share:.1%} of all numbers, are frozen (requires_grad=False)",
            (Measure("share of the network's numbers", share),),
            layers=tuple(frozen),
            remedies=(Remedy("let them train, unless they are frozen on purpose.", mend="unfrozen"),),
        )


def wrong_mode(evidence: TrainingEvidence) -> Iterator[Finding]:
    """wrong mode

    Dropout or batch norm is on while answering, or off while training.

    Why it matters: random answers are worse and never the same; training without its dropout overfits; batch norm in
    evaluation mode learns no statistics.

    How it is decided: two passes over the same rows in evaluation mode differ by more than 1e-5 (SAME) of the outputs'
    size (also with the same random numbers, and a tensor that the network holds has changed: a state carried from batch
    to batch); or batch norm whose weights trained counted no batch; or a network with dropout or batch norm was in
    evaluation mode in more than half (OFTEN) of the watched steps.
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
    elif moded and seen.looked and (share := seen.evaluating / seen.looked) > OFTEN:
        measure = Measure("share of steps in evaluation mode", share, threshold=OFTEN)
        told = f"{share:.0%} of the steps ran in evaluation mode, with {', '.join(moded[:3])}", measure, moded
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


def misaligned_labels(evidence: TrainingEvidence) -> Iterator[Finding]:
    """labels misaligned with inputs

    The same input has another label in a second pass.

    Why it matters: the network learns noise, and the loss shows only that it learns badly.

    How it is decided: up to 2,000 rows (PAIRS) of an engineer's loader are read, and then 20,000 (AGAIN) in another
    order. Inputs with a single label in the first pass must have the same label in the second. If more than a hundredth
    (MISALIGNED) of them have another one, the loader is at fault.
    """
    if evidence.train.is_indexed:
        raise Skip("inputs and labels are read by the same row number: they cannot be misaligned")
    first, second = _pairs(evidence, None, PAIRS), _pairs(evidence, 1, AGAIN)
    single = {key: next(iter(labels)) for key, labels in first.items() if len(labels) == 1}
    both = [key for key in single if key in second]
    if len(both) < ROWS:
        raise Skip("too few rows appear again in a second pass")
    wrong = sum(single[key] not in second[key] for key in both)
    share = wrong / len(both)
    if share > MISALIGNED:
        yield Finding(
            "error",
            f"{wrong:,} of {len(both):,} inputs have another label in a second pass over the data",
            (Measure("share of inputs with another label", share, threshold=MISALIGNED),),
            confidence=0.97,
            otherwise=("labels that are drawn at random on purpose.",),
            remedies=(Remedy("shuffle inputs and labels with one permutation, in one place."),),
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


def _slopes(evidence: TrainingEvidence) -> dict[str, float | None]:
    """The largest gradient entry on some batches for each parameter with requires_grad; None if it got no gradient."""
    with copied(evidence.network) as copy:
        copy.train()
        copy.zero_grad()
        for batch in islice(evidence.drawn(evidence.train, evidence.recipe.batch_size), 2):
            evidence.objective(copy, batch).mean().backward()
        return {
            name: None if p.grad is None else float(p.grad.abs().max())
            for name, p in copy.named_parameters()
            if p.requires_grad
        }


def _unmoved(evidence: TrainingEvidence, slopes: dict[str, float | None]) -> list[str]:
    """Parameters that are as they were before training, though a step would have moved them."""
    if evidence.build is None or not evidence.history.epochs:
        return []
    first = dict(evidence.build().named_parameters())
    return [
        name
        for name, p in evidence.network.named_parameters()
        if torch.equal(p.detach().cpu(), first[name].detach().cpu())
        and (slopes.get(name) or 0.0) * evidence.recipe.lr > MOVED * float(p.detach().abs().max())
    ]


def _movable(evidence: TrainingEvidence, names: Sequence[str]) -> list[str]:
    """The parameters among `names` that some steps on a copy move."""
    if not names:
        return []
    recipe = evidence.recipe
    lr = max((moment.lr for moment in evidence.watched.moments), default=recipe.lr)
    with copied(evidence.network) as copy:
        before = {name: p.detach().clone() for name, p in copy.named_parameters()}
        optimizer, batches = as_the_recipe(recipe)(copy, lr), evidence.drawn(evidence.train, recipe.batch_size)
        copy.train()
        for batch in islice(batches, STEPS):
            optimizer.zero_grad()
            evidence.objective(copy, batch).mean().backward()
            optimizer.step()
        after = dict(copy.named_parameters())
        return [name for name in names if name in after and not torch.equal(before[name], after[name])]


def _told(where: tuple[str, ...]) -> str:
    """Code between two modules has no name of its own."""
    return "" if not where else f", from {where[0]} on" if len(where) == 1 else f", between {where[0]} and {where[1]}"


def _answers(evidence: TrainingEvidence, batch: Batch) -> Tensor:
    with evaluating(evidence.network):
        return side_by_side(evidence.forward(evidence.network, batch))


def _pairs(evidence: TrainingEvidence, seed: int | None, most: int) -> dict[bytes, set[bytes]]:
    """Inputs of the first rows, or of the rows in another order, with their labels."""
    pairs, count = dict[bytes, set[bytes]](), 0
    for batch in evidence.train.batches(evidence.recipe.batch_size, seed=seed):
        inputs = [x.cpu().contiguous().reshape(len(batch), -1).numpy() for x in batch.inputs]
        targets = [t.cpu().contiguous().reshape(len(batch), -1).numpy() for t in batch.targets]
        for row in range(len(batch)):
            key = blake2b(b"".join(x[row].tobytes() for x in inputs), digest_size=16).digest()
            pairs.setdefault(key, set()).add(b"".join(t[row].tobytes() for t in targets))
        count += len(batch)
        if count >= most:
            break
    return pairs
