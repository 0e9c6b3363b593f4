"""Edits of an engineer's own network before training: each returns the mended network, or says why it cannot."""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from itertools import takewhile

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase  # pyright: ignore[reportPrivateUsage]  parents of norms
from torch.nn.modules.conv import _ConvNd  # pyright: ignore[reportPrivateUsage]  the parent of all convolutions
from torch.nn.modules.dropout import _DropoutNd  # pyright: ignore[reportPrivateUsage]  the parent of all dropouts

from netwright.machine.randomness import seeded
from netwright.models import ACTIVATIONS
from netwright.models.activations import activation as activation_of
from netwright.models.inits import HEAD_SCALE, initialize
from netwright.models.normalizations import group
from netwright.models.recurrent import initialize as initialize_recurrent
from netwright.models.stem import Standardized
from netwright.planning import MENDS
from netwright.records.errors import NetworkError
from netwright.records.run import Run
from netwright.records.schema import Signal
from netwright.resolve import resolve
from netwright.training.evaluate import device_of
from netwright.training.layers import RECTIFIERS, SQUASHERS
from netwright.training.look import Call, calls
from netwright.training.weights import named

Mend = Callable[[nn.Module, Run], nn.Module]
"""(untrained network, the run with its settings) -> the mended network; may change the one given.
If there is nothing to do or it cannot be done, raises NoMend and leaves the network unchanged."""

FEW = 32  # rows sent through a network to see the order of its layers
ENDS = (*RECTIFIERS, *SQUASHERS, nn.Softmax, nn.Softplus)  # after which no logit has its full range
NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
NEAR_MEAN, NEAR_SPREAD = 0.5, 2.0  # inputs within so many spreads of 0 and this factor of spread 1 need no scaling
WEIGHTED = (nn.Linear, _ConvNd, nn.RNNBase, nn.MultiheadAttention)
ROUNDING = 1e-6  # of a column's magnitude: a smaller spread means a constant


class NoMend(NetworkError):
    """There is nothing to mend, or it cannot be done from outside."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, remedy="change the network's code.")


def mended(network: nn.Module, run: Run, names: Iterable[str]) -> nn.Module:
    """A copy of the network with these mends, in the order of MENDS. Raises NoMend."""
    network = deepcopy(network)
    for name in sorted(names, key=list(MENDS).index):
        network = resolve("mend", name, MENDS)(network, run)
    return network


def are_equal(one: nn.Module, other: nn.Module) -> bool:
    """Whether two networks have the same modules, plain settings and first weights."""
    weights, others = named(one), named(other)
    return (
        _structure(one) == _structure(other)
        and weights.keys() == others.keys()
        and all(torch.equal(tensor, others[name]) for name, tensor in weights.items())
    )


def standardized(network: nn.Module, run: Run) -> nn.Module:
    """Inputs with mean 0 and spread 1 over the training rows, per feature (the last axis) or channel of pictures.

    A constant is divided by 1; missing values become the mean. LeCun et al. 1998, Efficient BackProp.
    """
    if any(isinstance(module, Standardized) for module in network.modules()):
        raise NoMend("its inputs are already standardized")
    sums = list[Tensor]()
    for batch in run.train.batches(run.recipe.batch_size, seed=None):
        own = [_sums(x) for x in batch.inputs]
        sums = [before + more for before, more in zip(sums, own, strict=True)] if sums else own
    if not any(map(_is_far, sums)):
        raise NoMend("its inputs are not floating-point, or already have mean 0 and spread 1")
    return Standardized(network, [_moments(one) for one in sums]).to(device_of(network))


def logits(network: nn.Module, run: Run) -> nn.Module:
    """Removes the softmax or other bounded activation at the end."""
    seen = _calls(network, run)
    last = next((call for call in seen if call.is_answer and isinstance(call.module, ENDS)), None)
    if last is None:
        raise NoMend("no module at its end bounds the outputs")
    if sum(call.module is last.module for call in seen) > 1:
        raise NoMend(f"{last.name} at its end is also used elsewhere")
    return _replaced(network, {last.name: nn.Identity()})


def unfrozen(network: nn.Module, run: Run) -> nn.Module:
    """Makes all parameters trainable."""
    if all(p.requires_grad for p in network.parameters()):
        raise NoMend("none of its parameters is frozen")
    return network.requires_grad_()


def activation(network: nn.Module, run: Run) -> nn.Module:
    """The recipe's activation instead of those between the layers that saturate or die."""
    name = run.recipe.activation
    ends = [call.module for call in _calls(network, run) if call.is_answer]
    places = [
        place
        for place, module in network.named_modules(remove_duplicate=False)
        if isinstance(module, (*RECTIFIERS, *SQUASHERS)) and _name_of(module) != name and module not in ends
    ]
    if not places:
        raise NoMend(f"no module between its layers is an activation that {name} could replace")
    return _replaced(network, {place: activation_of(name) for place in places})


def normalization(network: nn.Module, run: Run) -> nn.Module:
    """The recipe's normalization, "layer" or "group", instead of batch norms; if no module normalizes, after the hidden
    layers in an nn.Sequential.
    """
    name = run.recipe.normalization
    if name not in ("layer", "group"):
        raise NoMend(f"normalization {name!r} needs more than inspection of the network")
    norms = {place: module for place, module in network.named_modules() if isinstance(module, NORMS)}
    batch_norms = {place: module for place, module in norms.items() if isinstance(module, _BatchNorm)}
    if norms and not batch_norms:
        raise NoMend("it has normalization, but no batch norm")
    if batch_norms:
        return _replaced(network, {place: _norm(name, norm.num_features) for place, norm in batch_norms.items()})
    seen = _calls(network, run)
    in_order = {place for place, module in network.named_modules() if isinstance(module, nn.Sequential)}
    hidden = {
        call.name: nn.Sequential(call.module, norm)
        for call in _weighted(seen)[:-1]
        if call.name.rpartition(".")[0] in in_order
        and sum(other.module is call.module for other in seen) == 1
        and (norm := _norm_behind(call, name)) is not None
    }
    if not hidden:
        raise NoMend("none of its hidden layers is in an nn.Sequential")
    return _replaced(network, hidden)


def dropout(network: nn.Module, run: Run) -> nn.Module:
    """The recipe's dropout rate in all its dropout modules."""
    share = run.recipe.dropout
    found = [module for module in network.modules() if isinstance(module, _DropoutNd) and module.p != share]
    if not found:
        raise NoMend(f"it has no dropout module with a rate other than {share:g}")
    for module in found:
        module.p = share
    return network


def init(network: nn.Module, run: Run) -> nn.Module:
    """Redraws initial weights: by the recipe's init for the activation after each layer, small at the end;
    orthogonal recurrent weights and open forget gates; torch's own in norms and embeddings.
    """
    seen = _calls(network, run)
    layers = _weighted(seen)
    behind = {call.module: name for call, name in zip(layers, _activations(seen), strict=True)}
    with seeded(run.recipe.seed):
        drawn = [_draw(module, run.recipe.init, behind) for module in network.modules()]
        if layers and isinstance(head := layers[-1].module, nn.Linear | _ConvNd) and _trains(head):
            initialize(head, "lecun", "identity", scale=HEAD_SCALE)
    if not any(drawn):
        raise NoMend("it has no trainable layer with known good initial weights")
    return network


def answer(network: nn.Module, run: Run) -> nn.Module:
    """Small initial outputs around the best constant answer: the last layer's bias encodes class frequencies."""
    layers = _weighted(_calls(network, run))
    if not layers or not isinstance(last := layers[-1].module, nn.Linear | _ConvNd):
        raise NoMend("its last layer with weights is neither nn.Linear nor a convolution")
    constant = run.task.constant(run.train.targets())
    with seeded(run.recipe.seed):
        initialize(last, "lecun", "identity", scale=HEAD_SCALE)
    if isinstance(last.bias, Tensor) and isinstance(constant, Tensor) and last.bias.numel() == constant.numel():
        last.bias.detach().copy_(constant.flatten())
    return network


def _structure(network: nn.Module) -> list[object]:
    plain = bool | int | float | str | tuple
    return [
        (name, type(module), [(key, value) for key, value in vars(module).items() if isinstance(value, plain)])
        for name, module in network.named_modules()
    ]


def _calls(network: nn.Module, run: Run) -> tuple[Call, ...]:
    batch = next(run.train.batches(min(FEW, run.recipe.batch_size), seed=None))
    return calls(network, batch.to(device_of(network)), run.task.forward)


def _weighted(seen: Iterable[Call]) -> list[Call]:
    """The first call of each layer with matrices or kernels."""
    first = dict[nn.Module, Call]()
    for call in seen:
        if isinstance(call.module, WEIGHTED):
            first.setdefault(call.module, call)
    return list(first.values())


def _activations(seen: tuple[Call, ...]) -> list[str]:
    """For each of `_weighted`, the first activation called after it and before the next; relu if there is none."""
    names = list[str]()
    for call in _weighted(seen):
        behind = takewhile(lambda other: not isinstance(other.module, WEIGHTED), seen[seen.index(call) + 1 :])
        names.append(next((name for other in behind if (name := _name_of(other.module))), "relu"))
    return names


def _name_of(module: nn.Module) -> str:
    """The key in ACTIVATIONS; empty if it is not an activation."""
    names = (name for name in ACTIVATIONS if name not in ("identity", "softmax"))
    return next((name for name in names if type(module) is resolve("activation", name, ACTIVATIONS)), "")


def _replaced(network: nn.Module, places: Mapping[str, nn.Module]) -> nn.Module:
    device = device_of(network)
    for place, module in places.items():
        if not place:
            return module.to(device)
        network.set_submodule(place, module.to(device))
    return network


def _norm(name: str, channels: int) -> nn.Module:
    """For outputs whose second axis holds the channels."""
    return group(Signal("map", channels), groups=1 if name == "layer" else None)


def _norm_behind(call: Call, name: str) -> nn.Module | None:
    if isinstance(call.module, _ConvNd):
        return _norm(name, call.module.out_channels)
    if not isinstance(call.module, nn.Linear):
        return None
    width = call.module.out_features
    return _norm(name, width) if name == "group" and len(call.shape) == 2 else nn.LayerNorm(width)


def _trains(module: nn.Module) -> bool:
    return any(p.requires_grad for p in module.parameters())


def _draw(module: nn.Module, init: str, behind: Mapping[nn.Module, str]) -> bool:
    """Draws a layer's initial weights, if good ones are known. Frozen weights stay: they may have been learned."""
    if not _trains(module):
        return False
    if isinstance(module, nn.RNNBase | nn.RNNCellBase):
        initialize_recurrent(module)
    elif isinstance(module, nn.MultiheadAttention):
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
            elif "in_proj" in name:
                nn.init.zeros_(parameter)
        initialize(module.out_proj, "xavier", "identity")
    elif isinstance(module, (*NORMS, nn.Embedding)):
        module.reset_parameters()
    elif module in behind:
        initialize(module, init, behind[module])
    else:
        return False
    return not isinstance(module, NORMS)


def _sums(x: Tensor) -> Tensor:
    """(4, ...): count, number of finite values, their sum and sum of squares, per feature or channel."""
    axis = 1 if x.ndim > 3 else x.ndim - 1
    axes = [k for k in range(x.ndim) if k != axis or x.ndim == 1]
    is_there = x.isfinite() & x.is_floating_point()
    values = torch.where(is_there, x, 0.0).double()
    parts = (torch.ones_like(values), is_there.double(), values, values.square())
    return torch.stack([part.sum(axes, keepdim=True).squeeze(0) for part in parts])


def _moments(sums: Tensor) -> tuple[Tensor, Tensor] | None:
    """Mean and spread (1 for a constant); None if there are no numbers."""
    if not bool(sums[1].any()):
        return None
    count = sums[1].clamp(min=1)
    mean = sums[2] / count
    spread = (sums[3] / count - mean.square()).clamp(min=0).sqrt()
    return mean.float(), torch.where(spread > ROUNDING * mean.abs(), spread, 1.0).float()


def _is_far(sums: Tensor) -> bool:
    if (moments := _moments(sums)) is None:
        return False
    mean, spread = moments
    is_off = (mean.abs() > NEAR_MEAN * spread) | (spread > NEAR_SPREAD) | (spread < 1 / NEAR_SPREAD)
    return bool(is_off.any()) or bool((sums[1] < sums[0]).any())
