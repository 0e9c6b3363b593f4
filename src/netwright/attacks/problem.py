"""What an attack on values works on: a network around a batch, seen from what the adversary can reach and wants."""

from typing import final

import torch
from torch import Tensor, nn

from netwright.attacks.losses import LOSSES, fitting
from netwright.attacks.space import Space
from netwright.records.batch import Batch, Outputs
from netwright.records.nested import each_tensor
from netwright.records.task import Task
from netwright.records.threat import Threat


@final
class Problem:
    """Points of a space, and what the network makes of them. The network is in evaluation mode and stays unchanged.

    `best` holds the point of each row with the most harm so far, and `harm` how much.
    """

    def __init__(self, network: nn.Module, batch: Batch, task: Task, threat: Threat) -> None:
        self.network, self.task, self.threat = network, task, threat
        self.space = Space(batch, threat)
        with torch.no_grad():
            self.clean = self.outputs(self.space.zeros())
        self.best = self.space.zeros()
        self.harm = torch.full((len(batch),), -torch.inf, device=self.best.device)
        self.see(self.best, self.clean)

    @property
    def batch(self) -> Batch:
        """The rows, unchanged."""
        return self.space.whole

    @property
    def open(self) -> Tensor:
        """(B,) bool: rows that the adversary has not beaten, and may still worsen if harm has no end."""
        return self.harm < 1 if self.task.can_be_wrong else torch.ones_like(self.harm, dtype=torch.bool)

    def outputs(self, z: Tensor) -> Outputs:
        """The network's answers at points."""
        return self.task.answers(self.task.forward(self.network, self.space.put(z)))

    def losses(self, outputs: Outputs, loss: str) -> Tensor:
        """(B,): what the attack raises."""
        return LOSSES[loss](outputs, self.batch, self.task, self.threat.goal)

    def gradient(self, z: Tensor, loss: str) -> tuple[Tensor, Tensor, Outputs]:
        """The losses at points, their gradients (B, N), and the outputs. Remembers the points."""
        z = z.detach().requires_grad_()
        with torch.enable_grad():
            outputs = self.outputs(z)
            losses = self.losses(outputs, loss)
            found = torch.autograd.grad(losses.sum(), z, allow_unused=True)[0] if losses.requires_grad else None
        gradient = torch.zeros_like(z) if found is None else found.nan_to_num(0.0, 0.0, 0.0)
        outputs = detached(outputs)
        self.see(z.detach(), outputs)
        return losses.detach(), gradient, outputs

    def look(self, z: Tensor, loss: str) -> Tensor:
        """The losses at points, without gradients. Remembers the points."""
        with torch.no_grad():
            outputs = self.outputs(z)
            self.see(z, outputs)
            return self.losses(outputs, loss)

    def see(self, z: Tensor, outputs: Outputs) -> Tensor:
        """(B,): the harm at points. Remembers the points with the most."""
        with torch.no_grad():
            harm = harm_of(self.task, outputs, self.clean, self.batch, self.threat.goal)
            is_more = harm > self.harm
            self.best = torch.where(is_more[:, None], z, self.best)
            self.harm = torch.where(is_more, harm, self.harm)
            return harm

    def result(self) -> Batch:
        """The rows at their best points."""
        with torch.no_grad():
            return self.space.put(self.best)

    def pick(self, which: Tensor) -> "Problem":
        """The problem of some rows, by mask."""
        picked = self.space.pick(which)
        return Problem(self.network, picked.whole, self.task, picked.threat)

    def merge(self, which: Tensor, part: "Problem") -> None:
        """Takes over what was found for some rows."""
        is_more = part.harm > self.harm[which]
        place = which.nonzero()[:, 0][is_more] if which.dtype == torch.bool else which[is_more]
        self.best[place], self.harm[place] = part.best[is_more], part.harm[is_more]

    @property
    def loss(self) -> str:
        """The loss that suits the task first."""
        return fitting(self.task)[0]


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
