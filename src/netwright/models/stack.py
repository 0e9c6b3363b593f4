"""A trunk given layer by layer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor, nn

from netwright.models import ACTIVATIONS
from netwright.models.activations import activation
from netwright.models.dropout import Dropout
from netwright.models.forms import MEANING
from netwright.models.inits import initialize
from netwright.models.layers import NORMS, Layer, read, total_stride
from netwright.models.normalizations import group, normalization
from netwright.models.pooling import FlattenSteps, GlobalPool
from netwright.models.recurrent import Recurrent
from netwright.models.sequences import Chain, Conv, EachStep, PoolSteps
from netwright.models.transformer import Attention
from netwright.records.errors import RecipeError
from netwright.records.recipe import Recipe
from netwright.records.schema import Form, Signal


def stack(layers: Sequence[Any], signal: Signal, recipe: Recipe) -> tuple[nn.Module, Signal]:
    """Modules for a list of layers, with the sizes between them inferred.

    A layer is a word ("relu", "batch_norm", "flatten", "global_pool", ...) or a mapping whose first key names it:
    {conv=32, kernel=3, stride=1, dilation=1, groups=1}, {depthwise=3}, {pool=2, kind="avg"}, {dense=64}, {dropout=0.2},
    {lstm=128, bidirectional=true}, {gru=128}, {attention=4} (heads), {embedding=32}, {residual=[...]},
    {parallel=[[...], [...]]} (side by side), {repeat=50, layers=[...]}.

    Convolutions and pools are one-dimensional after a sequence, two-dimensional after a map. Dense works on each step
    of a sequence; a map must be flattened or pooled first. If a residual branch changes the shape, its shortcut gets a
    projection. Weights fit the activation that follows them. Embedding sets the width of the symbols' vectors: the stem
    holds their table, so padding and unknown symbols mean the same to every network, and the layer maps it to any
    width.

    Raises RecipeError: all unknown layers, options and values at once, or the first layer that cannot follow another.
    """
    return _build(read(layers), signal, recipe, "the input")


# Building: each layer sees the signal before it, and the layers before and after it.


@dataclass(frozen=True)
class _Spot:
    """The context in which a layer is built."""

    layer: Layer
    signal: Signal
    recipe: Recipe
    before: str  # the layer before, for messages
    activation: str  # the next one, which initial weights fit


def _build(layers: Sequence[Layer], signal: Signal, recipe: Recipe, before: str) -> tuple[Chain, Signal]:
    modules: list[nn.Module] = []
    for number, layer in enumerate(layers):
        module, signal = _module(_Spot(layer, signal, recipe, before, _following(layers[number + 1 :])))
        modules.append(module)
        before = str(layer)
    return Chain(*modules), signal


def _module(spot: _Spot) -> tuple[nn.Module, Signal]:
    name = spot.layer.name
    if name in BUILDERS:
        return BUILDERS[name](spot)
    if name in NORMS:
        return normalization(NORMS[name], spot.signal), spot.signal
    return _each_step(activation(name), spot.signal), spot.signal


def _following(layers: Sequence[Layer]) -> str:
    """The activation that the next weights' outputs go through."""
    for layer in layers:
        if layer.name in ACTIVATIONS:
            return layer.name
        if layer.name not in (*NORMS, "pool", "dropout"):
            break
    return "identity"


def _misfit(spot: _Spot, needs: str) -> RecipeError:
    return RecipeError(
        f"{spot.layer} cannot follow {spot.before}: {spot.layer.name} needs {needs}, "
        f"{spot.before} gives a {spot.signal}",
        remedy=f"put other layers before layer {spot.layer.place}, or leave it out.",
    )


def _require(spot: _Spot, *forms: Form) -> None:
    if spot.signal.form not in forms:
        raise _misfit(spot, " or ".join(MEANING[form].partition(" (")[0] for form in forms))


def _each_step(module: nn.Module, signal: Signal) -> nn.Module:
    return EachStep(module) if signal.form == "sequence" else module


def _dense(spot: _Spot) -> tuple[nn.Module, Signal]:
    _require(spot, "vector", "sequence")
    linear = nn.Linear(spot.signal.width, int(spot.layer.value), bias=spot.layer.options["bias"])
    initialize(linear, spot.recipe.init, spot.activation)
    return _each_step(linear, spot.signal), replace(spot.signal, width=linear.out_features)


def _embedding(spot: _Spot) -> tuple[nn.Module, Signal]:
    """The stem's table times a matrix: a table of any width, factorized as in Lan et al. 2019 (arXiv:1909.11942)."""
    _require(spot, "sequence")
    if spot.layer.place != "1":
        raise RecipeError(
            f"{spot.layer} cannot follow {spot.before}: embedding comes first", remedy="move it to the top."
        )
    linear = nn.Linear(spot.signal.width, int(spot.layer.value), bias=False)
    initialize(linear, spot.recipe.init, "identity")
    return EachStep(linear), replace(spot.signal, width=linear.out_features)


def _conv(spot: _Spot) -> tuple[nn.Module, Signal]:
    options = spot.layer.options
    return _convolution(spot, int(spot.layer.value), int(options["kernel"]), int(options["groups"]))


def _depthwise(spot: _Spot) -> tuple[nn.Module, Signal]:
    return _convolution(spot, spot.signal.width, int(spot.layer.value), spot.signal.width)


def _convolution(spot: _Spot, out: int, kernel: int, groups: int) -> tuple[nn.Module, Signal]:
    """Keeps the size at stride 1, for any kernel and dilation."""
    _require(spot, "map", "sequence")
    signal, options = spot.signal, spot.layer.options
    stride, dilation, bias = int(options["stride"]), int(options["dilation"]), options["bias"]
    if signal.width % groups or out % groups:
        raise _misfit(spot, f"widths that {groups} groups can share")
    if signal.form == "sequence":
        module = Conv(signal.width, out, kernel, stride=stride, dilation=dilation, groups=groups, bias=bias)
        conv = module.conv
    else:
        padding = dilation * (kernel - 1) // 2
        module = conv = nn.Conv2d(signal.width, out, kernel, stride, padding, dilation, groups, bias)
    initialize(conv, spot.recipe.init, spot.activation)
    return module, Signal(signal.form, out, tuple(-(-n // stride) for n in signal.size))


def _pool(spot: _Spot) -> tuple[nn.Module, Signal]:
    """Adjacent windows; the last may be smaller, so nothing is dropped."""
    _require(spot, "map", "sequence")
    size, is_mean = int(spot.layer.value), spot.layer.options["kind"] == "avg"
    if size > max(spot.signal.size):
        raise _misfit(spot, f"at least {size} pixels or steps")
    if spot.signal.form == "sequence":
        module = PoolSteps(size, mean=is_mean)
    else:
        module = nn.AvgPool2d(size, ceil_mode=True) if is_mean else nn.MaxPool2d(size, ceil_mode=True)
    return module, replace(spot.signal, size=tuple(-(-n // size) for n in spot.signal.size))


def _global_pool(spot: _Spot) -> tuple[nn.Module, Signal]:
    _require(spot, "map", "sequence")
    return GlobalPool(mean=spot.layer.value != "max"), Signal("vector", spot.signal.width)


def _flatten(spot: _Spot) -> tuple[nn.Module, Signal]:
    """All pixels, or all steps up to the longest row of training, as one vector."""
    _require(spot, "map", "sequence")
    width = spot.signal.width
    for n in spot.signal.size:
        width *= n
    module = nn.Flatten() if spot.signal.form == "map" else FlattenSteps(spot.signal.size[0])
    return module, Signal("vector", width)


def _dropout(spot: _Spot) -> tuple[nn.Module, Signal]:
    return _each_step(Dropout(float(spot.layer.value)), spot.signal), spot.signal


def _norm_of_groups(spot: _Spot) -> tuple[nn.Module, Signal]:
    if spot.layer.value is None:
        return group(spot.signal), spot.signal
    groups = int(spot.layer.value)
    if spot.signal.width % groups:
        raise _misfit(spot, f"a width that {groups} groups can share")
    return group(spot.signal, groups), spot.signal


def _recurrent(spot: _Spot) -> tuple[nn.Module, Signal]:
    _require(spot, "sequence")
    cell = nn.LSTM if spot.layer.name == "lstm" else nn.GRU
    both_ways = spot.layer.options["bidirectional"]
    layer = Recurrent(spot.signal.width, int(spot.layer.value), cell, both_ways=both_ways)
    return layer, replace(spot.signal, width=layer.width)


def _attention(spot: _Spot) -> tuple[nn.Module, Signal]:
    _require(spot, "sequence")
    heads = int(spot.layer.value)
    if spot.signal.width % (2 * heads):
        raise _misfit(spot, f"a width that is a multiple of 2 x {heads} heads")
    return Attention(spot.signal.width, heads), spot.signal


def _residual(spot: _Spot) -> tuple[nn.Module, Signal]:
    """x + body(x); if the body changes the shape, x goes through a linear map to it."""
    body, after = _build(spot.layer.value, spot.signal, spot.recipe, spot.before)
    return Residual(body, _way_past(spot, after)), after


def _way_past(spot: _Spot, after: Signal) -> nn.Module:
    before = spot.signal
    if before == after:
        return _each_step(nn.Identity(), before)
    if before.form != after.form:
        raise RecipeError(
            f"{spot.layer} turns a {before} into a {after}", remedy="keep the form within a residual branch."
        )
    if before.form == "vector":
        path = linear = nn.Linear(before.width, after.width, bias=False)
    elif before.form == "map":
        path = linear = nn.Conv2d(before.width, after.width, 1, total_stride(spot.layer.value), bias=False)
    else:
        path = Conv(before.width, after.width, 1, stride=total_stride(spot.layer.value), bias=False)
        linear = path.conv
    initialize(linear, spot.recipe.init, "identity")
    return path


def _parallel(spot: _Spot) -> tuple[nn.Module, Signal]:
    branches = [_build(branch, spot.signal, spot.recipe, spot.before) for branch in spot.layer.value]
    signals = [signal for _, signal in branches]
    strides = {total_stride(branch) for branch in spot.layer.value}
    if len({(signal.form, signal.size) for signal in signals}) > 1 or len(strides) > 1:
        gives = ", ".join(str(signal) for signal in signals)
        raise RecipeError(f"the branches of {spot.layer} return {gives}", remedy="end them in the same form and size.")
    return Parallel([b for b, _ in branches]), replace(signals[0], width=sum(signal.width for signal in signals))


def _repeat(spot: _Spot) -> tuple[nn.Module, Signal]:
    copies, signal, before = list[nn.Module](), spot.signal, spot.before
    for _ in range(int(spot.layer.value)):
        copy, signal = _build(spot.layer.options["layers"], signal, spot.recipe, before)
        copies.append(copy)
        before = f"layer {spot.layer.options['layers'][-1].place}"
    return Chain(*copies), signal


BUILDERS: dict[str, Callable[[_Spot], tuple[nn.Module, Signal]]] = {
    "dense": _dense,
    "conv": _conv,
    "depthwise": _depthwise,
    "pool": _pool,
    "global_pool": _global_pool,
    "flatten": _flatten,
    "dropout": _dropout,
    "group_norm": _norm_of_groups,
    "lstm": _recurrent,
    "gru": _recurrent,
    "attention": _attention,
    "embedding": _embedding,
    "residual": _residual,
    "parallel": _parallel,
    "repeat": _repeat,
}


@final
class Residual(nn.Module):
    """The sum of a body and its shortcut."""

    def __init__(self, body: nn.Module, past: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.past = past

    def forward(self, *signal: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """The body's shape, with the body's lengths."""
        if len(signal) == 1:
            return self.body(*signal) + self.past(*signal)
        x, lengths = self.body(*signal)
        return x + self.past(*signal)[0], lengths


@final
class Parallel(nn.Module):
    """Branches of the same signal, concatenated along the features."""

    def __init__(self, branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, *signal: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """The branches' form; all branches have the same lengths."""
        outs = [branch(*signal) for branch in self.branches]
        if isinstance(outs[0], tuple):
            return torch.cat([x for x, _ in outs], dim=2), outs[0][1]
        return torch.cat(outs, dim=1)
