"""The recorder around a loop of one's own."""

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
from netwright.records.history import Epoch, History
from netwright.records.watched import Watched
from netwright.training.recorder import Recorder

KNOWN = ("sgd", "adam", "adamw", "rmsprop")  # classes of torch that the recipe has under the same name
UNREAD = 100  # losses that may wait on the device
KEPT_BYTES = 1 << 26  # of inputs that are kept for experiments
FIRST_BYTES = 1 << 30  # of first weights that are kept: experiments that start again from them ask for no more


@contextmanager
def watch(network: nn.Module, *optimizers: UpdateRule) -> Generator["Watching"]:
    """Sees what happens to a network while the block trains it; changes no weight and no random number.

    `with nw.watch(network, optimizer) as watch: <your loop>`, and then
    `nw.diagnose(nw.adopt(network, loss, train_loader, valid_loader, watch=watch))`. A step ends with that of the last
    optimizer. Its loss is what `watch.loss(loss)` is given, or else the sum of what `backward()` is called on, which
    the block's own thread, and no other training in it, should do: `torch.Tensor.backward` is wrapped until the end of
    the block. All hooks are gone then.

    It holds a copy of the weights that training begins with, where the optimizers have made no step yet and it takes
    no more than FIRST_BYTES. What else it holds does not grow with the steps.
    """
    watching = Watching(network, *optimizers)
    original = Tensor.backward

    def backward(
        self: Tensor, gradient: Any = None, retain_graph: Any = None, create_graph: Any = False, inputs: Any = None
    ) -> None:  # Any: torch's own signature
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
        self._network = network
        self._first = None if any(o.state_dict()["state"] for o in optimizers) else _copied(network)
        self._began = self._ended = time.perf_counter()
        self._recorder = Recorder(network, *optimizers, keep_bytes=KEPT_BYTES)
        self._unread: list[Tensor] = []
        self._given: Tensor | None = None
        self._seen: Tensor | None = None
        self._handle = optimizers[-1].register_step_post_hook(self._stepped)

    def loss(self, loss: Tensor) -> None:
        """The mean loss of the step that is under way, where it is not what `backward()` is called on."""
        self._given = loss.detach()

    def watched(self) -> Watched:
        """All that was seen so far; waits for the device."""
        self._read()
        return self._recorder.watched()

    @property
    def batches(self) -> tuple[tuple[Any, ...], ...]:  # Any: what the loop gives to the network
        """The inputs of the first and the latest watched pass, not copied; none of more than KEPT_BYTES."""
        return tuple(self._recorder.batches)

    @property
    def build(self) -> Callable[[], nn.Module] | None:
        """Makes the network as it was at the beginning; None where that is not known, or takes too much memory."""
        return None if self._first is None else partial(_with_weights, self._network, self._first)

    def history(self, epoch_steps: int) -> History:
        """The losses of the steps so far as epochs of so many; nothing is known of a validation part.

        Where several steps stand together, as in long trainings, they count to the epoch in which they begin.
        """
        seen = self.watched()
        if not seen.losses:
            return History()
        count = ceil(seen.steps / epoch_steps)
        seconds, lr = (self._ended - self._began) / count, seen.moments[-1].lr if seen.moments else nan
        epochs = list[Epoch]()
        for number, group in groupby(seen.losses, lambda stretch: stretch.first // epoch_steps + 1):
            parts = list(group)
            steps = sum(part.count for part in parts)
            loss = sum(part.mean * part.count for part in parts) / steps
            is_last = parts[-1] is seen.losses[-1]
            epochs.append(Epoch(number, parts[-1].first + parts[-1].count, loss, {}, lr, nan, seconds, nan, 0, is_last))
        return History(tuple(epochs), "the loop ended")

    def settings(self) -> dict[str, object]:
        """What the first optimizer tells of the recipe: its kind where it is one of ours, rate, decay, momentum."""
        optimizer = self.optimizers[0]
        group, name = optimizer.param_groups[0], type(optimizer).__name__.lower()
        rates = [moment.lr for moment in self.watched().moments if isfinite(moment.lr)]
        found: dict[str, object] = {"lr": max([*rates, float(group["lr"])])}
        if len(set(rates)) == 1:
            found["schedule"] = "constant"
        if name in KNOWN:
            first, *_ = group.get("betas", (group.get("momentum", 0.0),))
            found |= {"optimizer": name, "momentum": float(first), "weight_decay": float(group["weight_decay"])}
        if name == "sgd":
            found["nesterov"] = bool(group["nesterov"])
        sizes = [len(x) for inputs in self.batches[:1] for x in inputs if isinstance(x, Tensor) and x.ndim]
        return found | ({"batch_size": sizes[0]} if sizes else {})

    def went_backward(self, loss: Tensor) -> None:
        """A backward pass from a number."""
        self._seen = loss.detach() if self._seen is None else self._seen + loss.detach()

    def close(self) -> None:
        """Takes all hooks away."""
        self._handle.remove()
        self._recorder.close()

    def _stepped(self, _optimizer: object, _args: object, _kwargs: object) -> None:
        self._ended = time.perf_counter()
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


def _copied(network: nn.Module) -> Mapping[str, Tensor] | None:
    """The network's weights and buffers; None where they take more than FIRST_BYTES, or have no shape yet."""
    tensors = network.state_dict()
    if any(is_lazy(t) for t in tensors.values()):
        return None
    if sum(t.nbytes for t in tensors.values()) > FIRST_BYTES:
        return None
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _with_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    copy = deepcopy(network)
    copy.load_state_dict(weights)
    return copy
