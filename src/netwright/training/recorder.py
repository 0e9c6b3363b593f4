"""Sees a training through hooks and changes nothing of it: a few whole steps in full, the loss of every step.

A watched step costs more than another one, so few are watched; between two of them nothing is looked at. Numbers stay
on the device until somebody reads them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import hypot, nan
from statistics import fmean
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.utils.hooks import RemovableHandle

from netwright.machine.fused import UpdateRule
from netwright.records.watched import LayerMoment, Moment, Watched
from netwright.training.layers import (
    CHANNELS_FIRST,
    Layout,
    after_calls,
    has_weights,
    is_activation,
    layers,
    tensor_of,
)  # fmt: skip
from netwright.training.signals import functional, signals
from netwright.training.stretches import Stretches

EARLY = 32  # up to here the steps 0, 1, 2, 4, 8 ... are watched: most of what goes wrong does so at once
EVERY = 256  # then every so many: a watched step takes 1.1 to 2.6 times as long (benchmarks/doctor_cost.py)
MOST_MOMENTS = 64
MOST_UNREAD = 8  # watched steps whose numbers may wait on the device
MOST_CALLS = 8  # of a layer in one pass that are looked at: a cell called at each time step is called hundreds of times

LATER_MOMENTS = MOST_MOMENTS - EARLY.bit_length() - 1  # all but the steps 0, 1, 2, 4 ... EARLY

Key = tuple[str, int]
"""What a number means, and of which parameter, layer or optimizer."""


def following(step: int) -> int:
    """The next watched step. A training of any length has at most MOST_MOMENTS that are kept."""
    if step <= EARLY:
        return max(1, 2 * step)
    return (step // _spacing(step) + 1) * _spacing(step)


def _spacing(step: int) -> int:
    """Between two watched steps of a training that has come so far."""
    every = EVERY
    while step // every >= LATER_MOMENTS:
        every *= 2
    return every


@final
class Recorder:
    """Watches the training of a network by one or several optimizers; a step ends with that of the last one.

    At most MOST_MOMENTS steps and MOST_STRETCHES stretches of losses are kept, however long the training. Weights,
    gradients and random numbers are those of the training alone, bit for bit. Of parts that torch.compile has compiled
    only weights and gradients are seen. A layer called several times in a pass is shown by the mean of its calls.
    `before` is what was seen of the same training until it was stopped. `close` takes the hooks away.

    `batches` holds the inputs of the first and the latest watched pass, as the network was given them and not copied,
    where they have at most `keep_bytes`.
    """

    def __init__(
        self, network: nn.Module, *optimizers: UpdateRule, before: Watched | None = None, keep_bytes: int = 0
    ) -> None:
        before = before or Watched()
        self._network, self._optimizers = network, optimizers
        self._parameters = dict(network.named_parameters())
        self._layers = layers(network, lambda module: is_activation(module) or has_weights(module))
        numbers = {id(p): number for number, p in enumerate(self._parameters.values())}
        self._own = [[numbers[id(p)] for p in module.parameters(recurse=False)] for _, module in self._layers]
        places = {name: number for number, (name, _) in enumerate(self._layers)}
        self._called = {places[name]: None for name in before.layers}  # numbers of layers, as they were first called
        self._moments = [_sorted(moment, list(self._called)) for moment in before.moments]  # layers by number
        self._losses = Stretches(before.losses)
        self._loss_of = {moment.step: moment.loss for moment in before.moments}
        self._seen = before  # the counts of what has been read
        trainable = {name for name, p in self._parameters.items() if p.requires_grad}
        self._starved = set(before.without_gradient) if before.looked else trainable
        self._unmoved = self._starved | set(before.never_updated) if before.looked else set(trainable)
        self._steps, self._keep_bytes = before.steps, keep_bytes
        self.batches = list[tuple[Any, ...]]()  # Any: whatever the network takes
        self._unread: list[_Unread] = []
        self._next, self._next_loss = _from(self._steps), _from(self._losses.count)
        self._window: _Window | None = None
        self._handles = [
            optimizer.register_step_pre_hook(partial(self._before_step, number))
            for number, optimizer in enumerate(optimizers)
        ]
        self._handles.append(optimizers[-1].register_step_post_hook(self._behind_step))
        self._open()

    def losses(self, means: Iterable[float]) -> None:
        """Takes the losses of further steps, in their order; each the mean over the step's rows."""
        for loss in means:
            if self._losses.count == self._next_loss:
                self._loss_of[self._next_loss] = loss
                self._next_loss = following(self._next_loss)
            self._losses.add(loss)

    def watched(self) -> Watched:
        """All that was seen so far; waits for the device. May be asked at any time, after `close` too."""
        self._read()
        order = self._order()
        held = {id(p) for optimizer in self._optimizers for group in optimizer.param_groups for p in group["params"]}
        trainable = [name for name, p in self._parameters.items() if p.requires_grad]
        return replace(
            self._seen,
            layers=tuple(self._layers[number][0] for number in order),
            kinds=tuple(type(self._layers[number][1]).__name__ for number in order),
            moments=tuple(
                replace(m, loss=self._loss_of.get(m.step, nan), layers=tuple(m.layers[number] for number in order))
                for m in self._moments
            ),
            losses=self._losses.stretches(),
            steps=self._steps,
            without_gradient=tuple(n for n in trainable if n in self._starved) if self._seen.looked else (),
            never_updated=tuple(n for n in trainable if n in self._unmoved - self._starved),
            not_in_optimizer=tuple(name for name in trainable if id(self._parameters[name]) not in held),
            frozen=tuple(name for name, p in self._parameters.items() if not p.requires_grad),
        )

    def close(self) -> None:
        """Takes all hooks away."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        if self._window is not None:
            self._window.close()
            self._window = None

    def _open(self) -> None:
        """Begins to look, where the next step is one to watch."""
        if self._steps == self._next:
            parameters = list(self._parameters.values())
            self._window = _Window(self._network, parameters, self._layers, self._optimizers)

    def _before_step(self, number: int, optimizer: UpdateRule, _args: object, _kwargs: object) -> None:
        if self._window is not None:
            self._window.before_step(number, optimizer)

    def _behind_step(self, _optimizer: object, _args: object, _kwargs: object) -> None:
        if (window := self._window) is not None:
            self._window = None
            self._called.update(window.called)
            if window.inputs and _bytes(window.inputs) <= self._keep_bytes:
                self.batches[1:] = [window.inputs]
            self._unread.append(window.ended(self._steps))
            self._next = following(self._steps)
            if len(self._unread) > MOST_UNREAD:
                self._read()
        self._steps += 1
        self._open()

    def _read(self) -> None:
        """Turns what waits on the device into moments."""
        for unread in self._unread:
            values: defaultdict[Key, list[float]] = defaultdict(list)
            for key, value in zip(unread.keys, unread.numbers.tolist(), strict=True):
                values[key].append(value)
            self._moments.append(self._moment(unread, values))
            for number, name in enumerate(self._parameters):
                if ("gradient", number) in values:
                    self._starved.discard(name)
                if any(values.get(("update", number), ())):
                    self._unmoved.discard(name)
            seen = self._seen
            self._seen = replace(
                seen,
                looked=seen.looked + 1,
                uncleared=seen.uncleared + any(min(v) > 0 for (what, _), v in values.items() if what == "stale"),
                evaluating=seen.evaluating + unread.is_evaluating,
                accumulates=seen.accumulates or unread.accumulates,
            )
        self._unread.clear()
        spacing = _spacing(self._moments[-1].step) if self._moments else EVERY
        self._moments = [m for m in self._moments if m.step <= EARLY or m.step % spacing == 0]
        self._loss_of = {m.step: self._loss_of.get(m.step, nan) for m in self._moments}

    def _moment(self, unread: "_Unread", values: Mapping[Key, list[float]]) -> Moment:
        def length(what: str, numbers: Iterable[int]) -> float:
            known = [values[what, number][-1] for number in numbers if (what, number) in values]
            return hypot(*known) if known else nan

        layers = list[LayerMoment]()
        for place, own in enumerate(self._own):
            weight, change = length("weight", own), length("update", own)
            mean, std, dead, saturated = (
                fmean(values[what, place]) if (what, place) in values else nan
                for what in ("mean", "std", "dead", "saturated")
            )
            update = change / weight if weight else nan
            layers.append(LayerMoment(length("gradient", own), weight, update, mean, std, dead, saturated))
        return Moment(unread.step, nan, unread.lr, length("gradient", range(len(self._parameters))), tuple(layers))

    def _order(self) -> list[int]:
        """The layers' numbers as they were first called; those never called stand behind their neighbour."""
        places = {number: place for place, number in enumerate(self._called)}
        last, keys = -1, list[int]()
        for number in range(len(self._layers)):
            last = places.get(number, last)
            keys.append(last)
        return sorted(range(len(self._layers)), key=keys.__getitem__)


@final
@dataclass(frozen=True)
class _Unread:
    """A watched step whose numbers are still on the device."""

    step: int
    lr: float
    is_evaluating: bool
    accumulates: bool
    keys: tuple[Key, ...]
    numbers: Tensor


@final
class _Sentinel:
    """One small parameter of an optimizer, whose gradients tell whether those of the last update were cleared."""

    def __init__(self, parameter: Tensor) -> None:
        self._parameter = parameter
        self.handle = parameter.register_hook(self._arrives)
        self.forget()

    def forget(self) -> None:
        """The optimizer has made its step."""
        self.arrivals = 0  # since the gradients were cleared
        self.is_cleared = False
        self.stale = list[Tensor]()  # how many numbers of the gradient were not 0 when the next one came

    def _arrives(self, _gradient: Tensor) -> None:
        """A gradient that is not added to the parameter's yet."""
        if self._parameter.grad is None:
            self.arrivals, self.is_cleared = 0, True
        elif not self.is_cleared:
            self.stale.append(self._parameter.grad.count_nonzero())
        self.arrivals += 1


@final
class _Window:
    """From the end of a step to the end of the next, with all hooks on."""

    _is_open = False  # also of what a copy of the network takes along

    def __reduce__(self) -> tuple[Any, ...]:
        """A network that is copied or pickled meanwhile takes its hooks along: they see nothing."""
        return object.__new__, (_Window,)

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
        self._before: dict[int, Tensor] = {}  # weights before their update
        self._stale: list[tuple[Key, Tensor]] = []
        self._lr = nan
        self._accumulates = False
        self._is_open = True
        self.called: dict[int, None] = {}  # numbers of layers, as they were first called
        self.inputs: tuple[Any, ...] = ()  # of the last pass
        self._enter(network)
        self._sentinels = {n: _Sentinel(p) for n, o in enumerate(optimizers) if (p := _smallest(o)) is not None}
        self._handles: list[RemovableHandle] = [sentinel.handle for sentinel in self._sentinels.values()]
        self._handles.append(network.register_forward_pre_hook(self._enters))
        self._handles += after_calls(enumerate(self._layers), self._calls)
        self._handles.append(network.register_forward_hook(self._leaves))
        self._handles += [
            p.register_post_accumulate_grad_hook(partial(self._arrived, number))
            for number, p in enumerate(parameters)
            if p.requires_grad
        ]

    def close(self) -> None:
        """Takes the hooks away."""
        self._is_open = False
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
            if not sentinel.is_cleared:
                self._stale += [(("stale", number), count) for count in sentinel.stale]
            sentinel.forget()
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                place = self._numbers.get(id(parameter))
                if place is not None and parameter.grad is not None:
                    self._before[place] = parameter.detach().clone()
                    if place not in self._gradients:  # it was put there by hand
                        self._arrived(place, parameter)

    @torch.no_grad()
    def ended(self, step: int) -> _Unread:
        """Takes the hooks away, and what was seen together."""
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
        return _Unread(
            step=step,
            lr=self._lr,
            is_evaluating=self._is_evaluating,
            accumulates=self._accumulates,
            keys=tuple(key for key, _ in notes),
            numbers=torch.stack(numbers) if numbers else torch.empty(0),
        )

    def _enter(self, network: nn.Module) -> None:
        """Forgets the pass before: the last one of a step is shown."""
        self._is_evaluating = not network.training
        self._outputs: list[tuple[Key, Tensor]] = []
        self._calls_of = Counter[int]()
        self._producers: dict[Node, int] = {}
        self._layout = Layout()

    def _enters(self, network: nn.Module, inputs: tuple[Any, ...]) -> None:
        if self._is_open and _is_training_pass():
            self._enter(network)
            self.inputs = inputs

    @torch.no_grad()
    def _leaves(self, _network: nn.Module, _inputs: object, outputs: Any) -> None:  # Any: what the user's module gives
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

    def _arrived(self, number: int, parameter: Tensor) -> None:
        """A gradient that has been added to the parameter's; the last one of a step is shown."""
        if parameter.grad is not None:
            gradient = parameter.grad.detach()
            values = gradient.coalesce().values() if gradient.is_sparse else gradient
            self._gradients[number] = torch.linalg.vector_norm(values)


def _forget_empty_hooks(parameter: Any) -> None:  # Any: torch declares none of these
    """Takes away what torch leaves on a tensor whose last hook is gone: a call into Python in every backward pass."""
    if not parameter._post_accumulate_grad_hooks:
        parameter._post_accumulate_grad_hooks = None
    if not parameter._backward_hooks:
        parameter._backward_hooks = None


def _is_training_pass() -> bool:
    """Whether a pass is one that gradients go through; torch.compile keeps what it sees, so it shall see nothing."""
    return not torch.compiler.is_compiling() and torch.is_grad_enabled()


def _bytes(inputs: tuple[Any, ...]) -> int:
    return sum(x.nbytes for x in inputs if isinstance(x, Tensor))


def _smallest(optimizer: UpdateRule) -> Tensor | None:
    """The smallest parameter that had a gradient; None before the first step."""
    parameters: list[Tensor] = [p for group in optimizer.param_groups for p in group["params"]]
    fed = (p for p in parameters if p.requires_grad and p.grad is not None and not p.grad.is_sparse)
    return min(fed, key=Tensor.numel, default=None)


def _differences(after: Sequence[Tensor], before: Sequence[Tensor]) -> list[Tensor]:
    foreach: Any = torch._foreach_sub  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]  as torch.optim
    return list(foreach(after, before)) if after else []


def _lengths(tensors: list[Tensor]) -> list[Tensor]:
    foreach: Any = torch._foreach_norm  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]  as torch.optim
    return list(foreach(tensors)) if tensors else []


def _from(step: int) -> int:
    """The first watched step from `step` on."""
    watched = 0
    while watched < step:
        watched = following(watched)
    return watched


def _sorted(moment: Moment, order: Sequence[int]) -> Moment:
    """The moment with its layers by number, where they stand in an order of numbers."""
    return replace(moment, layers=tuple(layer for _, layer in sorted(zip(order, moment.layers, strict=True))))
