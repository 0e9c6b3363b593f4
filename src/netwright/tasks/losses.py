"""Losses by name: from outputs and targets to one loss for each example.

Classes: outputs (B, K) logits, targets (B,) int64. Several labels: outputs (B, L) logits, targets (B, L) of 0 and 1.
Numbers: outputs (B,) and targets (B,) in standardized units. A user's own loss has the same shape.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from netwright.records.errors import RecipeError, listed
from netwright.records.recipe import Recipe
from netwright.resolve import resolve
from netwright.tasks import LOSSES

Loss = Callable[[Tensor, Tensor], Tensor]
"""(outputs, targets) -> (B,)."""

SMOOTHED = ("cross_entropy", "focal", "binary")  # probability targets can be smoothed; numbers cannot
FOCUS = 2.0  # gamma: the value Lin et al. found best
HUBER_DELTA = 1.0  # one standard deviation of the targets: errors beyond it count linearly


def cross_entropy(outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """-log p(target), with `smoothing` spread evenly over all classes. Szegedy et al. 2015, arXiv:1512.00567."""
    return F.cross_entropy(outputs, targets, reduction="none", label_smoothing=smoothing)


def focal(outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """(1 - p)^2 times the cross entropy: examples that are already right count little.

    Lin et al. 2017, arXiv:1708.02002, equation 4, over a softmax instead of a sigmoid and without alpha: the recipe's
    class weights do that.
    """
    right = outputs.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1).exp()
    return (1 - right) ** FOCUS * cross_entropy(outputs, targets, smoothing=smoothing)


def binary(outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """Mean over labels of each label's own log loss; smoothing draws the targets towards 1/2."""
    soft = targets.to(outputs.dtype) * (1 - smoothing) + smoothing / 2
    return F.binary_cross_entropy_with_logits(outputs, soft, reduction="none").mean(-1)


def mse(outputs: Tensor, targets: Tensor) -> Tensor:
    """Squared error; the best answer is the mean."""
    return (outputs - targets) ** 2


def mae(outputs: Tensor, targets: Tensor) -> Tensor:
    """Absolute error; the best answer is the median."""
    return (outputs - targets).abs()


def huber(outputs: Tensor, targets: Tensor) -> Tensor:
    """Squared (halved) within one standard deviation, absolute beyond. Huber 1964."""
    return F.huber_loss(outputs, targets, reduction="none", delta=HUBER_DELTA)


def quantile(outputs: Tensor, targets: Tensor, *, share: float = 0.5) -> Tensor:
    """Pinball loss: the best answer has `share` of the targets below it. Koenker and Bassett 1978."""
    error = targets - outputs
    return torch.maximum(share * error, (share - 1) * error)


def choose_loss(recipe: Recipe, suited: tuple[str, ...], task: str) -> Loss:
    """The recipe's loss with its label smoothing; "auto" is the first that suits the task.

    A function given by its import path is used unchanged. Raises RecipeError for a loss, smoothing or class weights
    that the task cannot use.
    """
    name = suited[0] if recipe.loss == "auto" else recipe.loss
    if name in LOSSES and name not in suited:
        raise RecipeError(f"the loss {name!r} does not suit {task}", remedy=f"choose from {listed(suited)}.")
    loss: Loss = resolve("loss", name, LOSSES)
    if recipe.label_smoothing == 0:
        return loss
    if name not in SMOOTHED:
        raise RecipeError(f"the loss {name!r} has no label smoothing", remedy="set label_smoothing=0.")
    smoothed: Callable[..., Tensor] = loss
    return partial(smoothed, smoothing=recipe.label_smoothing)


def class_weights(recipe: Recipe, counts: tuple[int, ...], task: str) -> Tensor | None:
    """(K,) weights n / (K * count), with mean 1 over the training rows; None if all classes weigh the same.

    Classes without training rows weigh 0. Raises RecipeError if the counts are unknown.
    """
    if recipe.class_weights == "none":
        return None
    if not counts:
        raise RecipeError(
            f"class_weights={recipe.class_weights} needs the rows of each class, but {task} does not know them",
            remedy="set class_weights=none, or give the task its counts.",
        )
    count = torch.tensor(counts, dtype=torch.float64)
    present = count > 0
    weights = count.sum() / (present.sum() * count.clamp(min=1))
    return torch.where(present, weights, 0.0).float()


def over_members(loss: Loss, outputs: Tensor, targets: Tensor) -> Tensor:
    """The loss of (B, K) outputs, or for (B, members, K) the mean of the members' own losses (not of their answers).

    So each member learns as if alone. Gorishniy et al. 2024, arXiv:2410.24210, section 3.3.
    """
    if outputs.ndim == 2:
        return loss(outputs, targets)
    members = outputs.shape[1]
    return loss(outputs.flatten(0, 1), targets.repeat_interleave(members, 0)).unflatten(0, (-1, members)).mean(1)
