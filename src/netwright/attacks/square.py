"""Random changes of some values that are kept if they help: an attack without gradients."""

from math import ceil

import torch
from torch import Generator, Tensor, nn

from netwright.attacks.losses import fitting
from netwright.attacks.problem import Problem
from netwright.attacks.space import TINY
from netwright.records.batch import Batch
from netwright.records.task import Task
from netwright.records.threat import Threat

QUERIES = 1_000  # a fifth of the published number, for most of its effect

# Andriushchenko et al. 2019, arXiv:1912.00049, section 3 and appendix B; the first share as in Croce and Hein 2020.
FIRST_SHARE = 0.8  # of the values are drawn anew at first
HALVED = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)  # of the queries, after which the share is halved


def square(
    network: nn.Module, batch: Batch, task: Task, threat: Threat, *, queries: int = QUERIES, patience: int = 0
) -> Batch:
    """Random search: for pictures in squares, for everything else in random sets of values.

    Andriushchenko et al. 2019, arXiv:1912.00049. Sees outputs only, so it tells whether gradients are hidden. For
    numbers half of the queries go up, half down. With `patience`, it ends after so many queries in which no row fell.
    """
    problem = Problem(network, batch, task, threat)
    names = ("margin",) if task.link == "softmax" else fitting(task)
    for number, name in enumerate(names):
        _search(problem, name, queries // len(names), patience or queries, threat.generator(number))
    return problem.result()


def _search(problem: Problem, loss: str, queries: int, patience: int, generator: Generator) -> None:
    space, draw = problem.space, _corners if problem.threat.norm == "inf" else _shifted
    if not problem.open.any():
        return
    z = space.project(_start(problem, generator))
    value, _ = problem.look(z, loss)
    standing, fell = int(problem.open.sum()), 0
    for query in range(1, queries):
        if (left := int(problem.open.sum())) < standing:
            standing, fell = left, query
        if not left or query - fell > patience:
            return
        share = FIRST_SHARE / 2 ** sum(query > queries * end for end in HALVED)
        candidate = space.project(draw(problem, z, share, generator))
        fresh, _ = problem.look(candidate, loss)
        is_better = fresh > value
        z, value = torch.where(is_better[:, None], candidate, z), torch.where(is_better, fresh, value)


def _start(problem: Problem, generator: Generator) -> Tensor:
    """Corners of what is in reach: pictures in stripes one pixel wide, everything else at random."""
    z, picture = problem.space.zeros(), problem.space.picture
    if picture is None:
        signs = _signs(z.shape, generator, z)
    else:
        channels, height, width = picture
        signs = _signs((len(z), channels, 1, width), generator, z).expand(-1, -1, height, -1).reshape(z.shape)
    return problem.space.steepest(signs) * problem.threat.size


def _corners(problem: Problem, z: Tensor, share: float, generator: Generator) -> Tensor:
    """Some values go to their other end; those of a square all to the same one in each channel."""
    space, size, picture = problem.space, problem.threat.size, problem.space.picture
    if picture is None:
        other = torch.where(z > (space.lower + space.upper) / 2, space.lower, space.upper)
        return torch.where(_subset(problem, share / 2, generator), other, z)  # half of values drawn anew stay the same
    channels, height, width = picture
    _, _, inside = _window(problem, share, generator)
    signs, shaped = _signs((len(z), channels, 1, 1), generator, z), z.view(-1, channels, height, width)
    is_new = (inside & (shaped.sign() != signs)).flatten(1).any(1)[:, None, None, None]
    return torch.where(inside, torch.where(is_new, signs, -signs) * size, shaped).view(z.shape)


def _shifted(problem: Problem, z: Tensor, share: float, generator: Generator) -> Tensor:
    """Length is taken from some values and given, with what was not used, to others, as a random pattern.

    Algorithm 3; the norm is that of all channels together.
    """
    taken, given, pattern = (_sets if problem.space.picture is None else _windows)(problem, share, generator)
    pattern = torch.where(problem.space.free, pattern, 0.0)
    old = z * given
    old = old / old.norm(dim=1, keepdim=True).clamp(min=TINY)
    fresh = old + pattern / pattern.norm(dim=1, keepdim=True).clamp(min=TINY)
    rest = torch.where(taken | given, 0.0, z)
    length = (problem.threat.size**2 - rest.square().sum(1, keepdim=True)).clamp(min=0.0).sqrt()
    return rest + fresh / fresh.norm(dim=1, keepdim=True).clamp(min=TINY) * length


def _sets(problem: Problem, share: float, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    taken, given = _subset(problem, share, generator), _subset(problem, share, generator)
    return taken, given, given * _signs(given.shape, generator, problem.best)


def _windows(problem: Problem, share: float, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Two squares of each row, and for the second one a hill and a valley side by side."""
    picture = problem.space.picture or (0, 0, 0)
    shape, flat = (len(problem.best), *picture), problem.best.shape
    _, _, taken = _window(problem, share, generator)
    down, right, given = _window(problem, share, generator)
    side = int(given[:1].any(3).sum())
    hill = _hill(side).to(down.device)
    turned = torch.rand((len(down), 1, 1), generator=generator).to(down.device) < 0.5
    row, column = down.clamp(0, side - 1)[:, :, None], right.clamp(0, side - 1)[:, None, :]
    pattern = torch.where(turned, hill[column, row], hill[row, column])[:, None]
    signs = _signs((len(down), picture[0], 1, 1), generator, problem.best)
    taken, given = taken.expand(shape).reshape(flat), given.expand(shape).reshape(flat)
    return taken, given, torch.where(given, (pattern * signs).expand(shape).reshape(flat), 0.0)


def _hill(side: int) -> Tensor:
    """(side, side): rings that are the higher the further inside, up in the upper half, down in the lower one."""
    halves = [_rings(ceil(side / 2), side), -_rings(side // 2, side)]
    return torch.cat(halves)


def _rings(height: int, width: int) -> Tensor:
    row = torch.minimum(torch.arange(height), torch.arange(height).flip(0))[:, None]
    column = torch.minimum(torch.arange(width), torch.arange(width).flip(0))[None]
    most = max(1, (min(height, width) + 1) // 2)
    heights = (1.0 / (most - torch.arange(most)).square()).cumsum(0)  # 1 / (n + 1 - k)^2 for each ring k around it
    return heights[torch.minimum(row, column).clamp(max=most - 1)]


def _window(problem: Problem, share: float, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """A square of each row that covers a share of the picture: how far each line is below its top, (B, H), each column
    right of its left end, (B, W), and which pixels are inside, (B, 1, H, W)."""
    _, height, width = problem.space.picture or (0, 1, 1)
    side = max(1, min(round((share * height * width) ** 0.5), height, width))
    count = len(problem.best)
    top = torch.randint(0, height - side + 1, (count, 1), generator=generator)
    left = torch.randint(0, width - side + 1, (count, 1), generator=generator)
    down, right = ((torch.arange(n) - start).to(problem.best.device) for n, start in ((height, top), (width, left)))
    inside = ((down >= 0) & (down < side))[:, None, :, None] & ((right >= 0) & (right < side))[:, None, None, :]
    return down, right, inside


def _subset(problem: Problem, share: float, generator: Generator) -> Tensor:
    """(B, N) bool: a share of the values that can move, at least one."""
    free = problem.space.free
    chances = torch.rand(free.shape, generator=generator).to(free.device).masked_fill(~free, 2.0)
    return free & ((chances < share) | (chances == chances.amin(1, keepdim=True)))


def _signs(shape: tuple[int, ...] | torch.Size, generator: Generator, like: Tensor) -> Tensor:
    return torch.randint(0, 2, tuple(shape), generator=generator).to(like) * 2 - 1
