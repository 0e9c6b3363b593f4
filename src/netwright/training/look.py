"""What each layer of a network outputs on some batches, and the gradient that comes back to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Any, final

import torch
from torch import Tensor, nn

from netwright.machine.randomness import reseed
from netwright.records.batch import Batch, side_by_side
from netwright.records.task import Forward, Objective, of_inputs
from netwright.training.evaluate import evaluating
from netwright.training.layers import (
    RECURRENT,
    Layout,
    after_calls,
    family,
    hooked,
    idle,
    is_layer,
    layers,
    matrices,
    saturated,
    tensor_of,
    tensors,
)
from netwright.training.probes import copied


@final
@dataclass(frozen=True)
class Layer:
    """One module without submodules, in call order. NaN if a number has no meaning for it."""

    name: str
    kind: str
    gradient: float  # norm of the gradient of its weights (matrices and kernels), mean over the batches
    weight: float  # their length
    rms: float  # of its outputs
    varies: float  # spread of its outputs from row to row, divided by their rms
    dead: float  # rectifiers: share of its units that are 0 on every row
    saturated: float  # tanh and sigmoid: share of its outputs in the flat parts


def look(network: nn.Module, objective: Objective, batches: Sequence[Batch]) -> tuple[Layer, ...]:
    """Forward and backward passes of a copy over some batches, in training mode, without a step."""
    with copied(network) as copy:
        copy.train()
        seen, layout = dict[str, _Seen](), Layout()

        def hear(name: str, module: nn.Module, _inputs: object, output: Any) -> None:
            value = tensor_of(output)
            if value is not None and value.is_floating_point() and value.ndim > 1:
                is_first = layout.channels_first(module, value)
                one = seen[name] if name in seen else seen.setdefault(name, _Seen(module))
                one.add(value.detach().float(), channels_first=is_first)

        with hooked(after_calls(layers(copy, is_layer), hear)):
            for batch in batches:
                copy.zero_grad()
                objective(copy, batch).mean().backward()
                for one in seen.values():
                    one.add_gradient()
        return tuple(one.layer(name) for name, one in seen.items())


@final
@dataclass(frozen=True)
class Call:
    """One call of a module without submodules, or with weights of its own."""

    name: str
    module: nn.Module
    shape: tuple[int, ...]  # of its output, or of the first of several
    is_answer: bool  # whether it is the network's output
    entered: Tensor | None  # of one row; None if no floating tensor has one row per batch row
    left: Tensor | None


def calls(network: nn.Module, batch: Batch, forward: Forward = of_inputs, row: int = 0) -> tuple[Call, ...]:
    """A network's module calls in order, for a batch in evaluation mode. They show one row of it."""
    called = list[tuple[str, nn.Module, tuple[Any, ...], Any]]()
    with hooked(after_calls(layers(network, is_layer), lambda *call: called.append(call))), evaluating(network):
        answer = forward(network, batch)
    return tuple(
        Call(name, module, _shape(output), output is answer, *(_row(x, row, len(batch)) for x in (inputs, output)))
        for name, module, inputs, output in called
    )


def _shape(output: Any) -> tuple[int, ...]:
    value = tensor_of(output)
    return () if value is None else tuple(value.shape)


def _square(values: Tensor) -> float:
    return float(torch.linalg.vector_norm(values)) ** 2


def _variance(values: Tensor) -> float:
    """Mean over columns of the variance over rows, (N, K); 4 times as fast as torch's, which walks down columns.

    Uses differences from the first row, so that a large common offset causes no rounding error.
    """
    count, columns = values.shape
    apart = values - values[:1]
    return max(_square(apart) - count * _square(apart.mean(0)), 0.0) / (count - 1) / columns


@final
class _Seen:
    """Sums over batches for one module."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.family = "" if isinstance(module, RECURRENT) else family(module)
        self.weights = [p for p in matrices(module) if p.requires_grad]
        self.squares: list[float] = []
        self.spreads: list[float] = []
        self.idle: Tensor | None = None
        self.flat: list[float] = []
        self.gradients: list[float] = []

    def add(self, value: Tensor, *, channels_first: bool | None) -> None:
        flat = value.reshape(len(value), -1)
        self.squares.append(_square(flat) / flat.numel())
        if len(flat) > 1:
            self.spreads.append(_variance(flat))
        if self.family == "rectifying":
            now = idle(value, channels_first=channels_first)
            self.idle = now if self.idle is None or self.idle.shape != now.shape else self.idle & now
        elif self.family:
            self.flat.append(float(saturated(value, is_sigmoid=self.family == "sigmoid").float().mean()))

    def add_gradient(self) -> None:
        if found := [p.grad for p in self.weights if p.grad is not None]:
            self.gradients.append(_length(found))

    def layer(self, name: str) -> Layer:
        rms = _mean(self.squares) ** 0.5
        return Layer(
            name=name,
            kind=type(self.module).__name__,
            gradient=_mean(self.gradients),
            weight=_length(self.weights) if self.weights else nan,
            rms=rms,
            varies=_mean(self.spreads) ** 0.5 / rms if rms > 0 else 0.0,
            dead=nan if self.idle is None else 1 - float((~self.idle).float().mean()),
            saturated=_mean(self.flat),
        )


def _length(parts: Sequence[Tensor]) -> float:
    return float(torch.stack([part.detach().float().norm() for part in parts]).norm())


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else nan


def parting(
    network: nn.Module, first: Batch, second: Batch, tolerance: float, forward: Forward = of_inputs, row: int = 0
) -> tuple[str, ...]:
    """Where outputs for one row of two batches begin to differ in evaluation, though the inputs were the same.

    A module's name, or the names of the modules before and after the code between them; () if they never differ.
    Numbers differ if they do so by more than `tolerance` of their size.
    """
    one, other, before = calls(network, first, forward, row), calls(network, second, forward, row), ""
    for call, again in zip(one, other, strict=False):
        if not _alike(call.left, again.left, tolerance):
            is_here = not before or _alike(call.entered, again.entered, tolerance)
            return (call.name,) if is_here else (before, call.name)
        before = call.name
    return (before,) if before and len(one) == len(other) else ()


def carried(network: nn.Module, batch: Batch, forward: Forward = of_inputs) -> tuple[str, ...]:
    """Attributes of modules that change in a pass and change the next one, with the same random numbers; () if none."""
    with copied(network) as copy, evaluating(copy):
        answers, states = list[Tensor](), list[dict[str, Tensor]]()
        for _ in range(3):  # the first pass may set a table up that all later ones use
            reseed(0)
            answers.append(side_by_side(forward(copy, batch)))
            states.append(_state(copy))
        if torch.equal(answers[1], answers[2]):
            return ()
        before, after = states[1:]
        return tuple(n for n, now in after.items() if n not in before or not torch.equal(before[n], now))


def _state(network: nn.Module) -> dict[str, Tensor]:
    """Tensors that modules hold besides their parameters."""
    held = [(name, module, vars(module) | module._buffers) for name, module in network.named_modules()]  # pyright: ignore[reportPrivateUsage]  `named_buffers` walks again
    return {
        ".".join(filter(None, (name, attribute))): torch.cat([part.detach().flatten().float() for part in parts])
        for name, _, values in held
        for attribute, value in values.items()
        if not attribute.startswith("_") and (parts := list(tensors(value)))
    }


def _row(values: Any, row: int, count: int) -> Tensor | None:
    """A row of the first tensor with one row per batch row."""
    found = (v for v in tensors(values) if v.is_floating_point() and v.ndim and len(v) == count)
    tensor = next(found, None)
    return None if tensor is None else tensor[row].detach().clone()


def _alike(one: Tensor | None, other: Tensor | None, tolerance: float) -> bool:
    if one is None or other is None:
        return True
    return float((one - other).abs().max()) <= tolerance * max(float(one.abs().mean()), 1e-12)
