"""Records training through hooks without changing it: a few steps in full, the loss of every step.

A watched step costs more than a plain one, so few are watched; nothing is looked at in between. Numbers stay on the
device until somebody reads them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import hypot, nan
from statistics import fmean
from typing import Any, final

from torch import Tensor, nn

from netwright.machine.fused import UpdateRule
from netwright.models.modes import unwrapped
from netwright.records.watched import LayerMoment, Moment, Pass, Watched
from netwright.training.layers import has_weights, is_activation, layers
from netwright.training.stretches import Stretches
from netwright.training.watched_step import Key, Unread, Window

EARLY = 32  # up to here steps 0, 1, 2, 4, 8 ... are watched: most faults show immediately
EVERY = 256  # then one in this many: a watched step takes 1.1 to 2.6 times as long (benchmarks/doctor_cost.py)
MOST_MOMENTS = 64
MOST_UNREAD = 8  # watched steps whose numbers may wait on the device

SOON = 2 * EARLY  # the step whose pass is kept too: the first watched one with enough steps before it to judge them
LATER_MOMENTS = MOST_MOMENTS - EARLY.bit_length() - 1  # all except steps 0, 1, 2, 4 ... EARLY


def following(step: int) -> int:
    """The next watched step. Training of any length keeps at most MOST_MOMENTS."""
    if step <= EARLY:
        return max(1, 2 * step)
    return (step // _spacing(step) + 1) * _spacing(step)


def _spacing(step: int) -> int:
    """Steps between two watched steps at this point of the training."""
    every = EVERY
    while step // every >= LATER_MOMENTS:
        every *= 2
    return every


@final
class Recorder:
    """Watches the training of a network by one or more optimizers; a step ends with the last optimizer's step.

    Keeps at most MOST_MOMENTS steps and MOST_STRETCHES stretches of losses, however long the training. Weights,
    gradients and random numbers are the same as without it, bit for bit. In parts compiled by torch.compile it sees
    only weights and gradients. A layer called several times in a pass shows the mean of its calls. `before` is what
    was seen of the same training before it was interrupted. `close` removes the hooks.

    `passes` holds the first watched pass, that of step SOON and the latest, not copied, if their inputs have at most
    `keep_bytes`.
    """

    def __init__(
        self, network: nn.Module, *optimizers: UpdateRule, before: Watched | None = None, keep_bytes: int = 0
    ) -> None:
        before = before or Watched()
        self._network, self._optimizers = network, optimizers
        self._parameters = dict(unwrapped(network).named_parameters())
        self._layers = layers(unwrapped(network), lambda module: is_activation(module) or has_weights(module))
        numbers = {id(p): number for number, p in enumerate(self._parameters.values())}
        self._own = [[numbers[id(p)] for p in module.parameters(recurse=False)] for _, module in self._layers]
        places = {name: number for number, (name, _) in enumerate(self._layers)}
        self._called = {
            places[name]: None for name in before.layers
        }  # numbers of layers, in the order of their first calls
        self._moments = [_sorted(moment, list(self._called)) for moment in before.moments]  # layers by number
        self._losses, self._rates = Stretches(before.losses), Stretches(before.rates)
        self._loss_of = {moment.step: moment.loss for moment in before.moments}
        self._seen = before  # the counts of what has been read
        trainable = {name for name, p in self._parameters.items() if p.requires_grad}
        self._starved = set(before.without_gradient) if before.looked else trainable
        self._unmoved = self._starved | set(before.never_updated) if before.looked else set(trainable)
        self._steps, self._keep_bytes = before.steps, keep_bytes
        self._evaluating, self._evaluating_from = before.evaluating, before.evaluating_from
        self._lr = nan
        self.passes = list[Pass]()
        self._unread: list[Unread] = []
        self._next, self._next_loss = _from(self._steps), _from(self._losses.count)
        self._window: Window | None = None
        self._handles = [
            optimizer.register_step_pre_hook(partial(self._before_step, number))
            for number, optimizer in enumerate(optimizers)
        ]
        self._handles.append(optimizers[-1].register_step_post_hook(self._behind_step))
        self._open()

    def losses(self, means: Iterable[float]) -> None:
        """Takes the losses of further steps, in order; each is the mean over the step's rows."""
        for loss in means:
            if self._losses.count == self._next_loss:
                self._loss_of[self._next_loss] = loss
                self._next_loss = following(self._next_loss)
            self._losses.add(loss)

    def watched(self) -> Watched:
        """Everything seen so far; waits for the device. Works at any time, even after `close`."""
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
            rates=self._rates.stretches() if self._rates.count == self._steps else (),
            steps=self._steps,
            evaluating=self._evaluating,
            evaluating_from=self._evaluating_from,
            without_gradient=tuple(n for n in trainable if n in self._starved) if self._seen.looked else (),
            never_updated=tuple(n for n in trainable if n in self._unmoved - self._starved),
            not_in_optimizer=tuple(name for name in trainable if id(self._parameters[name]) not in held),
            frozen=tuple(name for name, p in self._parameters.items() if not p.requires_grad),
        )

    def goes_backward(self, loss: Tensor) -> None:
        """A backward pass is about to begin."""
        if self._window is not None:
            self._window.goes_backward(loss)

    def close(self) -> None:
        """Removes all hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        if self._window is not None:
            self._window.close()
            self._window = None

    def _open(self) -> None:
        """Starts watching if the next step is to be watched."""
        if self._steps == self._next:
            parameters = list(self._parameters.values())
            self._window = Window(self._network, parameters, self._layers, self._optimizers)

    def _before_step(self, number: int, optimizer: UpdateRule, _args: object, _kwargs: object) -> None:
        if number == 0 and not (isinstance(lr := optimizer.param_groups[0]["lr"], Tensor) and lr.is_cuda):
            self._lr = float(lr)  # reading it from a GPU would wait for the device
        if self._window is not None:
            self._window.before_step(number, optimizer)

    def _behind_step(self, _optimizer: object, _args: object, _kwargs: object) -> None:
        if (window := self._window) is not None:
            self._window = None
            self._called.update(window.called)
            if window.inputs and _bytes(window.inputs) <= self._keep_bytes:
                one = Pass(self._steps, window.inputs, window.targets, window.loss, window.is_evaluating)
                self.passes = [*(p for p in self.passes if p.step in (0, SOON)), one]
            self._unread.append(window.ended(self._steps))
            self._next = following(self._steps)
            if len(self._unread) > MOST_UNREAD:
                self._read()
        self._rates.add(self._lr)
        if not self._network.training:
            self._evaluating_from = self._evaluating_from if self._evaluating else self._steps
            self._evaluating += 1
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
                emptied=seen.emptied + (unread.emptied or _is_emptied(values)),
                passes=seen.passes + unread.passes,
                discarded=seen.discarded
                + unread.discarded
                + sum(number == 0 for (what, _), v in values.items() if what == "kept" for number in v),
                accumulates=seen.accumulates or unread.accumulates,
                repeated=unread.repeated or seen.repeated,
            )
        self._unread.clear()
        spacing = _spacing(self._moments[-1].step) if self._moments else EVERY
        self._moments = [m for m in self._moments if m.step <= EARLY or m.step % spacing == 0]
        self._loss_of = {m.step: self._loss_of.get(m.step, nan) for m in self._moments}

    def _moment(self, unread: Unread, values: Mapping[Key, list[float]]) -> Moment:
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
        """The layers' numbers in the order of their first calls; a layer never called follows its neighbor."""
        places = {number: place for place, number in enumerate(self._called)}
        last, keys = -1, list[int]()
        for number in range(len(self._layers)):
            last = places.get(number, last)
            keys.append(last)
        return sorted(range(len(self._layers)), key=keys.__getitem__)


def _is_emptied(values: Mapping[Key, list[float]]) -> bool:
    """Whether gradients arrived in a step and were 0 at its update."""
    left = [(place, v[-1]) for (what, place), v in values.items() if what == "left"]
    return any(count == 0 < max(values.get(("gradient", place), (0.0,))) for place, count in left)


def _bytes(inputs: tuple[Any, ...]) -> int:
    return sum(x.nbytes for x in inputs if isinstance(x, Tensor))


def _from(step: int) -> int:
    """The first watched step from `step` on."""
    watched = 0
    while watched < step:
        watched = following(watched)
    return watched


def _sorted(moment: Moment, order: Sequence[int]) -> Moment:
    """The moment with its layers in the given order of numbers."""
    return replace(moment, layers=tuple(layer for _, layer in sorted(zip(order, moment.layers, strict=True))))
