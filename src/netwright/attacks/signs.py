"""Signs that attacks fail because a network hides its gradients, and not because it resists."""

from dataclasses import replace
from typing import Any, final

import torch
from torch import Tensor, nn

from netwright.attacks.campaign import Campaign
from netwright.attacks.losses import fitting, labels
from netwright.attacks.problem import Problem
from netwright.attacks.space import Space
from netwright.models.modes import differentiable
from netwright.records.batch import Batch
from netwright.records.task import Task
from netwright.records.threat import Threat
from netwright.tasks.classification import Classification

INNER = 200  # points of the reach around each row that the planted label must leave alone
WITHIN = 0.9  # of the reach: inner points stay within, the planted one is at the border
RIDGE = 1.0  # of the mean variance of features, added to each: with less, units that are idle nearby decide
STEEP = 4.0  # logits between the planted point and the middle of the others: far from where losses underflow


def without_gradient(network: nn.Module, batch: Batch, task: Task, threat: Threat) -> Tensor:
    """(B,) bool: rows for which no input that moves has any gradient."""
    with differentiable(network), torch.no_grad():
        problem = Problem(network, batch, task, threat)
        _, gradient, _ = problem.gradient(problem.space.zeros(), fitting(task)[0])
    return (gradient == 0).all(1)


def borrowed(campaign: Campaign, which: Tensor) -> Tensor:
    """(N,) bool: rows that are wrong with the values of another row, so that a change in reach is known.

    Each row takes the values that can move from a row of another label; the threat should reach everything.
    """
    places, known = which.nonzero()[:, 0], torch.zeros_like(which)
    if len(places) < 2:
        return known
    own = campaign.batch.keep(places)
    others = campaign.batch.keep(places[_of_other_labels(labels(own, campaign.task))])
    space = Space(own, campaign.threat)
    known[places] = campaign.harm(space.put(space.toward(others)), places) >= 1
    return known


def planted(network: nn.Module, batch: Batch, task: Task, threat: Threat, attack: str) -> tuple[int, int]:
    """How many planted answers an attack finds, and how many there are, at most one for each row.

    For each row, one point at the border of the reach gets an answer of its own, by a linear layer on the features that
    enter the network's last one; points well inside do not get it. Zimmermann et al. 2022, arXiv:2206.13991. (0, 0) if
    the features cannot be seen, or do not tell the points apart.
    """
    with differentiable(network), torch.no_grad():
        last = _last_linear(network, batch, task)
        found = [] if last is None else [_is_found(network, last, row, task, threat, attack) for row in _apart(batch)]
    return sum(one is True for one in found), sum(one is not None for one in found)


def _is_found(network: nn.Module, last: nn.Linear, row: Batch, task: Task, threat: Threat, attack: str) -> bool | None:
    """Whether the attack finds what is planted near a row; None if nothing can be."""
    generator = threat.generator(int(row.rows[0]))
    many = Space(row.keep(torch.zeros(INNER, dtype=torch.int64)), threat)
    one = Space(row, threat)
    if not bool(one.free.any()):
        return None
    border = one.project(one.steepest(one.random(generator)) * threat.size)
    inner = _features(network, last, many.put(WITHIN * many.random(generator)), task)
    target = _features(network, last, one.put(border), task)[0]
    middle = inner.mean(0)
    spread = (inner - middle).T @ (inner - middle) / INNER
    ridge = RIDGE * spread.diagonal().mean().clamp(min=1e-20) * torch.eye(len(middle), device=spread.device)
    weight = torch.linalg.solve(spread + ridge, target - middle)
    most, there = (inner @ weight).max(), target @ weight
    if not bool(there > most):
        return None
    judge = _Planted(network, last, weight, (most + there) / 2, there - middle @ weight, task)
    marked = replace(row, targets=(torch.zeros(1, dtype=torch.int64, device=row.rows.device),))
    campaign = Campaign(judge, marked, Classification(("as before", "planted")), threat)
    return bool(campaign.attack(attack, campaign.right)[0] >= 1) if bool(campaign.right[0]) else None


@final
class _Planted(nn.Module):
    """Answers 1 where a linear function of another network's last features is above a threshold."""

    def __init__(
        self, network: nn.Module, last: nn.Linear, weight: Tensor, threshold: Tensor, width: Tensor, task: Task
    ) -> None:
        super().__init__()
        self.network, self.last, self.task = network, [last], task
        self.weight, self.threshold, self.width = weight, threshold, width

    def forward(self, *arguments: Tensor) -> Tensor:
        """(B, 2) logits, a few units apart."""
        inputs: list[Tensor] = []
        handle = self.last[0].register_forward_pre_hook(lambda _module, given: inputs.append(given[0]))
        try:
            self.network(*arguments)
        finally:
            handle.remove()
        score = STEEP * (inputs[-1].flatten(1) @ self.weight - self.threshold) / self.width
        return torch.stack([-score, score], 1)


def _features(network: nn.Module, last: nn.Linear, batch: Batch, task: Task) -> Tensor:
    """(B, F): what enters a layer."""
    inputs: list[Tensor] = []
    handle = last.register_forward_pre_hook(lambda _module, given: inputs.append(given[0]))
    try:
        task.forward(network, batch)
    finally:
        handle.remove()
    return inputs[-1].flatten(1).float()


def _last_linear(network: nn.Module, batch: Batch, task: Task) -> nn.Linear | None:
    """The linear layer that is called last, if it gives one vector for each row."""
    called: list[tuple[nn.Linear, int]] = []

    def note(module: nn.Module, _given: Any, output: Any) -> None:  # Any: torch's own signature
        if isinstance(module, nn.Linear):
            called.append((module, output.ndim))

    handles = [m.register_forward_hook(note) for m in network.modules() if isinstance(m, nn.Linear)]
    try:
        task.forward(network, batch.keep(torch.arange(1)))
    finally:
        for handle in handles:
            handle.remove()
    return called[-1][0] if called and called[-1][1] == 2 else None


def _apart(batch: Batch) -> list[Batch]:
    return [batch.keep(torch.tensor([row])) for row in range(len(batch))]


def _of_other_labels(truth: Tensor) -> Tensor:
    """For each row the place of another one: half the rows further in the order of labels, so usually another label."""
    order = truth.argsort(stable=True)
    others = torch.empty_like(order)
    others[order] = order.roll(len(order) // 2)
    return others
