"""Adam, AdamW and SGD on torch's fused kernels, without the compiler that torch.optim.Optimizer imports.

That import takes about as long as torch's own (1.6 s against 1.8 s, torch 2.13, two cores), at every start. The updates
use torch.optim's documented functions, so the weights equal those of its classes.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, final

import torch
from torch import Tensor
from torch.optim.adam import adam as adam_function
from torch.optim.adamw import adamw as adamw_function
from torch.optim.sgd import sgd as sgd_function
from torch.utils.hooks import RemovableHandle

Group = dict[str, Any]  # Any: torch's parameter groups hold tensors and numbers
State = dict[str, Any]

EPS = 1e-8  # of Adam and AdamW: torch's default


class UpdateRule(Protocol):
    """What the loop and the checkpoints need of an optimizer; torch.optim's have it."""

    param_groups: list[Group]

    def zero_grad(self) -> None:
        """Forgets all gradients."""
        ...

    def step(self) -> Any:  # Any: torch's returns the loss of a closure
        """Updates the parameters by their gradients."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """`state` by the parameter's number, and `param_groups`, as in torch.optim."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads a saved state."""
        ...

    def register_step_pre_hook(self, hook: "StepHook") -> RemovableHandle:
        """Lets `hook(optimizer, (), {})` be called before each step, until the handle is removed."""
        ...

    def register_step_post_hook(self, hook: "StepHook") -> RemovableHandle:
        """The same after each step."""
        ...


StepHook = Callable[[Any, Any, Any], None]  # Any: torch's hooks get the optimizer and the arguments of `step`

Update = Callable[[Group, Sequence[Tensor], Sequence[Tensor], Sequence[State]], None]
"""(group, parameters, gradients, states): changes parameters and states in place."""


@final
class Fused:
    """One update function over groups of parameters, with torch.optim's groups and states."""

    def __init__(self, groups: Iterable[Group], update: Update, *, lr: float) -> None:
        self.param_groups: list[Group] = [{"lr": lr, **group, "params": list(group["params"])} for group in groups]
        self.state: dict[Tensor, State] = {}
        self._update = update
        self._before, self._behind = OrderedDict[int, StepHook](), OrderedDict[int, StepHook]()

    def zero_grad(self) -> None:
        """Forgets all gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Updates every parameter that has a gradient."""
        self._call(self._before)
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if parameters:
                states = [self.state.setdefault(p, {}) for p in parameters]
                self._update(group, parameters, [p.grad for p in parameters], states)
        self._call(self._behind)

    def state_dict(self) -> dict[str, Any]:
        """The states by parameter number, counted across groups."""
        numbers = {parameter: number for number, parameter in enumerate(self._parameters())}
        groups = [{**g, "params": [numbers[p] for p in g["params"]]} for g in self.param_groups]
        return {"state": {numbers[p]: dict(state) for p, state in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Loads the states of an optimizer over the same parameters; the groups stay unchanged."""
        parameters = self._parameters()
        self.state = {parameters[number]: dict(state) for number, state in state_dict["state"].items()}

    def register_step_pre_hook(self, hook: StepHook) -> RemovableHandle:
        """As in torch.optim."""
        return _registered(hook, self._before)

    def register_step_post_hook(self, hook: StepHook) -> RemovableHandle:
        """As in torch.optim."""
        return _registered(hook, self._behind)

    def _call(self, hooks: Mapping[int, StepHook]) -> None:
        for hook in tuple(hooks.values()):
            hook(self, (), {})

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.param_groups for parameter in group["params"]]


def _registered(hook: StepHook, hooks: OrderedDict[int, StepHook]) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


def fused_adam(groups: Iterable[Group], *, lr: float, betas: tuple[float, float], decoupled: bool) -> Fused:
    """Adam, or AdamW if `decoupled`. Each group has its `weight_decay`."""
    return Fused(groups, partial(_adam, betas=betas, decoupled=decoupled), lr=lr)


def fused_sgd(groups: Iterable[Group], *, lr: float, momentum: float, nesterov: bool) -> Fused:
    """SGD with momentum. Each group has its `weight_decay`."""
    return Fused(groups, partial(_sgd, momentum=momentum, nesterov=nesterov), lr=lr)


def _adam(
    group: Group,
    parameters: Sequence[Tensor],
    gradients: Sequence[Tensor],
    states: Sequence[State],
    *,
    betas: tuple[float, float],
    decoupled: bool,
) -> None:
    for parameter, state in zip(parameters, states, strict=True):
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
    function: Any = adamw_function if decoupled else adam_function  # Any: the two omit different things
    function(
        list(parameters),
        list(gradients),
        [state["exp_avg"] for state in states],
        [state["exp_avg_sq"] for state in states],
        [],
        [state["step"] for state in states],
        fused=True,
        amsgrad=False,
        beta1=betas[0],
        beta2=betas[1],
        lr=group["lr"],
        weight_decay=group["weight_decay"],
        eps=EPS,
        maximize=False,
    )


def _sgd(
    group: Group,
    parameters: Sequence[Tensor],
    gradients: Sequence[Tensor],
    states: Sequence[State],
    *,
    momentum: float,
    nesterov: bool,
) -> None:
    buffers = [state.get("momentum_buffer") for state in states]
    sgd_function(
        list(parameters),
        list(gradients),
        buffers,
        fused=True,
        weight_decay=group["weight_decay"],
        momentum=momentum,
        lr=group["lr"],
        dampening=0.0,
        nesterov=nesterov,
        maximize=False,
    )
    if momentum:
        for state, buffer in zip(states, buffers, strict=True):
            state["momentum_buffer"] = buffer
