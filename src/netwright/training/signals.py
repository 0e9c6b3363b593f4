"""Statistics of layer outputs: mean and spread, dead units, saturated ones."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.nn import functional as F

from netwright.training.layers import family, idle, saturated, tensor_of, tensors

CELLS = 1 << 16  # values of an output that give mean, spread and saturation: 0.03 ms, and exact to about 1 %
GATE_ROWS = 4  # rows whose LSTM or GRU gates are recomputed: a hundredth of the layer's own work from 128 rows on
MOST_NODES = 5000  # nodes of a pass's graph to walk through, 1 us each
MOST_LOSSES = 30  # nodes to look at for a loss's targets: a sum of several losses and a penalty
MOST_HOPS = 8  # nodes from an activation called as a function to the layer that feeds it

FUNCTIONS = {"ReluBackward0": "dead", "SigmoidBackward0": "saturated", "TanhBackward0": "saturated"}

Signals = Iterator[tuple[str, Tensor]]
"""The names of LayerMoment's numbers, and the numbers, on the device."""


def signals(module: nn.Module, inputs: Sequence[Any], output: Any, *, channels_first: bool | None) -> Signals:
    """What one call of a layer shows. `channels_first`: the axis of its units; None if no earlier layer tells."""
    values = tensor_of(output)
    if values is None or not values.is_floating_point() or values.numel() == 0:
        return
    values = values.detach()
    few = _few(values)
    mean = few.mean()
    yield "mean", mean
    yield "std", torch.linalg.vector_norm(few - mean) / few.numel() ** 0.5  # `std` takes 15 times as long on a CPU
    kind = family(module)
    if kind == "rectifying":
        yield "dead", _share(idle(values, channels_first=channels_first))
    elif isinstance(module, nn.LSTM | nn.GRU) and (gates := _gates(module, inputs, values)):
        yield "saturated", _share(torch.cat([saturated(g, is_sigmoid=number > 0).flatten() for number, g in gates]))
    elif kind:
        yield "saturated", _share(saturated(few, is_sigmoid=kind == "sigmoid"))


def functional(
    outputs: Any, producers: Mapping[Node, int], channels_first: Sequence[bool]
) -> Iterator[tuple[str, int, Tensor]]:
    """What activations called as functions (`F.relu`) show, with the number of the layer that feeds them.

    Their only trace is the graph of the pass, whose nodes keep their results. `producers` maps nodes of layer outputs
    to the layers' numbers; `channels_first` is keyed by these numbers.
    """
    found = [node for value in tensors(outputs) if (node := value.grad_fn) is not None]
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
                yield what, layer, _share(idle(result, channels_first=channels_first[layer]))
            else:
                yield what, layer, _share(saturated(_few(result), is_sigmoid=node.name().startswith("Sigmoid")))
        found += [before for before, _ in node.next_functions if before is not None]


def targets_of(loss: Tensor) -> tuple[Tensor, ...]:
    """The targets that a loss was computed from, as torch keeps them for its backward pass; empty if it does not.

    Only torch's own losses keep them, a few nodes from the root. After the backward pass they are gone.
    """
    found, kept = [loss.grad_fn], list[Tensor]()
    for _ in range(MOST_LOSSES):
        if not found or kept:
            break
        node = found.pop(0)
        if node is None:
            continue
        if isinstance(target := getattr(node, "_saved_target", None), Tensor):
            kept.append(target.detach())
        found += [before for before, _ in node.next_functions]
    return tuple(kept)


def _few(values: Tensor) -> Tensor:
    """The first rows, about CELLS numbers."""
    if values.numel() <= CELLS or values.ndim == 0:
        return values.float()
    return values[: max(1, CELLS * len(values) // values.numel())].float()


def _share(claims: Tensor) -> Tensor:
    return claims.float().mean()


def _gates(layer: nn.LSTM | nn.GRU, inputs: Sequence[Any], states: Tensor) -> list[tuple[int, Tensor]]:
    """The gates (1) and candidates (0) of a few rows, forward direction, from the second step on.

    The state before each step is known once the layer has run, so no recurrence is needed. Empty for packed sequences
    and for several layers in one module, whose inner states are not known.
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
    """The layer whose output reaches a node, through views, functional norms and the like."""

    def upwards() -> Iterator[Node]:
        at: Node | None = node
        while at is not None:
            yield at
            at = next((before for before, _ in at.next_functions if before is not None), None)

    return next((producers[n] for n in islice(upwards(), MOST_HOPS) if n in producers), None)
