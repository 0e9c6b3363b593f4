"""The recorder around a loop of one's own."""

from collections.abc import Generator
from contextlib import contextmanager
from math import nan
from typing import Any, final

import torch
from torch import Tensor, nn

from netwright.records.watched import Watched
from netwright.training.fused import UpdateRule
from netwright.training.recorder import Recorder

UNREAD = 100  # losses that may wait on the device
KEPT_BYTES = 1 << 26  # of inputs that are kept for experiments


@contextmanager
def watch(network: nn.Module, *optimizers: UpdateRule) -> Generator["Watching"]:
    """Sees what happens to a network while the block trains it; changes no weight and no random number.

    `with watch(network, optimizer) as watch: <your loop>`; then `watch.watched()`. A step ends with that of the last
    optimizer. Its loss is what `watch.loss(loss)` is given, or else the sum of what `backward()` is called on, which
    the block's own thread, and no other training in it, should do: `torch.Tensor.backward` is wrapped until the end of
    the block. All hooks are gone then.
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

    def went_backward(self, loss: Tensor) -> None:
        """A backward pass from a number."""
        self._seen = loss.detach() if self._seen is None else self._seen + loss.detach()

    def close(self) -> None:
        """Takes all hooks away."""
        self._handle.remove()
        self._recorder.close()

    def _stepped(self, _optimizer: object, _args: object, _kwargs: object) -> None:
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
