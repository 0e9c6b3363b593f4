"""What values a network's outputs can have, and how low its loss can get with them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf, isfinite
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.machine.randomness import reseed, seeded
from netwright.records.batch import Batch, Outputs, side_by_side
from netwright.records.task import Forward, of_inputs
from netwright.training.layers import RECURRENT, matrices
from netwright.training.look import calls
from netwright.training.probes import copied

BatchLoss = Callable[[Tensor, Batch], Tensor]
"""(outputs, batch) -> the loss of the whole batch, ()."""

FAR = (1e3, 1e6)  # times the last weights: what is still in the same range at the second has no way out of it
NEAR = 1e-3  # times the last weights: a sigmoid is then at its middle, and only a sharp cut is still at its end
TOUCHES = 0.2  # share of the rows that have an output at an end of the range, as far out as FAR
CUT = 0.1  # share of the outputs at an end that come off it if the last weights change their sign
ROUNDING = 1e-4  # of a range or a loss
ONE = 1e-3  # distance of the outputs' sum from 1; float32 sums of 1,000 shares are within 1e-5
SIZES = (1.0, 3.0, 10.0, 30.0)  # of logits: beyond 30, float32's softmax is exactly 0 and 1
STEPS, STEP = 60, 0.05  # towards the best answers within a range, each a share of it


@final
@dataclass(frozen=True)
class Ends:
    """The range of a network's outputs, whatever its last weights; infinite without an end."""

    low: float
    high: float
    is_cut: bool  # at an end, as by ReLU or clamp: exactly there, without a gradient

    @property
    def is_open(self) -> bool:
        """Whether outputs can have all values."""
        return not (isfinite(self.low) or isfinite(self.high))

    @property
    def is_closed(self) -> bool:
        """Whether there are two ends."""
        return isfinite(self.low) and isfinite(self.high)

    def within(self, outputs: Tensor) -> Tensor:
        """The nearest values in the range."""
        return outputs.clamp(self.low, self.high)


@final
@dataclass(frozen=True)
class Reach:
    """Mean losses of a batch."""

    constant: float  # of one answer for all rows
    within: float  # of the best answers in the range
    best: float  # of answers of any size

    @property
    def share(self) -> float:
        """How much of what can be learned is within the range."""
        return (self.constant - self.within) / (self.constant - self.best)


def ends(network: nn.Module, batch: Batch, forward: Forward = of_inputs) -> tuple[Outputs, Ends]:
    """Outputs in training mode, and their range: found with the last weights large, of both signs, and small.

    If these show no end, and all outputs are on one side of 0 or within 1 of it, with all weights large: the last layer
    called may not be the last. The network stays unchanged. Outputs that are not one tensor have no range.
    """
    with copied(network) as copy, torch.no_grad():
        given = forward(copy.train(), batch)
        if not isinstance(given, Tensor):
            return given, Ends(-inf, inf, is_cut=False)
        layers = [call.module for call in calls(copy, batch, forward) if matrices(call.module)]
        # A recurrent layer bounds what comes after it, whatever its weights.
        last = layers[-1] if layers and not isinstance(layers[-1], RECURRENT) else copy
        found = _ends(copy, last, batch, forward)
        low, high = float(given.min()), float(given.max())
        if found.is_open and (low >= 0 or high <= 0 or max(-low, high) <= 1):
            found = _ends(copy, copy, batch, forward)
        return given, found


def _ends(network: nn.Module, part: nn.Module, batch: Batch, forward: Forward) -> Ends:
    """With the weights of a part multiplied; they are put back."""
    weights = list(part.parameters())
    kept = [weight.clone() for weight in weights]

    def times(factor: float) -> Tensor:
        for weight, before in zip(weights, kept, strict=True):
            weight.copy_(before * factor)
        reseed(0)
        return side_by_side(forward(network.train(), batch))

    far, farther = (torch.stack([times(factor), times(-factor)]) for factor in FAR)
    near, other = times(NEAR), times(-NEAR)
    times(1.0)
    low, high = -_end(-far, -farther), _end(far, farther)
    turned = ((near == low) | (near == high)) ^ ((other == low) | (other == high))
    return Ends(low, high, is_cut=float(turned.float().mean()) > CUT)


def reach(loss: BatchLoss, outputs: Tensor, batch: Batch, within: Ends) -> Reach | None:
    """How low a loss can get within a range, and with outputs of any size; None if that cannot be known.

    Tried are answers made of the targets: the targets themselves, and logits for them. A loss below 0 has no known end.
    """
    tried = list(_answers(outputs, batch))
    known = [(value, answer) for answer in tried if (value := _value(loss, answer, batch)) >= 0]
    inside = [(value, a) for answer in tried if (value := _value(loss, a := within.within(answer), batch)) >= 0]
    if not known or not inside:
        return None
    alike = (_value(loss, answer.mean(0, keepdim=True).expand_as(answer), batch) for _, answer in known)
    constant = min((value for value in alike if value >= 0), default=inf)
    least, start = min(inside, key=lambda pair: pair[0])
    found = Reach(constant, min(least, _descended(loss, start, batch, within)), min(value for value, _ in known))
    return found if isfinite(constant) and constant > found.best else None


def takes_logits(loss: BatchLoss, outputs: Tensor, batch: Batch) -> bool:
    """Whether a number added to all outputs changes nothing, as in every loss with a softmax."""
    if outputs.ndim < 2 or outputs.shape[1] < 2:
        return False
    first, *others = (_value(loss, outputs + by, batch) for by in (0.0, 2.0, -3.0))
    with seeded(0):
        apart = _value(loss, outputs + torch.randn(outputs.shape).to(outputs), batch)
    same = ROUNDING * abs(first)
    return all(abs(other - first) <= same for other in others) and abs(apart - first) > same


def takes_log_probabilities(loss: BatchLoss, outputs: Tensor, batch: Batch) -> bool:
    """Whether a loss falls in proportion to what is added to all outputs, and is 0 at the logarithms of the targets.

    So do `nll_loss` and `kl_div`. They fall without end unless the outputs are logarithms of probabilities.
    """
    if outputs.ndim < 2 or outputs.shape[1] < 2:
        return False
    first, more, most = (_value(loss, outputs + by, batch) for by in (0.0, 2.0, 4.0))
    size = ROUNDING * (1 + abs(first) + abs(most))
    right = [_value(loss, answer, batch) for answer in _answers(outputs, batch, logits=_logarithms)]
    return more < first - size and abs(first - 2 * more + most) <= size and any(abs(v) <= ROUNDING for v in right)


def are_probabilities(outputs: Tensor) -> bool:
    """Whether they are shares that sum to 1, over classes in the second or the last axis."""
    axes = [axis for axis in {1, outputs.ndim - 1} if outputs.ndim > 1 and outputs.shape[axis] > 1]
    return bool((outputs >= 0).all()) and any(float((outputs.sum(axis) - 1).abs().max()) < ONE for axis in axes)


def held(loss: BatchLoss, outputs: Tensor, batch: Batch, within: Ends) -> float:
    """Of the gradient at the outputs, the share at outputs that stand at an end and should leave it inwards."""
    answer = outputs.detach().requires_grad_()
    with torch.enable_grad(), seeded(0):
        (gradient,) = torch.autograd.grad(loss(answer, batch), answer)
    pull = gradient.double().abs()
    stands = ((outputs == within.low) & (gradient < 0)) | ((outputs == within.high) & (gradient > 0))
    return float(pull[stands].sum() / pull.sum()) if float(pull.sum()) > 0 else 0.0


def _end(far: Tensor, farther: Tensor) -> float:
    """The greatest value, if it stays the same and many rows have it; both signs of the weights are in axis 0."""
    most, more = float(far.max()), float(farther.max())
    size = max(1e-6, ROUNDING * max(abs(most), float(farther.isfinite().float().sum() > 0)))
    if not isfinite(more) or abs(more - most) > size:
        return inf
    rows = (farther >= more - size).any(2).any(0)
    return most if float(rows.float().mean()) > TOUCHES else inf


def _logarithms(numbers: Tensor) -> list[Tensor]:
    return [numbers.clamp(min=1e-6).log()]


def _logits(numbers: Tensor) -> list[Tensor]:
    """Targets as they are, and logits of several sizes for targets from 0 or -1 to 1."""
    sized = [size * part for size in SIZES for part in (numbers, 2 * numbers - 1)]
    return [*sized, *_logarithms(numbers)]


def _answers(outputs: Tensor, batch: Batch, logits: Callable[[Tensor], list[Tensor]] = _logits) -> Iterator[Tensor]:
    """Outputs that may be right for the targets; for classes made of ones and zeros."""
    for target in batch.targets:
        if target.numel() == outputs.numel():
            yield from logits(target.reshape(outputs.shape).to(outputs.dtype))
        if target.is_floating_point():
            continue
        for axis in sorted({1, outputs.ndim - 1}):
            if outputs.ndim > 1 and target.numel() * outputs.shape[axis] == outputs.numel():
                classes = target.reshape([n for k, n in enumerate(outputs.shape) if k != axis]).long()
                if int(classes.max()) < outputs.shape[axis]:
                    hot = F.one_hot(classes.clamp(min=0), outputs.shape[axis]).movedim(-1, axis)
                    yield from logits(hot.to(outputs.dtype))


def _descended(loss: BatchLoss, start: Tensor, batch: Batch, within: Ends) -> float:
    """The least loss in the range on the way down from a start."""
    width = min(within.high - within.low, 1 + 2 * float(start.abs().max()))
    answer, least = start.clone().requires_grad_(), inf
    optimizer = torch.optim.Adam([answer], lr=STEP * width)
    try:
        for _ in range(STEPS):
            with torch.enable_grad(), seeded(0):
                value = loss(answer, batch)
                (answer.grad,) = torch.autograd.grad(value, answer)
            least = min(least, number) if (number := float(value.detach())) >= 0 else least
            optimizer.step()
            answer.data.clamp_(within.low, within.high)
    except (RuntimeError, ValueError):  # a loss without a gradient, or outside of what it takes
        pass
    return least


def _value(loss: BatchLoss, outputs: Tensor, batch: Batch) -> float:
    """The loss; NaN if it does not take these outputs."""
    try:
        with seeded(0), torch.no_grad():
            return float(loss(outputs, batch))
    except (RuntimeError, ValueError, IndexError):
        return float("nan")
