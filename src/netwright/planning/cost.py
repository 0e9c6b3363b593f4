"""A network's layers and their cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from netwright.records.escaped import in_lines
from netwright.training.evaluate import evaluating
from netwright.training.layers import after_calls, hooked, is_layer, tensor_of

GAP = "  "  # between the columns of the table
UNITS = ("", "K", "M", "G", "T")


@dataclass(frozen=True)
class Layer:
    """A module that holds weights or changes its input."""

    name: str  # its qualified name, as in state_dict: "head"
    type: str  # its class: "Linear"
    shape: tuple[int, ...]  # of its output, without the batch
    parameters: int  # its own
    flops: int  # its own, forward, for one example: matrix products, convolutions, attention; 2 per multiply-add


def layers(network: nn.Module, inputs: Sequence[Tensor]) -> tuple[Layer, ...]:
    """The network's layers in the order in which `network(*inputs)` finishes them, on a CPU.

    Runs the inputs once, in evaluation mode and without gradients; restores modes and hooks. Sequences are as
    long as the longest input.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    modules = {name: module for name, module in network.named_modules() if name}

    def hear(name: str, _module: nn.Module, _inputs: object, output: Any) -> None:
        first = tensor_of(output)
        shapes.setdefault(name, () if first is None else tuple(first.shape[1:]))

    counter = FlopCounterMode(display=False, custom_mapping=_UNCOUNTED)
    with hooked(after_calls(modules.items(), hear)), evaluating(network), counter:
        network(*inputs)
    flops = _own_flops(counter, type(network).__name__)
    found = [_layer(name, modules[name], shapes[name], flops.get(name, 0) // len(inputs[0])) for name in shapes]
    return tuple(layer for layer in found if _tells(layer, modules[layer.name]))


def totals(layers: Sequence[Layer]) -> tuple[int, int]:
    """Parameters, and FLOPs for one example forward."""
    return sum(layer.parameters for layer in layers), sum(layer.flops for layer in layers)


def render(layers: Sequence[Layer]) -> str:
    """An aligned table with the totals below."""
    parameters, flops = totals(layers)
    rows = [("layer", "type", "output", "parameters", "FLOPs")]
    rows += [
        (layer.name, layer.type, " x ".join(map(str, layer.shape)), f"{layer.parameters:,}", short(layer.flops))
        for layer in layers
    ]
    rows.append(("total", "", "", f"{parameters:,}", short(flops)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [GAP.join(_aligned(row, widths)).rstrip() for row in rows]
    return in_lines([*lines[:-1], "-" * max(map(len, lines)), lines[-1]])


def short(count: int) -> str:
    """Three digits and a unit: 1.23 M, 45.6 K, 789."""
    if count < 1000:
        return str(count)
    power = min(len(UNITS) - 1, (len(str(count)) - 1) // 3)
    value = count / 1000**power
    return f"{value:.{max(0, 2 - (len(str(int(value))) - 1))}f} {UNITS[power]}"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Aligns words left, and the last two columns, which are numbers, right."""
    words = [cell.ljust(width) for cell, width in zip(row[:-2], widths[:-2], strict=True)]
    return words + [cell.rjust(width) for cell, width in zip(row[-2:], widths[-2:], strict=True)]


def _layer(name: str, module: nn.Module, shape: tuple[int, ...], flops: int) -> Layer:
    own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
    return Layer(name, type(module).__name__, shape, own, flops)


def _tells(layer: Layer, module: nn.Module) -> bool:
    """Whether the layer is more than a container."""
    return bool((is_layer(module) and not isinstance(module, nn.Identity)) or layer.parameters or layer.flops)


def _own_flops(counter: FlopCounterMode, root: str) -> dict[str, int]:
    """Each module's FLOPs minus those of its submodules."""
    counts = {
        name.removeprefix(f"{root}."): sum(by_operation.values())
        for name, by_operation in counter.get_flop_counts().items()
        if name.startswith(f"{root}.")
    }
    own = dict(counts)
    for name, count in counts.items():
        parent = name.rpartition(".")[0]
        while parent and parent not in own:  # a ModuleList is never called itself
            parent = parent.rpartition(".")[0]
        if parent:
            own[parent] -= count
    return own


def _attention_flops(query: Any, key: Any, value: Any, *_rest: Any, out_shape: Any, **_options: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _lstm_flops(x: Any, enter: Any, recur: Any, *_rest: Any, out_shape: Any, **_options: Any) -> int:
    """Each weight once per step of each row."""
    return 2 * prod(x[:-1]) * (prod(enter) + prod(recur))


# CPU kernels that torch's counter does not know.
_UNCOUNTED: dict[Any, Any] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
    torch.ops.aten.mkldnn_rnn_layer: _lstm_flops,
}
