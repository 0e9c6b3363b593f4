"""What attacks raise: one number for each row, the greater the closer to what the adversary wants."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from netwright.records.batch import Batch, Given, Outputs
from netwright.records.errors import DataError
from netwright.records.task import Task

AttackLoss = Callable[[Outputs, Batch, Task, Tensor | None], Tensor]
"""(outputs, batch, task, goal) -> (B,). Without a goal the adversary wants the answer to be wrong, with one (B,) this
label."""


def cross_entropy(outputs: Outputs, batch: Batch, task: Task, goal: Tensor | None) -> Tensor:
    """The task's own loss. Of one label in many, the logarithm of the odds of being wrong; with a goal, of reaching it.

    The odds rise with the cross entropy and have the same direction of steepest ascent, but their gradient does not
    vanish if the network is sure. Carlini and Wagner 2016, arXiv:1608.04644, section VI, on vanishing gradients.
    """
    if task.link != "softmax":
        return task.losses(Given(outputs), batch)
    values = logits(outputs, task)
    own = labels(batch, task) if goal is None else goal
    odds = values.scatter(1, own[:, None], -torch.inf).logsumexp(1) - _of(values, own)
    return odds if goal is None else -odds


def plain(outputs: Outputs, batch: Batch, task: Task, goal: Tensor | None) -> Tensor:
    """The task's own loss, as a training has it; with a goal, minus the loss of the wanted label.

    Other tools attack with it. If the network is far too sure it has no gradient: the same steps on the margin tell.
    """
    if goal is None:
        return task.losses(Given(outputs), batch)
    return -F.cross_entropy(logits(outputs, task), goal, reduction="none")


def margin(outputs: Outputs, batch: Batch, task: Task, goal: Tensor | None) -> Tensor:
    """By how much the best other logit is above the one that should not win. Carlini and Wagner 2016,
    arXiv:1608.04644."""
    values = logits(outputs, task)
    if goal is None:
        own = labels(batch, task)
        return _other(values, own) - _of(values, own)
    return _of(values, goal) - _other(values, goal)


def dlr(outputs: Outputs, batch: Batch, task: Task, goal: Tensor | None) -> Tensor:
    """The margin over a difference of logits: the same for any scale. Croce and Hein 2020, arXiv:2003.01690, (6), (7).

    Needs three labels, with a goal four: with fewer the quotient is constant, so it is the margin.
    """
    values, own = logits(outputs, task), labels(batch, task)
    if values.shape[1] < (3 if goal is None else 4):
        return margin(outputs, batch, task, goal)
    ranked = values.topk(3 if goal is None else 4, 1).values
    if goal is None:
        return (_other(values, own) - _of(values, own)) / (ranked[:, 0] - ranked[:, 2] + LEAST)
    between = ranked[:, 0] - (ranked[:, 2] + ranked[:, 3]) / 2
    return (_of(values, goal) - _of(values, own)) / (between + LEAST)


def up(outputs: Outputs, batch: Batch, task: Task, goal: Tensor | None) -> Tensor:
    """The answer, if it is one number."""
    return logits(outputs, task)[:, 0]


def down(outputs: Outputs, batch: Batch, task: Task, goal: Tensor | None) -> Tensor:
    """The same, downwards."""
    return -up(outputs, batch, task, goal)


LEAST = 1e-12

LOSSES: dict[str, AttackLoss] = {
    "cross_entropy": cross_entropy,
    "plain": plain,
    "margin": margin,
    "dlr": dlr,
    "up": up,
    "down": down,
}


def fitting(task: Task) -> tuple[str, ...]:
    """The losses that suit a task, the first as a default."""
    if task.link == "softmax":
        return ("cross_entropy", "margin", "dlr")
    return ("up", "down") if task.link == "identity" else ("cross_entropy",)


def logits(outputs: Outputs, task: Task) -> Tensor:
    """(B, width). Raises DataError for outputs of another form."""
    if isinstance(outputs, Tensor) and outputs.ndim == 2:
        return outputs
    raise DataError(
        f"{task.describe()} has no vector of outputs for each row, which this attack needs",
        remedy="choose another attack.",
    )


def labels(batch: Batch, task: Task) -> Tensor:
    """(B,) int64: the true labels, for tasks with one label for each row."""
    return batch.targets[0].reshape(len(batch)).long()


def _of(values: Tensor, which: Tensor) -> Tensor:
    return values.gather(1, which[:, None])[:, 0]


def _other(values: Tensor, which: Tensor) -> Tensor:
    """The greatest of the others."""
    return values.scatter(1, which[:, None], -torch.inf).amax(1)
