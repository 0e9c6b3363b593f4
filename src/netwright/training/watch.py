"""The recorder for your own training loop."""

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from itertools import groupby
from math import ceil, isfinite, nan
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from netwright.machine.fused import UpdateRule
from netwright.models.modes import unwrapped
from netwright.records.history import Epoch, History
from netwright.records.watched import Loop, Watched
from netwright.training.recorder import SOON, Recorder

KNOWN = ("sgd", "adam", "adamw", "rmsprop")  # torch classes that the recipe knows by the same name
UNREAD = 100  # losses that may wait on the device
KEPT_BYTES = 1 << 26  # of inputs kept for experiments
EARLY_BYTES = 1 << 28  # of weights kept after a few steps: a second copy
FIRST_BYTES = 1 << 30  # of initial weights kept; experiments that start again from them need no more


@contextmanager
def watch(network: nn.Module, *optimizers: UpdateRule) -> Generator["Watching"]:
    """Records what happens to a network while the block trains it; changes no weight and no random number.

    `with nw.watch(network, optimizer) as watch: <your loop>`, and then
    `nw.diagnose(nw.adopt(network, loss, train_loader, valid_loader, watch=watch))`. A step ends with the step of the
    last optimizer. Its loss is the one passed to `watch.loss(loss)`, or else the sum of those on which `backward()` is
    called. Call it in the block's own thread, and train nothing else there: `torch.Tensor.backward` is wrapped until
    the block ends. Then all hooks are removed.

    It holds a copy of the initial weights if the optimizers have not stepped yet and the copy takes at most
    FIRST_BYTES. Everything else it holds does not grow with the steps.
    """
    watching = Watching(network, *optimizers)
    original = Tensor.backward

    def backward(
        self: Tensor, gradient: Any = None, retain_graph: Any = None, create_graph: Any = False, inputs: Any = None
    ) -> None:  # Any: torch's own signature
        if gradient is None:
            watching.goes_backward(self)
        original(self, gradient, retain_graph, create_graph, inputs)
        if gradient is None:
            watching.went_backward(self)

    Tensor.backward = backward
    try:
        yield watching
    finally:
        Tensor.backward = original
        watching.close()


@final
class Watching:
    """What `watch` gives to its block."""

    def __init__(self, network: nn.Module, *optimizers: UpdateRule) -> None:
        self.optimizers = optimizers
        self._network = unwrapped(network)
        self._first = None if any(map(_has_stepped, optimizers)) else _copied(self._network, FIRST_BYTES)
        self._early: Mapping[str, Tensor] | None = None  # the weights after SOON steps
        self._began = self._ended = time.perf_counter()
        self._recorder = Recorder(network, *optimizers, keep_bytes=KEPT_BYTES)
        self._unread: list[Tensor] = []
        self._steps = 0
        self._given: Tensor | None = None
        self._seen: Tensor | None = None
        self._handle = optimizers[-1].register_step_post_hook(self._stepped)

    def loss(self, loss: Tensor) -> None:
        """Sets the mean loss of the current step, if `backward()` is called on something else."""
        self._given = loss.detach()

    def watched(self) -> Watched:
        """Everything seen so far; waits for the device."""
        self._read()
        return self._recorder.watched()

    @property
    def batches(self) -> tuple[tuple[Any, ...], ...]:  # Any: what the loop gives to the network
        """The inputs of the first, an early and the latest watched pass, not copied; none above KEPT_BYTES."""
        return tuple(one.inputs for one in self._recorder.passes)

    @property
    def build(self) -> Callable[[], nn.Module] | None:
        """Makes the network as it was at the start; None if unknown or too large."""
        return None if self._first is None else partial(_with_weights, self._network, self._first)

    @property
    def loop(self) -> Loop:
        """What a replay of the first steps needs."""
        early = None if self._early is None else partial(_with_weights, self._network, self._early)
        rule, count = self.optimizers[0], len(self.optimizers)
        own = partial(_as_in, self._network, rule) if count == 1 and not isinstance(rule, torch.optim.LBFGS) else None
        is_known = type(rule).__name__.lower() in KNOWN
        return Loop(tuple(self._recorder.passes), early, SOON, own, is_known, self._first is not None)

    def history(self, epoch_steps: int) -> History:
        """The losses so far as epochs of `epoch_steps` each; nothing is known of a validation part.

        A stretch of several steps, as in long trainings, counts towards the epoch in which it begins.
        """
        seen = self.watched()
        if not seen.losses:
            return History()
        count = ceil(seen.steps / epoch_steps)
        seconds = (self._ended - self._began) / count
        epochs = list[Epoch]()
        for number, group in groupby(seen.losses, lambda stretch: stretch.first // epoch_steps + 1):
            parts = list(group)
            steps = sum(part.count for part in parts)
            loss = sum(part.mean * part.count for part in parts) / steps
            is_last, last = parts[-1] is seen.losses[-1], parts[-1].first + parts[-1].count - 1
            lr = next((s.mean for s in seen.rates if s.first + s.count > last), nan)
            epochs.append(Epoch(number, parts[-1].first + parts[-1].count, loss, {}, lr, nan, seconds, nan, 0, is_last))
        return History(tuple(epochs), "the loop ended")

    def settings(self) -> dict[str, object]:
        """What the first optimizer says about the recipe: its kind if it is one of ours, rate, decay, momentum."""
        optimizer = self.optimizers[0]
        group, name = optimizer.param_groups[0], type(optimizer).__name__.lower()
        seen = self.watched()
        rates = [stretch.most for stretch in seen.rates if isfinite(stretch.most)]
        found: dict[str, object] = {"lr": max([*rates, float(group["lr"])])}
        if len(set(rates)) == 1:
            found["schedule"] = "constant"
        if seen.accumulates and not seen.discarded:
            found["accumulate"] = max(1, round(seen.passes / seen.looked))
        if name in KNOWN:
            first, *_ = group.get("betas", (group.get("momentum", 0.0),))
            found |= {"optimizer": name, "momentum": float(first)}
        found["weight_decay"] = float(group.get("weight_decay", 0.0))
        if name == "sgd":
            found["nesterov"] = bool(group["nesterov"])
        sizes = [len(x) for inputs in self.batches[:1] for x in inputs if isinstance(x, Tensor) and x.ndim]
        return found | ({"batch_size": sizes[0]} if sizes else {})

    def goes_backward(self, loss: Tensor) -> None:
        """A backward pass from a number is about to begin: its graph still knows the targets."""
        self._recorder.goes_backward(loss)

    def went_backward(self, loss: Tensor) -> None:
        """A backward pass from a number."""
        self._seen = loss.detach() if self._seen is None else self._seen + loss.detach()

    def close(self) -> None:
        """Takes all hooks away."""
        self._handle.remove()
        self._recorder.close()

    def _stepped(self, _optimizer: object, _args: object, _kwargs: object) -> None:
        self._ended = time.perf_counter()
        self._steps += 1
        if self._steps == SOON and self._first is not None:
            self._early = _copied(self._network, EARLY_BYTES)
        loss = self._given if self._given is not None else self._seen
        self._given = self._seen = None
        self._unread.append(torch.tensor(nan) if loss is None else loss.float().mean() if loss.ndim else loss)
        if len(self._unread) >= UNREAD:
            self._read()

    def _read(self) -> None:
        if self._unread:
            device = self._unread[-1].device
            self._recorder.losses(torch.stack([loss.to(device) for loss in self._unread]).tolist())
            self._unread.clear()


def _copied(network: nn.Module, most: int) -> Mapping[str, Tensor] | None:
    """The network's weights and buffers; None if they take more bytes than `most`, or have no shape yet."""
    tensors = network.state_dict()
    if any(is_lazy(t) for t in tensors.values()):
        return None
    if sum(t.nbytes for t in tensors.values()) > most:
        return None
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _with_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    copy = deepcopy(network)
    copy.load_state_dict(weights)
    return copy


def _has_stepped(optimizer: UpdateRule) -> bool:
    """Whether it has a state from earlier steps; some have one from the start, such as Adagrad."""
    states = optimizer.state_dict()["state"].values()
    return any(float(state.get("step", 1)) > 0 for state in states)


def _as_in(network: nn.Module, optimizer: UpdateRule, copy: nn.Module, lr: float) -> UpdateRule:
    """The optimizer's own kind and settings, with its groups, over a copy of its network at a learning rate."""
    names = {id(p): name for name, p in network.named_parameters()}
    own, first = dict(copy.named_parameters()), float(optimizer.param_groups[0]["lr"]) or 1.0
    groups = [
        {**group, "params": [own[names[id(p)]] for p in group["params"] if id(p) in names],
         "lr": lr * float(group["lr"]) / first}
        for group in optimizer.param_groups
    ]  # fmt: skip
    kind: Any = type(optimizer)  # any optimizer: its settings are in its groups
    return kind([group for group in groups if group["params"]], lr=lr)
