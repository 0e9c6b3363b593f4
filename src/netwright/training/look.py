"""A look at a network with some batches: what each layer gives out, and what gradient comes back to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any, final

import torch
from torch import Tensor, nn

from netwright.records.batch import Batch
from netwright.records.task import Objective
from netwright.training.evaluate import evaluating
from netwright.training.probes import copied

RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.Threshold, nn.Hardtanh)
SQUASHERS = (nn.Tanh, nn.Sigmoid, nn.Softsign, nn.Hardsigmoid)
FLAT = 0.94  # of a squasher's range from its middle: |tanh| above .97, sigmoid outside (.03, .97), both at slope < .06


@final
@dataclass(frozen=True)
class Layer:
    """One module without parts, in the order in which they are called. NaN where a number has no meaning for it."""

    name: str
    kind: str
    gradient: float  # length of the gradient of its weights (matrices and kernels), mean over the batches
    weight: float  # their length
    rms: float  # of its outputs
    varies: float  # spread of its outputs from row to row, over their rms
    dead: float  # share of its units that are 0 on every row; of rectifiers
    saturated: float  # share of its outputs in the flat parts; of tanh and sigmoid


def look(network: nn.Module, objective: Objective, batches: Sequence[Batch]) -> tuple[Layer, ...]:
    """Forward and backward over some batches of a copy, in training mode, without a step."""
    with copied(network) as copy:
        copy.train()
        names = {module: name for name, module in copy.named_modules()}
        seen = dict[nn.Module, _Seen]()
        handles = [module.register_forward_hook(_note(seen)) for module in copy.modules() if _is_layer(module)]
        for batch in batches:
            copy.zero_grad()
            objective(copy, batch).mean().backward()
            for module, one in seen.items():
                one.add_gradient(module)
        for handle in handles:
            handle.remove()
        return tuple(one.layer(names[module], module) for module, one in seen.items())


@final
@dataclass(frozen=True)
class Call:
    """One call of a module without parts, or with weights of its own."""

    name: str
    module: nn.Module
    shape: tuple[int, ...]  # of its output, or of the first where it gives several
    is_answer: bool  # whether the output is what the network gives
    entered: Tensor | None  # of the first row; None where no floating tensor has a row for each of the batch
    left: Tensor | None


def calls(network: nn.Module, batch: Batch) -> tuple[Call, ...]:
    """A network's calls of its modules, in their order, for a batch in evaluation mode."""
    called = list[tuple[str, nn.Module, Any, Any]]()

    def hook(name: str) -> Callable[[nn.Module, Any, Any], None]:
        return lambda module, inputs, output: called.append((name, module, inputs, output))

    handles = [
        module.register_forward_hook(hook(name)) for name, module in network.named_modules() if _is_layer(module)
    ]
    try:
        with evaluating(network):
            answer = network(*batch.inputs)
    finally:
        for handle in handles:
            handle.remove()
    return tuple(
        Call(name, module, _shape(output), output is answer, _row(inputs, len(batch)), _row((output,), len(batch)))
        for name, module, inputs, output in called
    )


def _is_layer(module: nn.Module) -> bool:
    return not any(True for _ in module.children()) or any(True for _ in module.parameters(recurse=False))


def _shape(output: Any) -> tuple[int, ...]:
    value = output[0] if isinstance(output, tuple) and output else output
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def _note(seen: "dict[nn.Module, _Seen]") -> Callable[[nn.Module, Any, Any], None]:
    def hook(module: nn.Module, _inputs: Any, output: Any) -> None:
        value = output[0] if isinstance(output, tuple) and output else output
        if isinstance(value, Tensor) and value.is_floating_point() and value.ndim > 1:
            seen.setdefault(module, _Seen()).add(module, value.detach().float())

    return hook


def _square(values: Tensor) -> float:
    return float(torch.linalg.vector_norm(values)) ** 2


def _variance(values: Tensor) -> float:
    """Mean over columns of the variance over rows, (N, K); 4 times as fast as torch's, which walks down columns.

    Of differences from the first row: large equal parts leave no rounding.
    """
    count, columns = values.shape
    apart = values - values[:1]
    return max(_square(apart) - count * _square(apart.mean(0)), 0.0) / (count - 1) / columns


@final
class _Seen:
    """Sums over batches for one module."""

    def __init__(self) -> None:
        self.squares: list[float] = []
        self.spreads: list[float] = []
        self.active: Tensor | None = None
        self.flat: list[float] = []
        self.gradients: list[float] = []

    def add(self, module: nn.Module, value: Tensor) -> None:
        flat = value.reshape(len(value), -1)
        self.squares.append(_square(flat) / flat.numel())
        if len(flat) > 1:
            self.spreads.append(_variance(flat))
        if isinstance(module, RECTIFIERS):
            # units are channels of maps (B, C, H, W) and the last axis of everything else
            axes = [0, 2, 3] if value.ndim == 4 else list(range(value.ndim - 1))
            active = (value != 0).any(0) if value.ndim == 2 else (value != 0).sum(axes) > 0
            self.active = active if self.active is None or self.active.shape != active.shape else self.active | active
        if isinstance(module, SQUASHERS):
            middle = 0.5 if isinstance(module, nn.Sigmoid | nn.Hardsigmoid) else 0.0
            reach = 0.5 if middle else 1.0
            self.flat.append(float(((value - middle).abs() > FLAT * reach).float().mean()))

    def add_gradient(self, module: nn.Module) -> None:
        found = [p.grad for p in _weights(module) if p.grad is not None]
        if found:
            self.gradients.append(float(torch.stack([g.float().norm() for g in found]).norm()))

    def layer(self, name: str, module: nn.Module) -> Layer:
        weights = _weights(module)
        rms = _mean(self.squares) ** 0.5
        return Layer(
            name=name or "network",
            kind=type(module).__name__,
            gradient=_mean(self.gradients),
            weight=float(torch.stack([w.detach().float().norm() for w in weights]).norm()) if weights else nan,
            rms=rms,
            varies=_mean(self.spreads) ** 0.5 / rms if rms > 0 else 0.0,
            dead=nan if self.active is None else 1 - float(self.active.float().mean()),
            saturated=_mean(self.flat),
        )


def matrices(module: nn.Module) -> list[nn.Parameter]:
    """The matrices and kernels of a module itself.

    By their names: tables of scales, and of what stands for missing numbers, may have no gradient and start alike.
    """
    return [p for name, p in module.named_parameters(recurse=False) if p.ndim > 1 and "weight" in name]


def _weights(module: nn.Module) -> list[nn.Parameter]:
    return [p for p in matrices(module) if p.requires_grad]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else nan


def parting(network: nn.Module, first: Batch, second: Batch, tolerance: float) -> tuple[str, ...]:
    """Where answers to the first row of two batches part in evaluation, though what came in was the same until then.

    A module's name, or those of the modules before and behind code that stands between them; () where they do not part.
    Numbers differ where they do by more than `tolerance` of their size.
    """
    one, other, before = calls(network, first), calls(network, second), ""
    for call, again in zip(one, other, strict=False):
        if not _alike(call.left, again.left, tolerance):
            is_here = not before or _alike(call.entered, again.entered, tolerance)
            return (call.name,) if is_here else (before, call.name)
        before = call.name
    return (before,) if before and len(one) == len(other) else ()


def _row(values: Any, count: int) -> Tensor | None:
    """The first row of the first tensor that has a row for each of the batch."""
    flat = [v for value in values for v in (value if isinstance(value, tuple) else (value,))]
    found = (v for v in flat if isinstance(v, Tensor) and v.is_floating_point() and v.ndim and len(v) == count)
    tensor = next(found, None)
    return None if tensor is None else tensor[0].detach().clone()


def _alike(one: Tensor | None, other: Tensor | None, tolerance: float) -> bool:
    if one is None or other is None:
        return True
    return float((one - other).abs().max()) <= tolerance * max(float(one.abs().mean()), 1e-12)
