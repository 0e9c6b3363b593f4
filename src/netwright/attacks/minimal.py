"""The smallest change that beats a row."""

from math import cos, pi

import torch
from torch import Tensor, nn

from netwright.attacks.problem import Problem
from netwright.attacks.space import TINY
from netwright.records.batch import Batch
from netwright.records.task import Task
from netwright.records.threat import Threat

STEPS = 100
SHRINKS = (0.05, 1e-3)  # of the radius, in the first and the last step
STRIDES = (1.0, 0.01)  # of the radius, as with a step of about the radius in Pintor et al.
HALVINGS = 12  # of the way back: the found norm is exact to 1 in 4,000


def minimal(network: nn.Module, batch: Batch, task: Task, threat: Threat, *, steps: int = STEPS) -> Batch:
    """Each row after the smallest change that beats it, up to the threat's size; the others as they are.

    Raises DataError for tasks whose answers are not right or wrong.
    """
    return smallest(network, batch, task, threat, steps=steps)[0]


def smallest(
    network: nn.Module, batch: Batch, task: Task, threat: Threat, *, steps: int = STEPS
) -> tuple[Batch, Tensor]:
    """The same, and the norms of the changes (B,), in units: 0 for rows that are wrong already, inf if none was found.

    Steps up the margin within a radius that shrinks while the row is beaten and grows while it is not; at first it is
    where the margin would end if it were linear. Pintor et al. 2021, arXiv:2102.12827, algorithm 1, with strides in
    shares of the radius; then halvings of the way back to the row.
    """
    problem = Problem(network, batch, task, threat)
    problem.need_ends()
    space = problem.space
    found, least = space.zeros(), torch.where(problem.is_beaten(problem.harm), 0.0, torch.inf)
    which, z, radius = problem.open, space.zeros(), torch.full_like(least, threat.size)
    for step in range(steps if which.any() else 0):
        shrink, stride = (_eased(ends, step / steps) for ends in (SHRINKS, STRIDES))
        margins, gradient, harm = problem.gradient(z, "margin", which=which)
        gradient = space.unblocked(z, gradient)
        beaten, settled = which & problem.is_beaten(harm), space.length(space.settled(z))
        is_less = beaten & (settled < least)
        found, least = torch.where(is_less[:, None], z, found), torch.where(is_less, settled, least)
        order = 1 if threat.norm == "inf" else 2  # the dual norm
        linear = space.length(z) - margins.clamp(max=0.0) / gradient.norm(order, dim=1).clamp(min=TINY)
        outward = torch.where(least.isinf(), linear, radius) * (1 + shrink)
        radius = torch.where(beaten, torch.minimum(radius * (1 - shrink), least), outward).clamp(max=threat.size)
        z = space.project(z + stride * radius[:, None] * space.steepest(gradient), radius)
    found, least = _shortened(problem, found, least)
    with torch.no_grad():
        return space.put(found), least


def _shortened(problem: Problem, found: Tensor, least: Tensor) -> tuple[Tensor, Tensor]:
    """Points nearer to the rows, on straight lines."""
    which = least.isfinite() & (least > 0)
    low, high = torch.zeros_like(least), torch.ones_like(least)
    for _ in range(HALVINGS if which.any() else 0):
        middle = (low + high) / 2
        _, harm = problem.look(found * middle[:, None], which=which)
        beaten = problem.is_beaten(harm)
        low, high = torch.where(beaten, low, middle), torch.where(beaten, middle, high)
    found = torch.where(which[:, None], found * high[:, None], found)
    return found, torch.where(which, problem.space.length(problem.space.settled(found)), least)


def _eased(ends: tuple[float, float], share: float) -> float:
    """From the first to the last along a cosine."""
    first, last = ends
    return last + (first - last) * (1 + cos(pi * share)) / 2
