"""What the outputs of layers say about them: their mean and spread, dead units, saturated ones."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.nn import functional as F
from torch.nn.modules import activation, batchnorm, conv, instancenorm
from torch.nn.utils.rnn import PackedSequence

CELLS = 1 << 16  # of an output from which mean, spread and saturation are taken: 0.03 ms, and exact to about 1 %
GATE_ROWS = 4  # whose LSTM or GRU gates are computed again: a hundredth of the layer's own work at 128 rows and more
FLAT = (
    0.97  # a sigmoid beyond 0.03 or 0.97, a tanh beyond +-0.97: under 6 % of the steepest slope is left (Glorot 2010)
)
MOST_NODES = 5000  # of the graph of a pass that are walked through, 1 us each
MOST_HOPS = 8  # from an activation called as a function up to the layer that feeds it

RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.Threshold)
CHANNELS_FIRST = (
    *(conv._ConvNd, batchnorm._BatchNorm, instancenorm._InstanceNorm, nn.GroupNorm),  # pyright: ignore[reportPrivateUsage]  torch has no public name for them
)
FUNCTIONS = {"ReluBackward0": "dead", "SigmoidBackward0": "saturated", "TanhBackward0": "saturated"}

Signals = Iterator[tuple[str, Tensor]]
"""The names of LayerMoment's numbers, and the numbers, on the device."""


def is_activation(module: nn.Module) -> bool:
    """Whether a module is one of torch's nonlinearities; attention stands in their file but is none."""
    return type(module).__module__ == activation.__name__ and not isinstance(module, nn.MultiheadAttention)


def signals(module: nn.Module, inputs: Sequence[Any], output: Any, *, channels_first: bool | None) -> Signals:
    """What one call of a layer shows. `channels_first`: where its units stand; None where no layer before it tells."""
    values = tensor_of(output)
    if values is None or not values.is_floating_point() or values.numel() == 0:
        return
    values = values.detach()
    few = _few(values)
    mean = few.mean()
    yield "mean", mean
    yield "std", torch.linalg.vector_norm(few - mean) / few.numel() ** 0.5  # `std` takes 15 times as long on a CPU
    if isinstance(module, RECTIFIERS) or (isinstance(module, nn.RNN) and module.nonlinearity == "relu"):
        yield "dead", dead(values, channels_first=channels_first)
    elif isinstance(module, nn.Sigmoid):
        yield "saturated", _beyond(few, is_sigmoid=True)
    elif isinstance(module, nn.LSTM | nn.GRU) and (gates := _gates(module, inputs, values)):
        yield "saturated", torch.cat([_is_beyond(g, is_sigmoid=number > 0).flatten() for number, g in gates]).mean()
    elif isinstance(module, nn.Tanh | nn.LSTM | nn.GRU | nn.RNN | nn.LSTMCell | nn.GRUCell | nn.RNNCell):
        yield "saturated", _beyond(few, is_sigmoid=False)


def functional(
    outputs: Any, producers: Mapping[Node, int], channels_first: Sequence[bool]
) -> Iterator[tuple[str, int, Tensor]]:
    """What activations called as functions (`F.relu`) show, with the number of the layer that feeds them.

    They leave no trace but the graph of the pass, whose nodes keep their results. `producers` holds the layers' numbers
    by the nodes of their outputs, `channels_first` is by these numbers.
    """
    found = [node for value in _tensors(outputs) if (node := value.grad_fn) is not None]
    seen = set[Node]()
    while found and len(seen) < MOST_NODES:
        node = found.pop()
        if node in seen:
            continue
        seen.add(node)
        what = FUNCTIONS.get(node.name())
        if what and node not in producers and (layer := _feeding(node, producers)) is not None:
            result: Tensor = node._saved_result.detach()  # pyright: ignore[reportAttributeAccessIssue]  documented: "saved tensors" in torch's notes on autograd
            if what == "dead":
                yield what, layer, dead(result, channels_first=channels_first[layer])
            else:
                yield what, layer, _beyond(_few(result), is_sigmoid=node.name().startswith("Sigmoid"))
        found += [before for before, _ in node.next_functions if before is not None]


def dead(values: Tensor, *, channels_first: bool | None) -> Tensor:
    """The share of units (channels) that are 0 in all rows and places; values are 0 or more."""
    if values.ndim < 2:
        return (values == 0).float().mean()
    is_first = values.ndim > 3 if channels_first is None else channels_first
    axis = 1 if is_first else values.ndim - 1
    return (values.amax([d for d in range(values.ndim) if d != axis]) == 0).float().mean()


def tensor_of(output: Any) -> Tensor | None:
    """The first tensor of what a module returns: an LSTM's outputs, without its last state."""
    return next(_tensors(output), None)


def _tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, PackedSequence):
        yield output.data
    elif isinstance(output, tuple | list):
        for part in output:  # pyright: ignore[reportUnknownVariableType]  whatever a user's module returns
            yield from _tensors(part)
    elif isinstance(output, dict):
        for part in output.values():  # pyright: ignore[reportUnknownVariableType]
            yield from _tensors(part)


def _few(values: Tensor) -> Tensor:
    """The first rows, CELLS numbers of them."""
    if values.numel() <= CELLS or values.ndim == 0:
        return values.float()
    return values[: max(1, CELLS * len(values) // values.numel())].float()


def _is_beyond(values: Tensor, *, is_sigmoid: bool) -> Tensor:
    return ((values - 0.5).abs() > FLAT - 0.5 if is_sigmoid else values.abs() > FLAT).float()


def _beyond(values: Tensor, *, is_sigmoid: bool) -> Tensor:
    return _is_beyond(values, is_sigmoid=is_sigmoid).mean()


def _gates(layer: nn.LSTM | nn.GRU, inputs: Sequence[Any], states: Tensor) -> list[tuple[int, Tensor]]:
    """The gates (1) and candidates (0) of a few rows, of the forward direction, from the second step on.

    The state before each step is known once the layer has run, so no recurrence is needed. Empty for several
    layers in one module, whose inner states are not known, and for packed sequences.
    """
    x = inputs[0] if inputs else None
    if not isinstance(x, Tensor) or x.ndim != 3 or layer.num_layers > 1 or layer.proj_size:
        return []
    rows = (lambda t: t[:GATE_ROWS]) if layer.batch_first else (lambda t: t[:, :GATE_ROWS].transpose(0, 1))
    x, h = rows(x.detach()).float()[:, 1:], rows(states).float()[:, :-1, : layer.hidden_size]
    if not x.numel():
        return []
    # Detached: autocast remembers the bf16 copy of a weight, and one made without gradients would serve training too.
    named = {name: p.detach() for name, p in layer.named_parameters(recurse=False)}
    enter = F.linear(x, named["weight_ih_l0"], named.get("bias_ih_l0")).float()
    recur = F.linear(h, named["weight_hh_l0"], named.get("bias_hh_l0")).float()
    if isinstance(layer, nn.LSTM):
        i, f, g, o = (enter + recur).chunk(4, dim=-1)
        return [(1, torch.sigmoid(torch.cat([i, f, o], dim=-1))), (0, torch.tanh(g))]
    r, z, n = enter.chunk(3, dim=-1)
    at_r, at_z, at_n = recur.chunk(3, dim=-1)
    r = torch.sigmoid(r + at_r)
    return [(1, torch.cat([r, torch.sigmoid(z + at_z)], dim=-1)), (0, torch.tanh(n + r * at_n))]


def _feeding(node: Node, producers: Mapping[Node, int]) -> int | None:
    """The layer whose output comes into a node, through views, norms as functions and the like."""

    def upwards() -> Iterator[Node]:
        at: Node | None = node
        while at is not None:
            yield at
            at = next((before for before, _ in at.next_functions if before is not None), None)

    return next((producers[n] for n in islice(upwards(), MOST_HOPS) if n in producers), None)
