"""Outputs and targets of different shapes: whether a loss compares every output with every target."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import final

import torch
from torch import Tensor
from torch.autograd.graph import Node

from netwright.machine.randomness import seeded
from netwright.records.batch import Batch
from netwright.records.nested import Outputs, each_tensor
from netwright.training.layers import tensors

BatchLoss = Callable[[Outputs, Batch], Tensor]
"""(outputs, batch) -> the loss of the whole batch, ()."""

ORDERS = 3  # of the targets: one of them may give nearly the same loss by chance
SAME = 1e-5  # of a loss: sums in another order differ by less in float32
MOVED = 1e-3  # of a loss that compares each output with its own target, if targets change rows
MOST_NODES = 500  # of a loss's graph, 1 us each: above a network's outputs it has some tens


@final
@dataclass(frozen=True)
class Spread:
    """Shapes of outputs, of targets, and the one to which a loss repeats both."""

    outputs: tuple[int, ...]
    targets: tuple[int, ...]
    both: tuple[int, ...]

    @property
    def remedy(self) -> str:
        """What to do."""
        axis = next((k for k, size in enumerate(self.outputs) if size == 1), 1)
        if len(self.outputs) < len(self.targets):
            return "give outputs and targets one shape: targets.squeeze(1), or outputs.unsqueeze(1)."
        return f"give outputs and targets one shape: outputs.squeeze({axis}), or targets.unsqueeze({axis})."


def spread(loss: BatchLoss, outputs: Outputs, batch: Batch) -> Spread | None:
    """Outputs and targets that differ only in axes of size 1, if a loss repeats both to one shape; else None.

    Evidence: the order of the targets does not matter to the loss, but it does if both have one shape. Raises what the
    loss raises.
    """
    for output in tensors(outputs):
        for number, target in enumerate(batch.targets):
            if output.shape == target.shape or _plain(output) != _plain(target) or len(output) < 2:
                continue
            # No two rows alike, whatever the network has learned, and still probabilities or their logarithms.
            with seeded(0):
                apart = output.detach() * torch.rand(output.shape).to(output)
            given = _loss_of(loss, outputs, batch, output, number)
            if _moved(given, apart, target) > SAME:
                continue
            pairs = ((apart.reshape(target.shape), target), (apart, target.reshape(output.shape)))
            if max(_moved(given, *pair) for pair in pairs) > MOVED:
                both = torch.broadcast_shapes(output.shape, target.shape)
                return Spread(tuple(output.shape), tuple(target.shape), tuple(both))
    return None


def repeated(loss: Tensor, outputs: Tensor) -> tuple[int, ...]:
    """The shape to which a loss repeated outputs, each row beside every other; () if it did not.

    Read from the loss's graph. The other operand has no gradient: targets, and not other outputs of the network.
    """
    answer, shape, rows = outputs.grad_fn, tuple(outputs.shape), len(outputs) if outputs.ndim else 0
    found, seen = [loss.grad_fn], set[Node]()
    while found and answer is not None and rows > 1 and len(seen) < MOST_NODES:
        node = found.pop()
        if node is None or node is answer or node in seen:
            continue
        seen.add(node)
        before = [child for child, _ in node.next_functions]
        now, given = _shape(node), [child for child in before if child is not None]
        is_wider = prod(now) == rows * prod(shape) and len(given) == 1 and _widens(shape, now)
        if is_wider and _leads(given[0], answer, shape):
            return now
        found += before
    return ()


def _widens(shape: tuple[int, ...], now: tuple[int, ...]) -> bool:
    """Whether a shape is repeated to another, as torch broadcasts: from the last axis on, sizes are equal or 1."""
    pairs = zip(reversed(shape), reversed(now), strict=False)
    return len(shape) <= len(now) and all(own in (1, size) for own, size in pairs)


def repeats(loss: BatchLoss, outputs: Outputs, batch: Batch) -> bool:
    """Whether a loss repeats the first of the outputs over the rows, as losses of pairs of rows do on purpose."""
    first = next(tensors(outputs))
    with torch.enable_grad():
        answer = first.detach().requires_grad_() * 1
        whole = loss(each_tensor(outputs, lambda part: answer if part is first else part), batch)
    return bool(repeated(whole, answer))


def _loss_of(
    loss: BatchLoss, outputs: Outputs, batch: Batch, output: Tensor, number: int
) -> Callable[[Tensor, Tensor], float]:
    """The loss as a function of one output and one target."""

    def given(one: Tensor, target: Tensor) -> float:
        targets = tuple(target if k == number else t for k, t in enumerate(batch.targets))
        with seeded(0), torch.no_grad():
            changed = each_tensor(outputs, lambda part: one if part is output else part)
            return float(loss(changed, replace(batch, targets=targets)))

    return given


def _moved(loss: Callable[[Tensor, Tensor], float], output: Tensor, target: Tensor) -> float:
    """How much of its size the loss changes if targets change rows; 0 if it does not take these shapes."""
    try:
        first = loss(output, target)
        with seeded(0):
            orders = [torch.randperm(len(target)) for _ in range(ORDERS)]
        return max(abs(loss(output, target[order.to(target.device)]) - first) for order in orders) / (abs(first) or 1.0)
    except (RuntimeError, ValueError, IndexError, TypeError):
        return 0.0


def _plain(tensor: Tensor) -> list[int]:
    return [size for size in tensor.shape if size > 1]


def _leads(node: Node | None, answer: Node, shape: tuple[int, ...]) -> bool:
    """Whether a node is made of the answer alone, number by number."""
    while node is not None and node is not answer and _shape(node) == shape:
        before = [child for child, _ in node.next_functions if child is not None]
        node = before[0] if len(before) == 1 else None
    return node is answer


def _shape(node: Node) -> tuple[int, ...]:
    made = node._input_metadata  # pyright: ignore[reportPrivateUsage]  the only trace of a result's shape in a graph
    return tuple(made[0].shape) if made else ()
