"""Changes found from labels alone, without outputs or gradients."""

from dataclasses import replace

import torch
from torch import Generator, Tensor, nn

from netwright.attacks.problem import Problem
from netwright.attacks.space import TINY
from netwright.records.batch import Batch
from netwright.records.task import Task
from netwright.records.threat import Threat

QUERIES = 1_000
FAR = 1_000.0  # sizes: the first wrong point may be as far away as values go
STARTS = 20  # random points among which a first wrong one is sought
HALVINGS = 8  # of the way to a wrong point: its distance is exact to 1 in 250
PROBES = 12  # around the first point on the boundary; more later, by the root of the number of points
MOST_PROBES = 100


def decision(network: nn.Module, batch: Batch, task: Task, threat: Threat, *, queries: int = QUERIES) -> Batch:
    """From a wrong point far away along the boundary to one in reach, with so many answers for each row.

    For the norm "inf" rays to the corners of a box, as in Chen and Gu 2020, arXiv:2006.12792; for "2" the direction of
    the boundary is estimated from answers around it, as in Chen et al. 2019, arXiv:1904.02144. Raises DataError for
    tasks whose answers are not right or wrong.
    """
    problem = Problem(network, batch, task, threat)
    problem.need_ends()
    if not problem.open.any():
        return problem.result()
    walk = _Walk(problem, queries)
    z = (_rays if threat.norm == "inf" else _boundary)(walk, threat.generator())
    problem.look(problem.space.project(z))
    return problem.result()


class _Walk:
    """Points anywhere within the bounds of values, and how many answers each row has used."""

    def __init__(self, problem: Problem, queries: int) -> None:
        threat = problem.threat
        self._wide = Problem(problem.network, problem.batch, problem.task, replace(threat, size=FAR * threat.size))
        self.space, self.size, self.open = self._wide.space, threat.size, problem.open
        self._used, self._queries = torch.zeros_like(problem.harm), queries

    def standing(self, distance: Tensor) -> Tensor:
        """(B,) bool: rows whose nearest wrong point is out of reach, and that may still ask."""
        return self.open & (distance > self.size) & (self._used < self._queries)

    def wrong(self, z: Tensor, which: Tensor) -> Tensor:
        """(B,) bool: whether answers at points are wrong; only of some rows."""
        if not which.any():
            return which
        self._used += which
        return which & self._wide.is_beaten(self._wide.look(z, which=which)[1])

    def nearer(self, z: Tensor, which: Tensor) -> Tensor:
        """(B,): of the way to wrong points, the share after which answers become wrong."""
        low, high = torch.zeros_like(self._used), torch.ones_like(self._used)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            wrong = self.wrong(z * middle[:, None], which)
            low, high = torch.where(wrong, low, middle), torch.where(wrong, middle, high)
        return high


def _rays(walk: _Walk, generator: Generator) -> Tensor:
    """Signs of all values are turned block by block, in ever smaller blocks, if that brings the boundary nearer."""
    width = walk.space.lower.shape[1]
    distance = torch.maximum(walk.space.upper, -walk.space.lower).amax(1)
    signs, candidate, turn = torch.ones_like(walk.space.lower), torch.ones_like(walk.space.lower), 0
    nearest, blocks, block = torch.zeros_like(signs), 1, 0
    while bool((which := walk.standing(distance)).any()):
        hit = walk.wrong(walk.space.project(candidate * distance[:, None]), which)
        if hit.any():
            # A candidate is a ray whose values stop at their bounds, so the way back is along the ray, not the point.
            distance = torch.where(hit, _along(walk, candidate, distance, hit), distance)
            signs = torch.where(hit[:, None], candidate, signs)
            nearest = torch.where(hit[:, None], walk.space.project(signs * distance[:, None]), nearest)
        turn += 1
        if turn < STARTS:
            found = nearest.any(1)
            drawn = torch.randint(0, 2, signs.shape, generator=generator).to(signs) * 2 - 1
            if not bool((found | ~which).all()):
                candidate = torch.where(found[:, None], signs, -signs if turn == 1 else drawn)
                continue
        candidate = signs.clone()
        candidate[:, block * width // blocks : (block + 1) * width // blocks] *= -1
        block += 1
        if block == blocks:
            blocks, block = (blocks * 2 if blocks < width else 1), 0
            blocks = min(blocks, width)
    return nearest


def _along(walk: _Walk, signs: Tensor, distance: Tensor, which: Tensor) -> Tensor:
    """(B,): the distance on rays at which answers become wrong."""
    low, high = torch.zeros_like(distance), distance
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        wrong = walk.wrong(walk.space.project(signs * middle[:, None]), which)
        low, high = torch.where(wrong, low, middle), torch.where(wrong, middle, high)
    return high


def _boundary(walk: _Walk, generator: Generator) -> Tensor:
    """Steps along the estimated normal of the boundary, and straight back to it."""
    space = walk.space
    z, found = space.zeros(), torch.zeros_like(walk.open)
    for _ in range(STARTS):
        shares = torch.rand(z.shape, generator=generator).to(z)
        point = space.lower + shares * (space.upper - space.lower)
        hit = walk.wrong(point, walk.open & ~found)
        z, found = torch.where(hit[:, None], point, z), found | hit
    z = z * walk.nearer(z, found)[:, None]
    turn = 1
    while bool((which := found & walk.standing(space.length(z))).any()):
        length = space.length(z)
        normal = _normal(walk, z, length, which, min(MOST_PROBES, round(PROBES * turn**0.5)), generator)
        stride, point, pending = length / turn**0.5, z, which
        for _ in range(HALVINGS):
            trial = space.project(z + stride[:, None] * normal)
            hit = walk.wrong(trial, pending)
            point, pending = torch.where(hit[:, None], trial, point), pending & ~hit
            stride = stride / 2
        moved = which & ~pending
        point = point * walk.nearer(point, moved)[:, None]
        is_nearer = moved & (space.length(point) < length)
        z = torch.where(is_nearer[:, None], point, z)
        turn += 1
    return z


def _normal(walk: _Walk, z: Tensor, length: Tensor, which: Tensor, probes: int, generator: Generator) -> Tensor:
    """The mean of random directions, those with wrong answers up, the others down, less what is common to all."""
    width = walk.space.free.sum(1).clamp(min=1)
    radius = (length / width.sqrt())[:, None]
    total, answers, directions = torch.zeros_like(z), torch.zeros_like(length), torch.zeros_like(z)
    for _ in range(probes):
        drawn = torch.where(walk.space.free, torch.randn(z.shape, generator=generator).to(z), 0.0)
        drawn = drawn / drawn.norm(dim=1, keepdim=True).clamp(min=TINY)
        sign = walk.wrong(walk.space.project(z + radius * drawn), which).to(z) * 2 - 1
        total, answers, directions = total + sign[:, None] * drawn, answers + sign, directions + drawn
    is_mixed = answers.abs() < probes  # with one answer only, its directions are all there is
    normal = total - torch.where(is_mixed, answers / probes, 0.0)[:, None] * directions
    return normal / normal.norm(dim=1, keepdim=True).clamp(min=TINY)
