"""Gradients through steps that have none."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from netwright.attacks.losses import fitting
from netwright.attacks.pgd import STEPS, pgd
from netwright.records.batch import Batch
from netwright.records.task import Task
from netwright.records.threat import Threat

STEPPED = frozenset({"round", "floor", "ceil", "trunc", "fix", "sign", "sgn", "heaviside", "bernoulli"})
DIVIDED = frozenset({"floor_divide", "__floordiv__"})
COMPARED = {
    **dict.fromkeys(("gt", "__gt__", "greater", "ge", "__ge__", "greater_equal"), 1.0),
    **dict.fromkeys(("lt", "__lt__", "less", "le", "__le__", "less_equal"), -1.0),
}
CAST = frozenset(
    {"to", "type", "type_as", "float", "double", "half", "bfloat16", "int", "long", "short", "byte", "bool"}
)
FORMED = frozenset({"view", "reshape", "flatten", "unsqueeze", "squeeze", "permute", "transpose", "movedim", "expand"})
COUNTED = frozenset({"add", "sub", "rsub", "mul", "div", "true_divide", "__add__", "__sub__", "__mul__", "__truediv__"})
REVERSED = frozenset({"__radd__", "__rsub__", "__rmul__", "__rtruediv__", "__rdiv__", "where"})


def straight_through(
    network: nn.Module, batch: Batch, task: Task, threat: Threat, *, steps: int = STEPS, restarts: int = 1
) -> Batch:
    """PGD on a network whose rounding and comparing let gradients through unchanged, as if they were not there.

    Athalye et al. 2018, arXiv:1802.00420, section 4.1. What the network answers stays as it is.
    """
    loss = "margin" if "margin" in fitting(task) else ""
    with straightened(network):
        return pgd(network, batch, task, threat, steps=steps, loss=loss, restarts=restarts)


@contextmanager
def straightened(network: nn.Module) -> Generator[None]:
    """While the network computes, operations without a gradient pass on the one they get.

    round, floor, ceil, trunc, sign, heaviside, bernoulli, whole division; comparisons and casts to whole numbers that
    become floats again; detach, data and no_grad. Only for tensors that depend on the network's inputs.
    """
    modes = list[_Straight]()

    def enter(*_: object) -> None:
        modes.append(_Straight())
        modes[-1].__enter__()

    def leave(*_: object) -> None:
        modes.pop().__exit__(None, None, None)

    hooks = (network.register_forward_pre_hook(enter), network.register_forward_hook(leave, always_call=True))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@final
class _Straight(TorchFunctionMode):
    """Sees each call of torch while it is on."""

    def __init__(self) -> None:
        super().__init__()
        # Whole numbers and truths cannot carry a gradient: the floats that they came from, until they are floats again.
        self._sources = WeakTensorKeyDictionary()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:  # Any: all of torch
        """The call's own result, with a gradient if it lost one."""
        name, named = _name(func), kwargs or {}
        if name == "_set_grad_enabled" and torch.is_grad_enabled():
            return None  # `no_grad` within the network; what surrounds the network has been decided outside
        first: Any = args[0] if args else None
        if name.endswith("_") and name.rstrip("_") in STEPPED and _depends(first):
            return first.copy_(
                _Through.apply(first, getattr(torch, name.rstrip("_"))(first.detach(), *args[1:], **named))
            )
        if name in ("detach", "data") and _depends(first):
            return first.view_as(first)
        result = func(*args, **named)
        if not isinstance(first, Tensor) or not isinstance(result, Tensor):
            return result
        return self._passed(func, name, result, args, named)

    def _passed(self, func: Any, name: str, result: Tensor, args: tuple[Any, ...], named: dict[str, Any]) -> Tensor:
        if any(isinstance(part, Tensor) and part in self._sources for part in args):
            return self._followed(func, name, result, args, named)
        if not any(map(_depends, args)):
            return result
        first, second = args[0], args[1] if len(args) > 1 else named.get("other", 0.0)
        if name in STEPPED and _depends(first):
            return _through(first, result)
        if name in DIVIDED or named.get("rounding_mode"):
            return _through(first / second, result)
        if name in COMPARED:
            self._sources[result] = COMPARED[name] * (first - second)
        elif name in CAST and not result.is_floating_point():
            self._sources[result] = first
        return result

    def _followed(self, func: Any, name: str, result: Tensor, args: tuple[Any, ...], named: dict[str, Any]) -> Tensor:
        """The result of a call on whole numbers or truths that came from floats."""
        if name in CAST and result.is_floating_point():
            return _through(self._sources[args[0]], result)
        if name in CAST:
            self._sources[result] = self._sources[args[0]]
        elif name in FORMED:
            self._sources[result] = func(self._sources[args[0]], *args[1:], **named)
        elif name in COUNTED | REVERSED:
            if name == "where" and args[0] not in self._sources:
                return result  # a.where(truth, b)
            if name == "where":
                truth = _through(self._sources[args[0]], args[0].to(self._sources[args[0]].dtype))
                chosen = torch.where(args[0], args[1], args[2])
                return chosen + (truth - truth.detach()) * (torch.as_tensor(args[1]) - args[2]).detach()
            floats = tuple(
                _through(self._sources[part], part.to(self._sources[part].dtype))
                if isinstance(part, Tensor) and part in self._sources
                else part
                for part in args
            )
            counted = func(*floats, **named)
            if result.is_floating_point():
                return _through(counted, result)
            self._sources[result] = counted
        return result


class _Through(torch.autograd.Function):
    """One tensor's values with another's gradient."""

    @staticmethod
    def forward(ctx: Any, source: Tensor, values: Tensor) -> Tensor:
        ctx.shape = source.shape
        return values.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0].sum_to_size(ctx.shape), None


def _through(source: Tensor, values: Tensor) -> Tensor:
    apply: Callable[[Tensor, Tensor], Tensor] = _Through.apply  # pyright: ignore[reportAssignmentType]  torch's is untyped
    return apply(source, values.detach())


def _depends(thing: object) -> bool:
    """Whether a tensor depends on the inputs; parameters are leaves and stay as they are."""
    return isinstance(thing, Tensor) and thing.requires_grad and thing.grad_fn is not None


def _name(func: Any) -> str:
    return "data" if func == torch.Tensor.data.__get__ else str(getattr(func, "__name__", ""))  # pyright: ignore[reportAttributeAccessIssue]  a descriptor
