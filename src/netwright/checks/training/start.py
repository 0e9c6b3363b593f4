"""How signals and gradients pass through a network before its first step, and which units are alive at the end."""

from collections.abc import Iterator, Sequence
from itertools import islice
from math import inf, isfinite, isnan, log10

import torch
from torch import Tensor, nn

from netwright.checks.evidence import Skip
from netwright.checks.training.capacity import falls_short
from netwright.checks.training.evidence import TrainingEvidence
from netwright.checks.training.progress import bars, first_network, own_rung, progress, some_steps
from netwright.checks.training.remedies import CLIP, LINKS, NEVER_FLAT, NORMALIZE, SUITED_INIT, lower_rate
from netwright.machine.randomness import seeded
from netwright.records.batch import Batch
from netwright.records.finding import Chart, Finding, Measure, Remedy, Severity
from netwright.training.layers import matrices
from netwright.training.look import Layer, look
from netwright.training.probes import Rung, copied, mean_loss

BATCHES = 3
LOOKED = 512  # answers at least: a unit that is idle on fewer may be active elsewhere
SHRUNK = 1e-4  # of the largest gradient of a hidden layer
LONG = 1e3  # norm of all gradients together
DEAD, MOSTLY_DEAD = 0.9, 0.5  # share of a layer's units
SATURATED = 0.5  # share of a layer's outputs
TWINS = 0.5  # share of a layer's units that equal another
TIMES_CHANCE = 5.0  # the loss of the first weights over that of the best constant answer
COLLAPSED = 0.01  # of the rows' difference at the first layer, left at the last
LITTLE = 0.5  # of the first loss left by training: with less, a strange start is only worth a note


def exploding_gradients(evidence: TrainingEvidence) -> Iterator[Finding]:
    """exploding gradients

    Gradients grow on their way back through the layers, beyond what a step can use.

    Why it matters: the first steps throw the weights far away, or to infinity.

    How it is decided: with the initial weights, on three batches, the norm of all gradients together is above 1000
    (LONG), or outputs are already NaN or infinite. If training learned anyway (less than half, LITTLE, of its first
    loss is left, which clipping and Adam can achieve), it is a note. It is a warning if the same network with PyTorch's
    default initialization starts better (MARGIN) and the training falls short of a simple model.
    """
    layers = evidence.once(first_look)
    lengths = [layer.gradient for layer in layers if not isnan(layer.gradient)]
    whole = sum(length**2 for length in lengths) ** 0.5 if all(isfinite(layer.rms) for layer in layers) else inf
    if whole <= LONG:
        return
    worst = sorted((layer for layer in layers if layer.gradient == layer.gradient), key=lambda layer: -layer.gradient)
    yield Finding(
        _severity(evidence),
        f"the first gradient has length {whole:.3g}, most of it at {worst[0].name if worst else 'unknown'}",
        (Measure("length of the first gradient", whole if isfinite(whole) else 1e38, threshold=LONG),),
        layers=tuple(layer.name for layer in worst[:3]),
        confidence=0.95,
        remedies=(CLIP, SUITED_INIT, NORMALIZE, lower_rate(evidence.recipe, 10)),
        charts=_gradient_chart(layers),
    )


def vanishing_gradients(evidence: TrainingEvidence) -> Iterator[Finding]:
    """vanishing gradients

    Gradients shrink on their way back through the layers, and the first layers get almost none.

    Why it matters: a deep network then learns with its last layers only, from inputs that its first layers have
    scrambled.

    How it is decided: with the initial weights, on three batches, the smallest gradient of a hidden layer's weights is
    below 1e-4 (SHRUNK) of the largest, or zero. If training learned anyway (less than half, LITTLE, of its first loss
    is left), it is a note, or a warning as for `exploding gradients`. Hochreiter 1991; Glorot and Bengio 2010; He et
    al. 2015, arXiv:1502.01852.
    """
    layers = evidence.once(first_look)
    hidden = [layer for layer in layers if not isnan(layer.gradient)][:-1]
    if len(hidden) < 2:
        return
    most, least = max(hidden, key=lambda layer: layer.gradient), min(hidden, key=lambda layer: layer.gradient)
    if not isfinite(most.gradient) or most.gradient <= 0 or least.gradient >= SHRUNK * most.gradient:
        return
    starved = [layer.name for layer in hidden if layer.gradient < SHRUNK * most.gradient]
    yield Finding(
        _severity(evidence),
        f"the gradient at {least.name} is {least.gradient / most.gradient:.1e} of that at {most.name}; "
        f"{len(starved)} of {len(hidden)} hidden layers are starved",
        (Measure("smallest over largest gradient", least.gradient / most.gradient, threshold=SHRUNK),),
        layers=tuple(starved),
        confidence=0.95,
        remedies=(
            Remedy("use an activation whose slope stays near one.", {"activation": "relu"}),
            SUITED_INIT,
            NORMALIZE,
            LINKS,
            Remedy("use fewer layers.", {"depth": max(1, evidence.recipe.depth // 2)}),
        ),
        charts=_gradient_chart(layers),
    )


def dead_units(evidence: TrainingEvidence) -> Iterator[Finding]:
    """dead units

    ReLU units that are zero for every input: they get no gradient and stay zero.

    Why it matters: the network is smaller than it looks. In the worst case a layer passes nothing on.

    How it is decided: on 512 or more answers (LOOKED; of rows, tokens or pixels), with the initial and with the kept
    weights. More than 0.9 (DEAD) of a layer's units before the first step is serious, more than half (MOSTLY_DEAD) a
    warning. More than 0.9 killed by training is a warning too, since its steps are the cause; half of them is a note.
    If training learned anyway (less than half, LITTLE, of its first loss is left), the network had units to spare: it
    is a note, or a warning as for `exploding gradients`. A third of idle units is normal with ReLU. Lu et al. 2019,
    arXiv:1903.06733.
    """
    first = evidence.once(first_look)
    if all(isnan(layer.dead) for layer in first):
        return
    last = evidence.once(last_look)
    worst = max((layer for layer in (*first, *last) if not isnan(layer.dead)), key=lambda layer: layer.dead)
    if worst.dead <= MOSTLY_DEAD:
        return
    names = sorted({layer.name for layer in (*first, *last) if layer.dead > MOSTLY_DEAD})
    at_start = any(layer.dead > MOSTLY_DEAD for layer in first)
    if at_start:
        severity = _severity(evidence)
        severity = "warning" if severity == "error" and worst.dead <= DEAD else severity
    else:
        severity = "warning" if worst.dead > DEAD and not evidence.once(progress).left < LITTLE else "note"
    yield Finding(
        severity,
        f"{worst.dead:.0%} of the units of {worst.name} are zero on all rows"
        + (", before the first step" if at_start else ", since the training"),
        (Measure("largest share of dead units", worst.dead, threshold=MOSTLY_DEAD),),
        layers=tuple(names),
        confidence=0.95,
        remedies=(SUITED_INIT, lower_rate(evidence.recipe, 3), NORMALIZE, NEVER_FLAT),
        charts=_shares("share of dead units", [layer for layer in last if not isnan(layer.dead)], "dead"),
    )


def saturated_units(evidence: TrainingEvidence) -> Iterator[Finding]:
    """saturated units

    Outputs of tanh or sigmoid are in their flat parts, where no gradient passes.

    Why it matters: the units' answers are fixed before anything is learned.

    How it is decided: with the initial weights, more than half (SATURATED) of a layer's outputs are where the slope is
    below an eighth of the steepest (|tanh| above .94, FLAT). Gates at the very end of a network are not counted. If
    training learned anyway (less than half, LITTLE, of its first loss is left), it is a note, or a warning as for
    `exploding gradients`.
    """
    layers = [layer for layer in evidence.once(first_look) if not isnan(layer.saturated)]
    flat = [layer for layer in layers if layer.saturated > SATURATED]
    if not flat:
        return
    worst = max(flat, key=lambda layer: layer.saturated)
    yield Finding(
        _severity(evidence),
        f"{worst.saturated:.0%} of the outputs of {worst.name} ({worst.kind}) are saturated at the start",
        (Measure("largest share of saturated outputs", worst.saturated, threshold=SATURATED),),
        layers=tuple(layer.name for layer in flat),
        confidence=0.95,
        remedies=(
            SUITED_INIT,
            Remedy("scale the inputs to a standard deviation of about one.", mend="standardized"),
            NORMALIZE,
            Remedy("use an activation that is not flat at both ends.", {"activation": "relu"}),
        ),
        charts=_shares("share of saturated outputs", layers, "saturated"),
    )


def identical_units(evidence: TrainingEvidence) -> Iterator[Finding]:
    """identical units

    Units of one layer start with equal weights, get equal gradients, and so stay equal.

    Why it matters: a layer of equal units is one unit, whatever its width.

    How it is decided: more than half (TWINS) of the rows of a hidden weight matrix equal another row, with the initial
    weights and with the kept ones. If they are equal with the initial weights only, it is a note, or a warning if the
    training falls short of a simple model: units that separated late are fewer than they look. The last layer may start
    at zero, as is often done on purpose.
    """
    first, last = _twins(evidence.first()), _twins(evidence.network)
    began = [name for name in list(first)[:-1] if first[name] > TWINS]
    stayed = [name for name in began if last.get(name, 0.0) > TWINS]
    if names := stayed or began:
        share = max(first[name] for name in names)
        yield Finding(
            "error" if stayed else "warning" if falls_short(evidence) else "note",
            f"{share:.0%} of the units of {names[0]} equal another one before training"
            + (" and after it" if stayed else "; other parameters, such as biases, separated them"),
            (Measure("share of units that equal another", share, threshold=TWINS),),
            layers=tuple(names),
            confidence=0.99,
            remedies=(
                Remedy("use a random initialization that suits the activation.", {"init": "auto"}),
                Remedy(f"initialize {names[0]} at random, for example with nn.init.kaiming_normal_."),
            ),
        )


def bad_first_loss(evidence: TrainingEvidence) -> Iterator[Finding]:
    """bad loss at the start

    The untrained network gives confident, wrong answers.

    Why it matters: the first epochs go into unlearning. Often the last layer's weights or the targets' scale are wrong.

    How it is decided: the loss of the initial weights is above five times (TIMES_CHANCE) that of the best constant
    answer. An untrained network should be about as good as that answer. If training learned anyway (less than the
    constant's loss is left), it is a note, or a warning as for `exploding gradients`.
    """
    if evidence.task is None:
        raise Skip("the task is not known")
    batches = _batches(evidence)
    targets = tuple(torch.cat(parts).cpu() for parts in zip(*(batch.targets for batch in batches), strict=True))
    chance = evidence.task.chance_loss(targets)
    network = evidence.first()
    if not chance > 0:
        reason = "it has no best constant answer" if isnan(chance) else "all its targets are the same"
        raise Skip(f"{evidence.task.describe()}: {reason}")
    first = mean_loss(network, evidence.task.losses, batches)
    if isfinite(first) and first <= TIMES_CHANCE * chance:
        return
    end = mean_loss(evidence.network, evidence.task.losses, batches)
    times = first / chance if isfinite(first) else 1e38
    yield Finding(
        "note" if end < chance and not _costs(evidence) else "warning",
        f"the untrained network's loss is {first:.4g}; the best constant answer's is {chance:.4g}",
        (Measure("first loss over the constant's", times, threshold=TIMES_CHANCE),),
        confidence=0.95,
        otherwise=("inputs or targets on a scale of thousands.",),
        remedies=(
            SUITED_INIT,
            Remedy(
                "initialize the last layer with small weights and the bias of the best constant answer.",
                mend="answer",
            ),
            Remedy("scale inputs and targets to a standard deviation of about one.", mend="standardized"),
        ),
    )


def signal_collapse(evidence: TrainingEvidence) -> Iterator[Finding]:
    """signal collapse

    Deep layers give nearly the same output for every input.

    Why it matters: differences between rows must pass through the layers to reach the answers.

    How it is decided: with the initial weights, the rows' outputs differ at the last hidden layer by less than a
    hundredth (COLLAPSED) of their difference at the first, relative to the outputs' size. Vanishing gradients have the
    same cause; if they are found, they are reported instead. If training learned anyway, it is a note, or a warning as
    for `exploding gradients`. Schoenholz et al. 2017, arXiv:1611.01232.
    """
    if any(True for _ in vanishing_gradients(evidence)):
        return
    layers = [layer for layer in evidence.once(first_look) if layer.varies == layer.varies and layer.rms > 0]
    if len(layers) < 3:
        return
    first, last = layers[0], layers[-1]
    if first.varies <= 0 or last.varies >= COLLAPSED * first.varies:
        return
    yield Finding(
        _severity(evidence),
        f"rows differ by {last.varies:.2g} of the outputs' size at {last.name}, by {first.varies:.2g} at {first.name}",
        (Measure("left of the rows' difference", last.varies / first.varies, threshold=COLLAPSED),),
        layers=(last.name,),
        confidence=0.9,
        remedies=(NORMALIZE, SUITED_INIT, LINKS),
        charts=_shares("how much rows differ", layers, "varies"),
    )


def first_look(evidence: TrainingEvidence) -> tuple[Layer, ...]:
    """The network with its initial weights. Raises Skip if they are unknown."""
    return look(evidence.first(), evidence.objective, _batches(evidence))


def last_look(evidence: TrainingEvidence) -> tuple[Layer, ...]:
    """The network with the kept weights."""
    return look(evidence.network, evidence.objective, _batches(evidence))


def _batches(evidence: TrainingEvidence) -> list[Batch]:
    size = max(evidence.recipe.batch_size, -(-LOOKED // (BATCHES * _answers(evidence))))
    return list(islice(evidence.drawn(evidence.train, size), BATCHES))


def _answers(evidence: TrainingEvidence) -> int:
    """Answers per row that each unit takes part in: tokens of a text that is continued, pixels of a mask, or 1."""
    first = next(evidence.drawn(evidence.train, 1))
    answer = (first.targets or first.inputs)[0]
    return 1 if answer.is_floating_point() else answer.numel()


def _severity(evidence: TrainingEvidence) -> Severity:
    """An error if training learned little that holds for other rows: only the end shows whether a strange start
    matters.
    """
    done = evidence.once(progress)
    if not (done.left < LITTLE and done.held_out_left < LITTLE):
        return "error"
    return "warning" if _costs(evidence) else "note"


def _costs(evidence: TrainingEvidence) -> bool:
    """Whether training fell short, and other initial weights would have started better."""
    if not evidence.is_over:
        return False
    return evidence.once(_fresh).beats(evidence.once(own_rung).end) and bool(falls_short(evidence))


def _fresh(evidence: TrainingEvidence) -> Rung:
    """The first steps of the same network with PyTorch's default initialization."""
    with copied(first_network(evidence)) as network, seeded(evidence.recipe.seed):
        for module in network.modules():
            reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
            if callable(reset):
                reset()
        return some_steps(evidence, network)


def _twins(network: nn.Module) -> dict[str, float]:
    """For each matrix or kernel, the share of its rows that equal another row."""
    shares = dict[str, float]()
    for name, module in network.named_modules():
        for parameter in () if isinstance(module, nn.Embedding) else matrices(module):
            if len(parameter) > 1:
                shares[name] = _equal_rows(parameter.detach().reshape(len(parameter), -1))
    return shares


def _equal_rows(rows: Tensor) -> float:
    _, counts = torch.unique(rows, dim=0, return_counts=True)
    return float(counts[counts > 1].sum()) / len(rows)


def _gradient_chart(layers: Sequence[Layer]) -> tuple[Chart, ...]:
    shown = [(layer.name, log10(layer.gradient)) for layer in layers if 0 < layer.gradient < inf]
    return (bars("gradient of each layer before the first step", "log10 of its length", "layer", shown),)


def _shares(title: str, layers: Sequence[Layer], number: str) -> tuple[Chart, ...]:
    return (bars(title, "share", "layer", ((layer.name, float(getattr(layer, number))) for layer in layers)),)
