"""What an attack on values works on: a network around a batch, seen from what the adversary can reach and wants."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import final

import torch
from torch import Tensor, nn

from netwright.attacks.losses import LOSSES, fitting
from netwright.attacks.space import Space
from netwright.machine.randomness import forked, mixed, reseed
from netwright.records.batch import Batch, Outputs
from netwright.records.errors import DataError
from netwright.records.nested import each_tensor, leaves
from netwright.records.task import Task
from netwright.records.threat import Threat

PASSES = 8  # of a random network at each point: the noise of a mean gradient falls to about a third
JUDGED_PASSES = 25  # odd, so that no row ties; another 25 rarely turn a clear majority
COMPARED = 16  # rows that are answered twice to see whether a network is random
SAME = 1e-4  # of the greatest output: sums in another order differ by less
HALF = 0.5  # of the passes of a random network
CLEAR = 0.75  # at half of 8 passes every other row would not be beaten in fresh ones


@final
@dataclass(frozen=True, eq=False)
class _Rows:
    """Some rows of a problem."""

    which: Tensor  # (B,) bool
    space: Space
    batch: Batch  # without steps that none of them has
    clean: Outputs
    goal: Tensor | None


@final
class Problem:
    """Points of a space, and what the network makes of them. The network is in evaluation mode and stays unchanged.

    `best` holds the point of each row with the most harm so far, and `harm` how much. Rows that are beaten are not
    computed again. A network whose answers are random is asked several times at each point: losses, gradients and harm
    are means over `passes`. Athalye et al. 2018, arXiv:1802.00420, section 4.2 (expectation over transformation).
    """

    def __init__(self, network: nn.Module, batch: Batch, task: Task, threat: Threat) -> None:
        self.network, self.task, self.threat = network, task, threat
        self.space = Space(batch, threat)
        self.best = self.space.zeros()
        self.harm = torch.zeros(len(batch), device=self.best.device)
        self.passes, self._seeds = 1, seeds_of(threat)
        everyone = torch.ones(len(batch), dtype=torch.bool, device=self.best.device)
        self._last = _Rows(everyone, self.space, batch.cut(), self.best, threat.goal)
        if len(batch):  # some networks cannot answer no rows
            self.passes = PASSES if is_random(network, self.space.put(self.best), task) else 1
            self._last = self._answered(self._last)
            self.harm = self._harm(self._last, self._last.clean)
        self.clean = self._last.clean
        self._all = self._last

    @property
    def batch(self) -> Batch:
        """The rows, unchanged."""
        return self.space.whole

    @property
    def open(self) -> Tensor:
        """(B,) bool: rows that can move and that the adversary has not beaten; harm without an end can still grow."""
        can_move = self.space.free.any(1)
        return can_move & (self.harm < 1) if self.ends else can_move

    @property
    def ends(self) -> bool:
        """Whether harm is at most 1: an answer is wrong, or the wanted one."""
        return self.task.can_be_wrong or self.threat.goal is not None

    def need_ends(self) -> None:
        """Raises DataError for a task whose answers are not right or wrong."""
        if not self.ends:
            raise DataError(
                f"answers of {self.task.describe()} are not right or wrong, which this attack needs",
                remedy="choose another attack.",
            )

    def gradient(
        self, z: Tensor, loss: str, *, goal: Tensor | None = None, which: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The losses at points (B,), their gradients (B, N), and the harm (B,). Remembers the points.

        Only of rows in the mask `which`, by default the open ones; the others have the loss -inf, the gradient 0 and
        the harm 0. `goal` (B,) directs the loss at labels that the threat does not ask for.
        """
        rows = self._rows(self.open if which is None else which)
        aim = rows.goal if goal is None else goal[rows.which]
        losses, gradients, harms = list[Tensor](), list[Tensor](), list[Tensor]()
        point = z[rows.which].detach().requires_grad_()
        for _ in self._each_pass(rows):
            with torch.enable_grad():
                outputs = self._outputs(rows, point)
                each = LOSSES[loss](outputs, rows.batch, self.task, aim)
                found = torch.autograd.grad(each.sum(), point, allow_unused=True)[0] if each.requires_grad else None
            gradients.append(torch.zeros_like(point) if found is None else found.nan_to_num(0.0, 0.0, 0.0))
            losses.append(each.detach())
            harms.append(self._harm(rows, detached(outputs)))
        harm = self._noted(rows, z, harms)
        return _spread(rows, losses, -torch.inf, z[:, 0:0].sum(1)), _spread(rows, gradients, 0.0, z), harm

    def look(
        self, z: Tensor, loss: str = "", *, goal: Tensor | None = None, which: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The losses at points and the harm, without gradients; without a loss the harm twice. Remembers the points."""
        rows = self._rows(self.open if which is None else which)
        aim = rows.goal if goal is None else goal[rows.which]
        losses, harms = list[Tensor](), list[Tensor]()
        with torch.no_grad():
            for _ in self._each_pass(rows):
                outputs = self._outputs(rows, z[rows.which])
                harms.append(self._harm(rows, outputs))
                losses.append(LOSSES[loss](outputs, rows.batch, self.task, aim) if loss else harms[-1])
        return _spread(rows, losses, -torch.inf, z[:, 0:0].sum(1)), self._noted(rows, z, harms)

    def is_beaten(self, harm: Tensor) -> Tensor:
        """(B,) bool: harm that reaches the goal; of a random network clearly, so that fresh passes agree."""
        return harm >= CLEAR

    def result(self) -> Batch:
        """The rows at their best points."""
        with torch.no_grad():
            return self.space.put(self.best)

    @property
    def loss(self) -> str:
        """The loss that suits the task first."""
        return fitting(self.task)[0]

    def _rows(self, which: Tensor) -> _Rows:
        """Some rows; the same ones are not cut out twice."""
        if bool(which.all()):
            return self._all
        if not torch.equal(which, self._last.which):
            space = self.space.pick(which)
            clean = each_tensor(self.clean, lambda tensor: tensor[which])
            self._last = _Rows(which, space, space.whole.cut(), clean, space.threat.goal)
        return self._last

    def _outputs(self, rows: _Rows, z: Tensor) -> Outputs:
        return self.task.answers(self.task.forward(self.network, rows.space.put(z).cut()))

    def _answered(self, rows: _Rows) -> _Rows:
        """With the answers to unchanged rows; of a random network the mean."""
        with torch.no_grad():
            found = [self._outputs(rows, self.best) for _ in self._each_pass(rows)]
        means = iter(
            [torch.stack(parts).double().mean(0).to(parts[0]) for parts in zip(*map(leaves, found), strict=True)]
        )
        clean = found[0] if len(found) == 1 else each_tensor(found[0], lambda _: next(means))
        return _Rows(rows.which, rows.space, rows.batch, clean, rows.goal)

    def _harm(self, rows: _Rows, outputs: Outputs) -> Tensor:
        with torch.no_grad():
            return harm_of(self.task, outputs, rows.clean, rows.batch, rows.goal)

    def _each_pass(self, rows: _Rows) -> Iterator[None]:
        """Once for each pass, if there are rows."""
        return each_pass(self.passes if len(rows.batch) else 0, self._seeds)

    def _noted(self, rows: _Rows, z: Tensor, harms: list[Tensor]) -> Tensor:
        """The harm, after points with more than ever have been remembered."""
        harm = _spread(rows, harms, 0.0, self.harm)
        is_more = rows.which & (harm > self.harm)
        self.best = torch.where(is_more[:, None], z.detach(), self.best)
        self.harm = torch.where(is_more, harm, self.harm)
        return harm


def seeds_of(threat: Threat) -> Iterator[int]:
    """What a random network draws depends on the threat's seed alone: a seed for each pass."""
    return (mixed(threat.seed + number) for number in count(1))


def each_pass(passes: int, seeds: Iterator[int]) -> Iterator[None]:
    """Once for each pass; if there are several, each with torch's generators seeded anew."""
    for _ in range(passes):
        if passes == 1:
            yield
            continue
        with forked():
            reseed(next(seeds))
            yield


def is_random(network: nn.Module, batch: Batch, task: Task) -> bool:
    """Whether a network in evaluation mode gives two answers to the same rows."""
    few = batch.head(COMPARED)
    with forked(), torch.no_grad():
        one, other = (_numbers(task.answers(task.forward(network, few))) for _ in range(2))
    return any(bool(((a - b).abs() > SAME * a.abs().max()).any()) for a, b in zip(one, other, strict=True))


def judged(network: nn.Module, batch: Batch, moved: Batch, task: Task, threat: Threat) -> Tensor:
    """(B,): the harm at moved rows, in passes that no attack has seen.

    For a random network whether most passes go wrong, not whether one does; if harm has no end, its mean.
    """
    problem = Problem(network, batch, task, threat)
    if not len(batch):
        return problem.harm
    passes = JUDGED_PASSES if problem.passes > 1 else 1
    with forked(), torch.no_grad():
        reseed(mixed(-1 - threat.seed))
        harms = [
            harm_of(task, task.answers(task.forward(network, moved.cut())), problem.clean, batch.cut(), threat.goal)
            for _ in range(passes)
        ]
    harm = torch.stack(harms).mean(0)
    return (harm > HALF).float() if problem.ends else harm


def harm_of(task: Task, outputs: Outputs, clean: Outputs, batch: Batch, goal: Tensor | None) -> Tensor:
    """(B,): the harm done; with a goal, 1 if the answer is the wanted label."""
    if goal is not None:
        return (answers(outputs) == goal).float()
    return task.harm(outputs, clean, batch)


def answers(outputs: Outputs) -> Tensor:
    """(B,): the label with the greatest output."""
    if not isinstance(outputs, Tensor):
        raise TypeError("only tasks with one vector of outputs have labels")
    return outputs.argmax(1)


def detached(outputs: Outputs) -> Outputs:
    """The outputs without their gradients."""
    return each_tensor(outputs, Tensor.detach)


def _spread(rows: _Rows, parts: list[Tensor], rest: float, like: Tensor) -> Tensor:
    """The mean of some rows' values, at their places among all rows."""
    if not parts:
        return torch.full_like(like, rest)
    mean = parts[0] if len(parts) == 1 else torch.stack(parts).mean(0)
    if len(mean) == len(like):
        return mean
    found = mean.new_full((len(like), *mean.shape[1:]), rest)
    found[rows.which] = mean
    return found


def _numbers(outputs: Outputs) -> tuple[Tensor, ...]:
    return tuple(part.double().nan_to_num(0.0, 0.0, 0.0) for part in leaves(outputs) if part.numel())
