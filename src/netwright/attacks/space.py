"""The points that an adversary can reach from a batch, as a matrix."""

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Generator, Tensor

from netwright.records.batch import Batch
from netwright.records.threat import Threat, Way

TINY = 1e-12  # keeps divisions by a norm finite
LEAST = 1e-38  # the least normal number of float32
ROUNDING = 1e-4  # of a step: a move so close to a multiple of it is one


@final
@dataclass(frozen=True, eq=False)
class _Part:
    """One input that moves."""

    place: int  # among the inputs
    start: Tensor  # (B, *shape) float
    unit: Tensor  # the same shape, or broadcast to it
    low: Tensor
    high: Tensor
    step: Tensor  # 0 for values that move by any amount
    free: Tensor  # bool: can move


@final
class Space:
    """Points z (B, N) around a batch: by how many units each value of the inputs that move is changed.

    0 is the batch itself. A point is in reach if it is between `lower` and `upper`, and within the threat's norm.
    """

    def __init__(self, batch: Batch, threat: Threat) -> None:
        self.whole, self.threat = batch, threat
        self._parts = [
            _part(place, x, way, threat.size)
            for place, (x, way) in enumerate(zip(batch.inputs, threat.ways, strict=True))
            if way.moves
        ]
        bounds = [((p.low - p.start) / p.unit, (p.high - p.start) / p.unit, p.free) for p in self._parts]
        count = len(batch)
        empty = batch.rows.new_zeros((count, 0), dtype=torch.float32)
        lower = [torch.where(free, low, 0.0).flatten(1) for low, _, free in bounds]
        upper = [torch.where(free, high, 0.0).flatten(1) for _, high, free in bounds]
        self.lower, self.upper = torch.cat([empty, *lower], 1), torch.cat([empty, *upper], 1)
        if threat.norm == "inf":
            self.lower, self.upper = self.lower.clamp(min=-threat.size), self.upper.clamp(max=threat.size)
        self.free = self.upper > self.lower

    @property
    def size(self) -> float:
        """The threat's."""
        return self.threat.size

    @property
    def picture(self) -> tuple[int, int, int] | None:
        """(C, H, W) if the only input that moves is pictures; then z is their pixels, channel by channel."""
        shapes = [part.start.shape[1:] for part in self._parts]
        return (shapes[0][0], shapes[0][1], shapes[0][2]) if len(shapes) == 1 and len(shapes[0]) == 3 else None

    def zeros(self) -> Tensor:
        """The batch itself."""
        return torch.zeros_like(self.lower)

    def put(self, z: Tensor) -> Batch:
        """The batch at a point in reach; gradients flow back to z. Values are rounded to steps and stay in reach."""
        inputs, taken = list(self.whole.inputs), 0
        for part in self._parts:
            width = part.start.shape[1:].numel()
            moved = z[:, taken : taken + width].reshape(part.start.shape) * part.unit
            taken += width
            inputs[part.place] = _moved(part, moved)
        return replace(self.whole, inputs=tuple(inputs))

    def toward(self, batch: Batch) -> Tensor:
        """The nearest point in reach to other rows, one for each of these; what they lack stays as it is."""
        parts = [self.zeros()[:, :0]]
        for part in self._parts:
            change = (batch.inputs[part.place].to(part.start) - part.start) / part.unit
            parts.append(torch.where(part.free, change, 0.0).nan_to_num(0.0).flatten(1))
        return self.project(torch.cat(parts, 1))

    def settled(self, z: Tensor) -> Tensor:
        """The points that `put` makes of points in reach: values are rounded to steps."""
        parts = z.split([part.start.shape[1:].numel() for part in self._parts], 1)
        moves = [
            (_whole(p, z.reshape(p.start.shape) * p.unit) / p.unit).flatten(1)
            for p, z in zip(self._parts, parts, strict=True)
        ]
        return torch.cat([z[:, :0], *moves], 1)

    def project(self, z: Tensor, within: Tensor | None = None) -> Tensor:
        """The nearest point in reach (for the Euclidean norm nearly: first into the ball, then into the bounds).

        `within` (B,) are norms to stay within, by default the threat's size.
        """
        if self.threat.norm == "2":
            z = z * ((self.size if within is None else within) / self.length(z).clamp(min=TINY)).clamp(max=1.0)[:, None]
        elif within is not None:
            z = z.clamp(-within[:, None], within[:, None])
        return z.clamp(self.lower, self.upper)

    def length(self, z: Tensor) -> Tensor:
        """(B,): the norm of points."""
        return z.abs().amax(1) if self.threat.norm == "inf" and z.shape[1] else z.norm(dim=1)

    def steepest(self, gradient: Tensor) -> Tensor:
        """The direction of length one in which a loss with this gradient rises fastest."""
        gradient = torch.where(self.free, gradient, 0.0)
        if self.threat.norm == "inf" or not gradient.shape[1]:
            return gradient.sign()
        gradient = gradient / gradient.abs().amax(1, keepdim=True).clamp(min=LEAST)  # squares of small ones underflow
        return gradient / gradient.norm(dim=1, keepdim=True).clamp(min=TINY)

    def unblocked(self, z: Tensor, gradient: Tensor) -> Tensor:
        """A gradient without the values that cannot follow it from points z: they are at their bounds."""
        return torch.where((z >= self.upper) & (gradient > 0) | (z <= self.lower) & (gradient < 0), 0.0, gradient)

    def random(self, generator: Generator) -> Tensor:
        """Points drawn evenly from what is in reach."""
        if self.threat.norm == "inf":
            shares = torch.rand(self.lower.shape, generator=generator).to(self.lower)
            return self.lower + shares * (self.upper - self.lower)
        z = torch.where(self.free, torch.randn(self.lower.shape, generator=generator).to(self.lower), 0.0)
        shares = torch.rand((len(z), 1), generator=generator).to(z) ** (1 / self.free.sum(1, keepdim=True).clamp(min=1))
        return self.project(z / z.norm(dim=1, keepdim=True).clamp(min=TINY) * self.size * shares)

    def pick(self, which: Tensor) -> "Space":
        """The space around some rows, by position or by mask."""
        goal = self.threat.goal if self.threat.goal is None else self.threat.goal[which]
        return Space(self.whole.keep(which), replace(self.threat, goal=goal))


def _part(place: int, x: Tensor, way: Way, size: float) -> _Part:
    start = x if x.is_floating_point() else x.float()
    unit = torch.as_tensor(way.unit).to(start).expand_as(start)
    low, high = (torch.as_tensor(end).to(start).expand_as(start) for end in (way.low, way.high))
    step = torch.as_tensor(way.step).to(start).expand_as(start)
    free = (unit > 0) & ~start.isnan() & (size > 0)
    known = start.nan_to_num()
    return _Part(
        place,
        start,
        torch.where(free, unit, 1.0),
        torch.minimum(torch.where(free, low, known), known),
        torch.maximum(torch.where(free, high, known), known),
        torch.where(free, step, 0.0),
        free,
    )


def _moved(part: _Part, moved: Tensor) -> Tensor:
    """The input after its values moved. Rounding and clamping have the gradient 1: they must not hide one."""
    known = moved.detach()
    moved = moved + (_whole(part, known) - known) if bool((part.step > 0).any()) else moved
    there = part.start + moved
    known = there.detach()
    there = there + (known.clamp(part.low, part.high) - known)
    return torch.where(part.free, there, part.start)


def _whole(part: _Part, moved: Tensor) -> Tensor:
    """Moves as multiples of the step, rounded toward the start: the nearest may be out of reach."""
    steps = moved / part.step.clamp(min=TINY)
    return torch.where(part.step > 0, (steps + ROUNDING * steps.sign()).trunc() * part.step, moved)
