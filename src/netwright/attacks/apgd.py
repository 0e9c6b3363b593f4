"""Steps along the gradient that choose their own length."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from netwright.attacks.losses import fitting, labels, logits
from netwright.attacks.problem import Problem
from netwright.records.batch import Batch
from netwright.records.errors import DataError
from netwright.records.task import Task
from netwright.records.threat import Threat

STEPS = 50  # half of the published number, for most of its effect
LABELS = 3  # wrong labels that are tried, the likeliest first

# Croce and Hein 2020, arXiv:2003.01690, sections 3.1 to 3.3.
FIRST_STRIDE = 2.0  # sizes
MOMENTUM = 0.75  # share of the new step; the rest repeats the last move
RISES = 0.75  # share of steps that must raise the loss
FIRST_CHECK, SHORTER, SHORTEST = 0.22, 0.03, 0.06  # of all steps: the first period, how much each is shorter, the last


def apgd(
    network: nn.Module,
    batch: Batch,
    task: Task,
    threat: Threat,
    *,
    steps: int = STEPS,
    restarts: int = 1,
    loss: str = "",
) -> Batch:
    """Projected gradient ascent with momentum that halves its steps when the loss stops rising, and goes on from the
    best point. Croce and Hein 2020, arXiv:2003.01690.

    `loss` is a key of LOSSES; by default the first that suits the task, for numbers in turn up and down.
    """
    problem = Problem(network, batch, task, threat)
    names = (loss,) if loss else fitting(task)[:2] if task.link == "identity" else fitting(task)[:1]
    for number in range(max(restarts, len(names))):
        ascend(problem, names[number % len(names)], steps, number)
    return problem.result()


def apgd_targeted(
    network: nn.Module,
    batch: Batch,
    task: Task,
    threat: Threat,
    *,
    steps: int = STEPS,
    labels: int = LABELS,
    loss: str = "dlr",
) -> Batch:
    """The same toward one wrong label after another, the likeliest first, on rows that still stand.

    Toward the wanted label alone if the threat has one. Raises DataError for tasks without one label for each example.
    """
    if task.link != "softmax":
        raise DataError(
            f"{task.describe()} has no wrong labels to aim at, which this attack needs", remedy="choose another attack."
        )
    problem = Problem(network, batch, task, threat)
    if threat.goal is not None:
        ascend(problem, loss, steps, 0)
    elif len(batch):
        for number, goal in enumerate(_likely(problem, labels)):
            ascend(problem, loss, steps, number, goal)
    return problem.result()


def ascend(problem: Problem, loss: str, steps: int, salt: int, goal: Tensor | None = None) -> None:
    """One ascent from a random point; the problem remembers what it finds. `goal` is as in `Problem.gradient`."""
    space, checks = problem.space, _checks(steps)
    before = z = space.random(problem.threat.generator(salt))
    stride = torch.full_like(z[:, :1], FIRST_STRIDE * problem.threat.size)
    if not problem.open.any():
        return
    value, gradient, _ = problem.gradient(z, loss, goal=goal)
    top, top_value, top_gradient, last_top = z, value, gradient, value
    rises, was_cut, checked = torch.zeros_like(value), torch.ones_like(value, dtype=torch.bool), 0
    for step in range(1, steps):
        if not problem.open.any():
            return
        ahead = space.project(z + stride * space.steepest(gradient))
        share = MOMENTUM if step > 1 else 1.0
        before, z = z, space.project(z + share * (ahead - z) + (1 - share) * (z - before))
        last, (value, gradient, _) = value, problem.gradient(z, loss, goal=goal)
        rises += value > last
        is_top = value > top_value
        top, top_gradient = torch.where(is_top[:, None], z, top), torch.where(is_top[:, None], gradient, top_gradient)
        top_value = torch.where(is_top, value, top_value)
        if step in checks:
            cut = (rises < RISES * (step - checked)) | (~was_cut & (top_value <= last_top))
            stride = torch.where(cut[:, None], stride / 2, stride)
            z, gradient = torch.where(cut[:, None], top, z), torch.where(cut[:, None], top_gradient, gradient)
            before, value = torch.where(cut[:, None], top, before), torch.where(cut, top_value, value)
            rises, was_cut, last_top, checked = torch.zeros_like(rises), cut, top_value, step


def _checks(steps: int) -> frozenset[int]:
    """Steps after which the stride may be halved: periods become shorter."""
    ends = [0.0, FIRST_CHECK]
    while ends[-1] < 1:
        ends.append(ends[-1] + max(ends[-1] - ends[-2] - SHORTER, SHORTEST))
    rounded = [round(end * steps) for end in ends]
    return frozenset(end for start, end in pairwise(rounded) if end > start)


def _likely(problem: Problem, most: int) -> Tensor:
    """(labels, B): for each row wrong labels, the likeliest first."""
    values = logits(problem.clean, problem.task).nan_to_num(-torch.inf)
    own = labels(problem.batch, problem.task)
    others = values.scatter(1, own[:, None], -torch.inf)
    return others.topk(min(most, values.shape[1] - 1), 1).indices.T
