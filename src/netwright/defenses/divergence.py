"""How far two answers of networks are apart."""

import torch.nn.functional as F
from torch import Tensor

from netwright.records.batch import Outputs
from netwright.records.errors import RecipeError
from netwright.records.task import Task


def require_link(task: Task, defense: str) -> None:
    """Raises RecipeError if the task's outputs are no vector of logits or numbers, as a defense needs."""
    if not task.link:
        raise RecipeError(
            f"{defense} compares the answers of networks, and those of {task.describe()} have no form that it knows",
            remedy="choose another defense, for example adversarial.",
        )


def divergence(task: Task, outputs: Outputs, wanted: Outputs, temperature: float = 1.0) -> Tensor:
    """(B,): from `wanted` to `outputs`, each (B, K) or (B, members, K); the mean over members.

    Of logits over the temperature, the Kullback-Leibler divergence of what they say: over the classes, or summed over
    labels that are independent of each other. Of numbers, the square of their difference.
    """
    if not isinstance(outputs, Tensor) or not isinstance(wanted, Tensor):
        raise TypeError("only tasks with a link have a divergence")
    wanted = wanted[:, None] if wanted.ndim < outputs.ndim else wanted
    if task.link == "identity":
        return _each((outputs - wanted) ** 2)
    said, right = outputs.float() / temperature, wanted.float() / temperature
    if task.link == "softmax":
        right = right.log_softmax(-1)
        return _each(right.exp() * (right - said.log_softmax(-1)))
    is_so = right.sigmoid() * (F.logsigmoid(right) - F.logsigmoid(said))
    is_not = (-right).sigmoid() * (F.logsigmoid(-right) - F.logsigmoid(-said))
    return _each(is_so + is_not)


def _each(parts: Tensor) -> Tensor:
    return parts.sum(-1).flatten(1).mean(1) if parts.ndim > 2 else parts.sum(-1)
