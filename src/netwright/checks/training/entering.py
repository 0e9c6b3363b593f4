"""Data as they enter the first layer with weights."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

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
from netwright.training.probes import Rung, copied

ROWS = 2_000  # looked at: single rows far off are seen too
HIGH, WIDE, NARROW = 50.0, 10.0, 0.01  # greatest value and spread that suit weights of size one
FEW = 0.1  # of the columns may be narrow: pixels at the edge are
UNEVEN = 100.0  # times the spread of another column
LITTLE = 0.5  # of the first loss left: where less is, the inputs were no hindrance
ROUNDING = 1e-6  # of a column's greatest value


def unnormalized_inputs(evidence: TrainingEvidence) -> Iterator[Finding]:
    """unnormalized inputs

    Numbers of very different sizes, or all of a size far from one, enter the first layer.

    Why it matters: one learning rate cannot suit a weight whose input is a thousand and one whose input is a
    thousandth; the first layer saturates or hardly moves.

    How it is decided: what enters the first layer with weights (behind scaling and normalization of the network's own)
    is above 50 (HIGH), its spread above 10 (WIDE) or below 0.01 (NARROW), or the spreads of two columns differ more
    than a hundredfold (UNEVEN), the narrowest tenth (FEW) left out. That is a suspicion; it is a finding if the same
    network with standardized inputs beats, in the few steps of a rung, the whole training by a tenth (MARGIN) of what
    it won, or if the training left more than half (LITTLE) of its first loss, on training or on validation rows. It is
    grave if it beats the training, or its own first steps where the training left so much. Where the training falls
    short of a simple model alone, it is a warning if it beats these first steps, and else a note. LeCun et al. 1998,
    Efficient BackProp.
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
        f"what enters the first layer reaches {most:.3g}, its spread is {spread:.3g}, columns differ {uneven:.3g}-fold"
        + (f"; standardized, {len(scaled.losses)} steps beat the training" if helps and scaled is not None else ""),
        (
            Measure("greatest value", most, threshold=HIGH),
            Measure("spread", spread, threshold=WIDE),
            Measure("widest over narrowest column", uneven, threshold=UNEVEN),
        ),
        confidence=0.95 if helps else 0.7,
        remedies=(
            Remedy(
                "standardize the inputs by mean and spread of the training rows, inside the network.",
                mend="standardized",
            ),
            Remedy("put a normalization in front of the first layer."),
        ),
    )


def bad_inputs(evidence: TrainingEvidence) -> Iterator[Finding]:
    """not-a-number or constant inputs

    Values that are no numbers enter the network, or inputs that never change.

    Why it matters: one NaN makes every weight NaN; a constant input teaches nothing.

    How it is decided: in the first 2,000 rows (ROWS), what enters the first layer with weights holds NaN or infinity,
    or is one value on all rows. Missing numbers that a network's own stem fills in are no fault.
    """
    entering = evidence.once(_entering)
    bad = ~entering.isfinite()
    if bool(bad.any()):
        rows = bad.flatten(1).any(1)
        yield Finding(
            "error",
            f"{float(rows.float().mean()):.1%} of the rows bring NaN or infinity to the first layer",
            (Measure("share of rows", float(rows.float().mean()), threshold=0.0),),
            confidence=0.99,
            remedies=(Remedy("fill missing values in, or leave the rows out.", mend="standardized"),),
        )
    elif float(entering.flatten(1).std(0).max() if len(entering) > 1 else 1.0) == 0.0:
        yield Finding(
            "error",
            "every row brings the same values to the first layer",
            (Measure("spread between rows", 0.0, threshold=0.0),),
            confidence=0.99,
            remedies=(Remedy("look at what the loader gives: all rows are equal."),),
        )


class _Entered(Exception):  # no error: what lies behind the first layer need not be computed
    """The first layer with weights has been called."""


def _entering(evidence: TrainingEvidence) -> Tensor:
    """(rows, ...) float: what the first module with a matrix or a kernel gets."""
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
        raise Skip("what enters the first layer are no numbers, but codes")
    return torch.cat(got)


def _spreads(x: Tensor) -> Tensor:
    """Of each column; 1 for one that only rounding moves."""
    spread = x.std(0)
    return torch.where(spread > ROUNDING * x.abs().amax(0), spread, torch.ones_like(spread))


def _standardized(evidence: TrainingEvidence) -> Rung | None:
    """The training's own rung with inputs of mean 0 and spread 1; None where the inputs are no floating numbers."""
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
