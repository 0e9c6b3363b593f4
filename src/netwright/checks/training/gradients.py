"""Whether gradients reach the parameters, and the optimizer uses them."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import ks_2samp
from torch import Tensor, nn
from torch.autograd.graph import Node

from netwright.checks.evidence import Skip
from netwright.checks.training.evidence import TrainingEvidence
from netwright.machine.randomness import seeded
from netwright.records.batch import side_by_side
from netwright.records.finding import Finding, Measure, Remedy
from netwright.training.look import calls
from netwright.training.probes import as_the_recipe, copied
from netwright.training.signals import MOST_NODES

LEFT = 0.1  # of the watched steps with old gradients: clearing every few steps may coincide with the watched steps
DISCARDED = 0.6  # of the backward passes: adversarial training and two-step optimizers discard half of them
FAINT = 1e-4  # of the steepest gradient: that of a bias before batch norm is only rounding
SHARE = 0.01  # of all parameters: a forgotten scalar is worth a note
MOVED = 1e-6  # of a parameter's size: gradients times rate below it are lost in float32's rounding
STEPS = 5
FRESH = 1e-3  # probability that values as unlike those of a new layer come from one (Kolmogorov and Smirnov)
WIDER = 1.2  # times the largest value of a new layer: initial values are bounded, and training goes beyond soon
JUDGED, MOST_JUDGED = 64, 20_000  # numbers of a matrix: fewer show nothing, more only take time


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


def gradients_thrown_away(evidence: TrainingEvidence) -> Iterator[Finding]:
    """gradients thrown away

    Gradients are cleared before the optimizer uses them.

    Why it matters: these rows are computed and never learned from. If all gradients are cleared, the network stays as
    it is.

    How it is decided: in more than a tenth (LEFT) of the watched steps, gradients had arrived and were gone when the
    optimizer stepped. Or more than 0.6 (DISCARDED) of the backward passes in the watched steps were followed by another
    one that found their gradients cleared, without a step between. Passes that also want the gradient of the inputs do
    not count, and one discarded pass for each step is fine: adversarial training does so.
    """
    seen = evidence.watched
    if not seen.looked:
        raise Skip("the training's steps were not watched")
    emptied, share = seen.emptied / seen.looked, seen.discarded / max(1, seen.passes)
    if emptied > LEFT:
        yield Finding(
            "error",
            f"in {emptied:.0%} of the watched steps, the gradients were cleared between backward and step",
            (Measure("share of steps without the gradients that had arrived", emptied, threshold=LEFT),),
            confidence=0.98,
            remedies=(Remedy("call optimizer.zero_grad() before loss.backward(), not between it and step()."),),
        )
    elif share > DISCARDED:
        each = seen.passes / max(1, seen.passes - seen.discarded)
        yield Finding(
            "error",
            f"a step follows {each:.1f} backward passes on average; the gradients of {share:.0%} of the passes are "
            "thrown away: cleared without a step",
            (Measure("share of backward passes without a step", share, threshold=DISCARDED),),
            confidence=0.95,
            remedies=(
                Remedy(
                    "call optimizer.step() for each batch, not once an epoch; or clear the gradients only after a step."
                ),
            ),
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

    It is serious if a matrix among them still has the values of a new layer (FRESH, WIDER), or if that cannot be said.
    Else it is a warning: a part that was trained before may be kept as it is, and a part that the answers do not use
    does no harm. It is serious too if numbers enter the answers that are no parameters of the network: layers in a
    Python list, or layers made in `forward`.
    """
    yield from _unregistered(evidence)
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
    unused = _unused(evidence) & {*cut, *unknown}
    where = "find what cuts the path from {} to the loss: .detach(), .data, torch.no_grad()."
    give = "give {} to the optimizer: optimizer(network.parameters())."
    none = "call {} in forward, or remove it."
    faults = (
        ([n for n in cut if n not in unused], "never get a gradient", where),
        ([n for n in unknown if n not in unused], "get gradients but are never updated", give),
        (sorted(unused), "are never used for an answer", none),
    )
    for names, what, advice in faults:
        share = sum(sizes.get(name, 0) for name in names) / whole
        if share > SHARE:
            yield Finding(
                "error" if advice != none and _may_be_new(evidence, names) else "warning",
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


def _unused(evidence: TrainingEvidence) -> set[str]:
    """Parameters of modules that are not called for an answer."""
    called = {id(call.module) for call in calls(evidence.network, evidence.batch, evidence.forward)}
    parts = [(name, module) for name, module in evidence.network.named_modules() if id(module) not in called]
    own = {id(p) for m in evidence.network.modules() if id(m) in called for p in m.parameters()}
    return {
        f"{name}.{inner}" if name else inner
        for name, module in parts
        if type(module).__module__.startswith("torch.nn")  # others may use their parameters without a call
        for inner, p in module.named_parameters(recurse=False)
        if id(p) not in own
    }


def _may_be_new(evidence: TrainingEvidence, names: Sequence[str]) -> bool:
    """Whether a matrix among the parameters has the values that its layer gives when it is new, or none can tell."""
    judged = False
    with seeded(evidence.recipe.seed):
        for owner in dict.fromkeys(name.rpartition(".")[0] for name in names):
            again = deepcopy(evidence.network.get_submodule(owner))
            reset = getattr(again, "reset_parameters", None)
            if not callable(reset):
                continue
            reset()
            for name, p in again.named_parameters(recurse=False):
                kept = evidence.network.get_parameter(f"{owner}.{name}" if owner else name)
                if p.ndim > 1 and p.numel() >= JUDGED:
                    judged = True
                    is_wider = float(kept.detach().abs().max()) > WIDER * float(p.detach().abs().max())
                    if not is_wider and float(ks_2samp(_some(kept), _some(p))[1]) > FRESH:  # pyright: ignore[reportArgumentType]  the p-value
                        return True
    return not judged


def _some(values: Tensor) -> NDArray[np.float32]:
    flat = values.detach().flatten().float().cpu()
    return flat[:: -(-len(flat) // MOST_JUDGED)].numpy()


def _unregistered(evidence: TrainingEvidence) -> Iterator[Finding]:
    """Numbers that get gradients from the answers but are no parameters of the network."""
    with copied(evidence.network) as copy:
        copy.train()
        once, again = (_leaves(copy, side_by_side(evidence.forward(copy, evidence.batch))) for _ in range(2))
        own = {id(p) for p in copy.parameters()}
        hidden = [p for p in once if id(p) not in own]
        kept = {id(p) for p in again}
        is_new = bool(hidden) and not any(id(p) in kept for p in hidden)
        places = {id(p): place for place, module in _listed(copy) for p in module.parameters()}
    count = sum(p.numel() for p in hidden)
    share = count / max(1, count + sum(p.numel() for p in evidence.network.parameters()))
    if share <= SHARE:
        return
    where = tuple(dict.fromkeys(places[id(p)] for p in hidden if id(p) in places))
    if is_new:
        told, advice = "layers are created anew in forward, so nothing they learn is kept", "create them in __init__."
    else:
        told = f"they are not registered, as in a Python list{': ' + ', '.join(where[:5]) if where else ''}"
        advice = (
            "keep layers in nn.ModuleList, nn.ModuleDict or an attribute of their own, and tensors in nn.Parameter."
        )
    yield Finding(
        "error",
        f"{count:,} numbers, {share:.1%} of all that the answers depend on, are no parameters of the network: {told}",
        (Measure("share of numbers that are not registered", share, threshold=SHARE),),
        layers=where,
        confidence=0.97,
        remedies=(Remedy(f"{advice} Otherwise optimizer(network.parameters()) and state_dict() miss them."),),
    )


def _leaves(network: nn.Module, outputs: Tensor) -> list[Tensor]:
    """The tensors that gradients of the outputs end at."""
    found, seen, leaves = [outputs.grad_fn], set[Node](), list[Tensor]()
    while found and len(seen) < MOST_NODES:
        node = found.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(leaf := getattr(node, "variable", None), Tensor):
            leaves.append(leaf)
        found += [before for before, _ in node.next_functions]
    return leaves


def _listed(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Modules in plain lists, tuples and dicts, with their places."""
    for owner, module in network.named_modules():
        for name, value in vars(module).items():
            if isinstance(value, list | tuple | dict) and not name.startswith("_"):
                inside = value.items() if isinstance(value, dict) else enumerate(value)
                for key, part in inside:
                    if isinstance(part, nn.Module):
                        yield f"{owner + '.' if owner else ''}{name}[{key!r}]", part
