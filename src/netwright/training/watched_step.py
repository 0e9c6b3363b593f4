"""One watched step: from the end of a step to the end of the next, with all hooks on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import nan
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.utils.hooks import RemovableHandle

from netwright.machine.fused import UpdateRule
from netwright.models.modes import compiled
from netwright.training.layers import CHANNELS_FIRST, Layout, after_calls, tensor_of, tensors
from netwright.training.signals import functional, signals, targets_of
from netwright.training.spread import repeated

MOST_CALLS = 8  # calls of a layer to look at in one pass: a cell called at each time step is called hundreds of times

Key = tuple[str, int]
"""What a number means, and of which parameter, layer or optimizer."""


@final
@dataclass(frozen=True)
class Unread:
    """A watched step whose numbers are still on the device."""

    step: int
    lr: float
    accumulates: bool
    emptied: bool  # the gradients that arrived were gone before the update
    passes: int
    discarded: int  # passes whose gradients were removed before the next one
    repeated: tuple[tuple[int, ...], ...]
    keys: tuple[Key, ...]
    numbers: Tensor


@final
class _Sentinel:
    """One small parameter of an optimizer: shows whether the gradients of the last update were cleared."""

    def __init__(self, parameter: Tensor) -> None:
        self._parameter = parameter
        self.handles = (
            parameter.register_hook(self._arrives),
            parameter.register_post_accumulate_grad_hook(self._arrived),
        )
        self.is_attack = False  # the gradient of the inputs is wanted: the pass does not train
        self.forget()

    def forget(self) -> None:
        """The optimizer has stepped."""
        self.arrivals = 0  # since the gradients were cleared
        self.passes = self.discarded = 0  # since the update; those whose gradient was removed before the next one
        self.is_cleared = False
        self.stale = list[Tensor]()  # how many numbers of the gradient were not 0 when the next one arrived
        self.kept = list[Tensor]()  # the same, if something wrote into the gradient after the pass before
        self._version: int | None = None  # of the gradient after the last pass

    def _arrives(self, _gradient: Tensor) -> None:
        """A gradient not yet added to the parameter's."""
        if (gradient := self._parameter.grad) is None:
            self.arrivals, self.is_cleared = 0, True
            self.discarded += self._version is not None
        elif not self.is_cleared:
            self.stale.append(gradient.count_nonzero())
        if gradient is not None and self._version is not None and gradient._version != self._version:
            self.kept.append(gradient.count_nonzero())
        self.arrivals += 1
        self.passes += not self.is_attack

    def _arrived(self, parameter: Tensor) -> None:
        """The gradient has been added."""
        self._version = None if parameter.grad is None or self.is_attack else parameter.grad._version


@final
class Window:
    """From the end of a step to the end of the next, with all hooks on."""

    _is_open = False  # also of hooks that a copy of the network takes along

    def __reduce__(self) -> tuple[Any, ...]:
        """A network copied or pickled meanwhile takes its hooks along: they see nothing."""
        return object.__new__, (Window,)

    def __init__(
        self,
        network: nn.Module,
        parameters: Sequence[nn.Parameter],
        layers: Sequence[tuple[str, nn.Module]],
        optimizers: Sequence[UpdateRule],
    ) -> None:
        self._parameters, self._layers = parameters, [module for _, module in layers]
        self._channels_first = [isinstance(module, CHANNELS_FIRST) for module in self._layers]
        self._numbers = {id(p): number for number, p in enumerate(parameters)}
        self._gradients: dict[int, Tensor] = {}
        self._versions: dict[int, int] = {}  # of the gradients, after the last pass
        self._before: dict[int, Tensor] = {}  # weights before their update
        self._stale: list[tuple[Key, Tensor]] = []
        self._lr = nan
        self._accumulates = self._emptied = False
        self._passes = self._discarded = 0
        self._is_open = True
        self.called: dict[int, None] = {}  # numbers of layers, in the order of their first calls
        self.inputs: tuple[Any, ...] = ()  # of the last pass
        self.targets: tuple[Tensor, ...] = ()
        self.loss: Tensor | None = None
        self.is_evaluating = not network.training
        self._answer: Tensor | None = None  # its outputs
        self._repeated: tuple[tuple[int, ...], ...] = ()
        self._enter()
        self._sentinels = {n: _Sentinel(p) for n, o in enumerate(optimizers) if (p := _smallest(o)) is not None}
        self._handles: list[RemovableHandle] = [h for sentinel in self._sentinels.values() for h in sentinel.handles]
        unseen = compiled(network)
        self._handles += after_calls(((n, m) for n, m in enumerate(self._layers) if m not in unseen), self._calls)
        if network not in unseen:
            self._handles.append(network.register_forward_pre_hook(self._enters))
            self._handles.append(network.register_forward_hook(self._leaves))
        self._handles += [
            p.register_post_accumulate_grad_hook(partial(self._arrived, number))
            for number, p in enumerate(parameters)
            if p.requires_grad
        ]

    def close(self) -> None:
        """Removes the hooks."""
        self._is_open, self._answer = False, None
        for handle in self._handles:
            handle.remove()
        for parameter in self._parameters:
            _forget_empty_hooks(parameter)

    def before_step(self, number: int, optimizer: UpdateRule) -> None:
        """Keeps what the optimizer is about to change."""
        if number == 0:
            self._lr = float(optimizer.param_groups[0]["lr"])
        if (sentinel := self._sentinels.get(number)) is not None:
            self._accumulates |= sentinel.arrivals > 1
            self._passes, self._discarded = self._passes + sentinel.passes, self._discarded + sentinel.discarded
            self._stale += [(("kept", number), count) for count in sentinel.kept]
            if not sentinel.is_cleared:
                self._stale += [(("stale", number), count) for count in sentinel.stale]
            sentinel.forget()
        held = [p for group in optimizer.param_groups for p in group["params"]]
        known = [(place, p) for p in held if (place := self._numbers.get(id(p))) is not None]
        arrived = [p.grad for place, p in known if place in self._gradients]
        self._emptied |= bool(arrived) and all(gradient is None for gradient in arrived)
        place, left = next(((place, p.grad) for place, p in known if self._was_written(place, p)), (0, None))
        if left is not None:  # set to 0, or only clipped
            self._stale.append((("left", place), left.count_nonzero()))
        for place, parameter in known:
            if parameter.grad is not None:
                self._before[place] = parameter.detach().clone()
                if place not in self._gradients:  # it was set by hand
                    self._arrived(place, parameter)

    @torch.no_grad()
    def ended(self, step: int) -> Unread:
        """Removes the hooks and returns what was seen."""
        self.close()
        weights = [self._before.get(number, p.detach()) for number, p in enumerate(self._parameters)]
        changed = [self._parameters[number] for number in self._before]
        changes = _differences(changed, list(self._before.values()))
        notes = [*self._stale, *self._outputs]
        notes += [(("gradient", number), length) for number, length in self._gradients.items()]
        notes += [(("weight", number), length) for number, length in enumerate(_lengths(weights))]
        notes += [(("update", number), length) for number, length in zip(self._before, _lengths(changes), strict=True)]
        device = notes[0][1].device if notes else None
        numbers = [number.to(device, torch.float32) for _, number in notes]
        return Unread(
            step=step,
            lr=self._lr,
            accumulates=self._accumulates,
            emptied=self._emptied,
            passes=self._passes,
            discarded=self._discarded,
            repeated=self._repeated,
            keys=tuple(key for key, _ in notes),
            numbers=torch.stack(numbers) if numbers else torch.empty(0),
        )

    def goes_backward(self, loss: Tensor) -> None:
        """A loop's own backward pass is about to begin: its targets, and outputs repeated over rows."""
        self.targets, self.loss = targets_of(loss), loss.detach()
        if self._answer is not None and (wider := repeated(loss, self._answer)):
            self._repeated = tuple(self._answer.shape), wider
        self._answer = None

    def _enter(self) -> None:
        """Forgets the previous pass: the last one of a step is shown."""
        self._outputs: list[tuple[Key, Tensor]] = []
        self._calls_of = Counter[int]()
        self._producers: dict[Node, int] = {}
        self._layout = Layout()

    def _enters(self, network: nn.Module, inputs: tuple[Any, ...]) -> None:
        if self._is_open and _is_training_pass():
            self._enter()
            self.inputs, self.is_evaluating = inputs, not network.training
            for sentinel in self._sentinels.values():
                sentinel.is_attack = any(x.requires_grad for x in tensors(inputs))

    @torch.no_grad()
    def _leaves(
        self, _network: nn.Module, _inputs: object, outputs: Any
    ) -> None:  # Any: what the user's module returns
        if self._is_open and (answer := tensor_of(outputs)) is not None and answer.grad_fn is not None:
            self._answer = answer
        if self._is_open and self._producers:
            found = functional(outputs, self._producers, self._channels_first)
            self._outputs += [((what, number), value) for what, number, value in found]
            self._producers.clear()  # they hold the graph

    def _calls(self, number: int, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if not (self._is_open and _is_training_pass()):
            return
        self.called.setdefault(number)
        self._calls_of[number] += 1
        if self._calls_of[number] > MOST_CALLS:
            return
        if (value := tensor_of(output)) is None:
            return
        if value.grad_fn is not None:
            self._producers[value.grad_fn] = number
        is_first = self._layout.channels_first(module, value)
        with torch.no_grad():
            seen = signals(module, inputs, output, channels_first=is_first)
            self._outputs += [((what, number), value) for what, value in seen]

    def _was_written(self, number: int, parameter: Tensor) -> bool:
        """Whether something wrote into a gradient after its pass."""
        gradient = parameter.grad
        return gradient is not None and not gradient.is_sparse and self._versions.get(number) not in (
            None, gradient._version,
        )  # fmt: skip

    def _arrived(self, number: int, parameter: Tensor) -> None:
        """A gradient added to the parameter's; the last one of a step is shown."""
        if parameter.grad is not None:
            gradient = parameter.grad.detach()
            self._versions[number] = gradient._version
            values = gradient.coalesce().values() if gradient.is_sparse else gradient
            self._gradients[number] = torch.linalg.vector_norm(values)


def _forget_empty_hooks(parameter: Any) -> None:  # Any: torch declares none of these
    """Removes what torch leaves on a tensor after its last hook: a call into Python in every backward pass."""
    if not parameter._post_accumulate_grad_hooks:
        parameter._post_accumulate_grad_hooks = None
    if not parameter._backward_hooks:
        parameter._backward_hooks = None


def _is_training_pass() -> bool:
    """Whether gradients flow through this pass; torch.compile keeps what it sees, so it must see nothing."""
    return not torch.compiler.is_compiling() and torch.is_grad_enabled()


def _smallest(optimizer: UpdateRule) -> Tensor | None:
    """The smallest parameter that had a gradient; of all, before the first step."""
    parameters: list[Tensor] = [p for group in optimizer.param_groups for p in group["params"]]
    wanted = [p for p in parameters if p.requires_grad]
    fed = [p for p in wanted if p.grad is not None and not p.grad.is_sparse]
    return min(fed or (p for p in wanted if p.grad is None), key=Tensor.numel, default=None)


def _differences(after: Sequence[Tensor], before: Sequence[Tensor]) -> list[Tensor]:
    foreach: Any = torch._foreach_sub  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]  as torch.optim
    return list(foreach(after, before)) if after else []


def _lengths(tensors: list[Tensor]) -> list[Tensor]:
    foreach: Any = torch._foreach_norm  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]  as torch.optim
    return list(foreach(tensors)) if tensors else []
