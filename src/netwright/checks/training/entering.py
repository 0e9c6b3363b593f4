"""Inputs as the first layer with weights gets them."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import permutations

import torch
from torch import Tensor, nn

from netwright.checks.evidence import Skip
from netwright.checks.training.capacity import falls_short
from netwright.checks.training.evidence import TrainingEvidence
from netwright.checks.training.progress import first_network, own_rung, progress, shown_batches, some_steps
from netwright.records.batch import Batch, joined
from netwright.records.finding import Finding, Measure, Remedy
from netwright.records.task import Objective
from netwright.training.evaluate import device_of
from netwright.training.layers import hooked, layers, matrices
from netwright.training.look import calls
from netwright.training.probes import Rung, copied

FEW_ROWS = 4
ROWS = 2_000  # examined: enough to see single outliers
HIGH, WIDE, NARROW = 50.0, 10.0, 0.01  # greatest value and spread that suit weights of size one
FEW = 0.1  # of the columns may be narrow: pixels at the edge are
UNEVEN = 100.0  # times the spread of another column
LITTLE = 0.5  # of the first loss left: with less, the inputs did no harm
ROUNDING = 1e-6  # of a column's greatest value


def unnormalized_inputs(evidence: TrainingEvidence) -> Iterator[Finding]:
    """unnormalized inputs

    The first layer gets numbers of very different sizes, or all of a size far from one.

    Why it matters: one learning rate cannot suit a weight whose input is a thousand and one whose input is a
    thousandth. The first layer saturates or hardly moves.

    How it is decided: what enters the first layer with weights (after the network's own scaling and normalization) is a
    suspicion if it is above 50 (HIGH), if its spread is above 10 (WIDE) or below 0.01 (NARROW), or if the spreads of
    two columns differ more than a hundredfold (UNEVEN), without the narrowest tenth (FEW). It is a finding if the same
    network with standardized inputs, in the few steps of a rung, beats the whole training by a tenth (MARGIN) of what
    it gained, or if the training left more than half (LITTLE) of its first loss, on training or on validation rows. It
    is serious if the standardized network beats the training, or beats the network's own first steps when the training
    left that much. If the training only falls short of a simple model, it is a warning if the standardized network
    beats these first steps, and else a note. LeCun et al. 1998, Efficient BackProp.
    """
    entering = evidence.once(_entering)
    spread = float(entering.std())
    columns = entering.flatten(0, -2).std(0) if entering.ndim == 2 else torch.ones(1)
    columns = columns[columns > 0]
    narrow = columns.sort().values[int(FEW * len(columns))] if len(columns) else 1.0
    uneven = float(columns.max() / narrow) if len(columns) else 1.0
    most = float(entering.abs().max())
    if most <= HIGH and NARROW <= spread <= WIDE and uneven <= UNEVEN:
        return
    done = evidence.once(progress)
    scaled = evidence.once(_standardized) if evidence.is_over else None
    learned = done.left < LITTLE and done.held_out_left < LITTLE
    helps = scaled is not None and scaled.beats(done.end)
    starts_better = scaled is not None and not helps and scaled.beats(evidence.once(own_rung).end)
    costs = not learned or (starts_better and falls_short(evidence))
    yield Finding(
        "error" if helps or (starts_better and not learned) else "warning" if costs else "note",
        f"inputs of the first layer reach {most:.3g}, their spread is {spread:.3g}, columns differ {uneven:.3g}-fold"
        + (
            f"; standardized, {len(scaled.losses)} steps beat the whole training"
            if helps and scaled is not None
            else ""
        ),
        (
            Measure("greatest value", most, threshold=HIGH),
            Measure("spread", spread, threshold=WIDE),
            Measure("widest over narrowest column", uneven, threshold=UNEVEN),
        ),
        confidence=0.95 if helps else 0.7,
        remedies=(
            Remedy(
                "standardize the inputs inside the network, by mean and spread of the training rows.",
                mend="standardized",
            ),
            Remedy("add a normalization before the first layer."),
        ),
    )


def bad_inputs(evidence: TrainingEvidence) -> Iterator[Finding]:
    """not-a-number or constant inputs

    The network gets NaN, infinity, or inputs that never change.

    Why it matters: one NaN makes every weight NaN; a constant input teaches nothing.

    How it is decided: in the first 2,000 rows (ROWS), the input of the first layer with weights has NaN or infinity, or
    is the same in all rows. Missing numbers that a network's own stem fills in are fine.
    """
    entering = evidence.once(_entering)
    bad = ~entering.isfinite()
    if bool(bad.any()):
        rows = bad.flatten(1).any(1)
        yield Finding(
            "error",
            f"{float(rows.float().mean()):.1%} of the rows give the first layer NaN or infinity",
            (Measure("share of rows", float(rows.float().mean()), threshold=0.0),),
            confidence=0.99,
            remedies=(Remedy("fill in missing values, or drop the rows.", mend="standardized"),),
        )
    elif float(entering.flatten(1).std(0).max() if len(entering) > 1 else 1.0) == 0.0:
        yield Finding(
            "error",
            "every row gives the first layer the same values",
            (Measure("spread between rows", 0.0, threshold=0.0),),
            confidence=0.99,
            remedies=(Remedy("check what the loader returns: all rows are equal."),),
        )


def mixed_axes(evidence: TrainingEvidence) -> Iterator[Finding]:
    """axes mixed up

    A view or reshape gives the axes of an input another order, as only permute or transpose can.

    Why it matters: the shape is right, but the numbers are not where the layers look for them: a channel holds pieces
    of all channels, and a step pieces of several steps. No error says so, and training may still learn a little.

    How it is decided: a row of an input enters a module with its axes in another order, or with some of them merged
    in another order, while its numbers are in the old order: as in `x.view(B, C, H, W)` of pictures (B, H, W, C).
    Rows that permute would leave in the same order are not judged, and a module gets no row from within the network.
    """
    batch = evidence.batch.head(FEW_ROWS)
    rows = [x[0] for x in batch.inputs if x.is_floating_point()]
    for call in calls(evidence.network, batch, evidence.forward):
        for row in rows:
            if call.entered is not None and (order := _order(row, call.entered)):
                axes = ", ".join(str(axis + 1) for axis in order)
                yield Finding(
                    "error",
                    f"rows {tuple(row.shape)} enter {call.name} as {tuple(call.entered.shape)} with their numbers in "
                    "the old order, as a view or reshape leaves them: the axes are mixed up",
                    (Measure("axes in another order", float(len(order))),),
                    layers=(call.name,),
                    confidence=0.95,
                    otherwise=("neighboring numbers that are grouped on purpose.",),
                    remedies=(Remedy(f"exchange axes with x.permute(0, {axes}), and only then reshape."),),
                )
                return


def _order(row: Tensor, entered: Tensor) -> tuple[int, ...]:
    """The order of a row's axes that would give it the shape it enters with, if its numbers are still in the old one.

    () if the axes need no other order for this shape, or if another order would change nothing.
    """
    if entered.numel() != row.numel() or not torch.equal(entered.flatten(), row.flatten()):
        return ()
    wanted = [size for size in entered.shape if size > 1]
    fitting = [p for p in permutations(range(row.ndim)) if _merges([row.shape[axis] for axis in p], wanted)]
    if len(wanted) < 2 or tuple(range(row.ndim)) in fitting:
        return ()
    return next((p for p in fitting if not torch.equal(row.permute(p).flatten(), row.flatten())), ())


def _merges(sizes: list[int], wanted: list[int]) -> bool:
    """Whether neighboring axes of these sizes can be merged to the wanted ones."""
    for size in filter(lambda size: size > 1, sizes):
        if not wanted or wanted[0] % size:
            return False
        wanted = [wanted[0] // size, *wanted[1:]]
        wanted = wanted[1:] if wanted[0] == 1 else wanted
    return not wanted


class _Entered(Exception):  # no error: what comes after the first layer need not be computed
    """Raised when the first layer with weights is called."""


def _entering(evidence: TrainingEvidence) -> Tensor:
    """(rows, ...) float: the input of the first module with a matrix or a kernel."""
    got, seen = list[Tensor](), 0

    def hook(_module: nn.Module, inputs: tuple[object, ...]) -> None:
        if inputs and isinstance(inputs[0], Tensor) and inputs[0].is_floating_point():
            got.append(inputs[0].detach().float())
        raise _Entered

    with copied(evidence.network) as copy, torch.no_grad():
        heavy = layers(copy, lambda module: bool(matrices(module)))
        copy.eval()
        with hooked(module.register_forward_pre_hook(hook) for _, module in heavy):
            for batch in evidence.drawn(evidence.train, evidence.recipe.batch_size):
                with suppress(_Entered):
                    evidence.forward(copy, batch.to(device_of(copy)))
                seen += len(batch)
                if seen >= ROWS:
                    break
    if not got:
        raise Skip("the first layer gets codes, not numbers")
    return torch.cat(got)


def _spreads(x: Tensor) -> Tensor:
    """Of each column; 1 if only rounding moves it."""
    spread = x.std(0)
    return torch.where(spread > ROUNDING * x.abs().amax(0), spread, torch.ones_like(spread))


def _standardized(evidence: TrainingEvidence) -> Rung | None:
    """The training's own rung with inputs of mean 0 and spread 1; None if the inputs are not floating-point numbers."""
    network = first_network(evidence)
    batches = shown_batches(evidence)
    if not all(x.is_floating_point() for x in batches[0].inputs) or (
        evidence.run is not None and evidence.run.schema.inputs
    ):
        return None
    whole = joined(batches).inputs
    means = [x.mean(0) for x in whole]
    spreads = [_spreads(x) for x in whole]

    def scaled(original: Objective) -> Objective:
        def losses(network: nn.Module, batch: Batch) -> Tensor:
            parts = zip(batch.inputs, means, spreads, strict=True)
            inputs = tuple((x - mean) / spread for x, mean, spread in parts)
            return original(network, replace(batch, inputs=inputs))

        return losses

    return some_steps(evidence, network, objective=scaled(evidence.objective), loss=scaled(evidence.loss))
