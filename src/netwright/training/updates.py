"""Steps of many optimizers at once: a row of weights for each network, and a column of settings for all rows."""

from collections.abc import Callable, Sequence
from math import inf

import torch
from torch import Tensor

from netwright.records.recipe import Recipe
from netwright.training.average import kept_share

SMOOTH = 0.5  # a second label smoothing; losses of all others are on the line through it
EPS = 1e-8  # of adam and adamw, as in torch
CLIP_EPS = 1e-6  # added to the gradient norm, as in torch's clip_grad_norm_

Rule = Callable[[dict[str, Tensor], Tensor, int, dict[str, Tensor]], None]
"""(rows, gradient, heavy, columns) changes the weights and their two states as torch's optimizers do; the first
`heavy` weights decay."""


def columns(
    recipes: Sequence[Recipe],
    done: Sequence[int],
    rates: Sequence[Sequence[float]],
    half_lives: Sequence[float],
    dtype: torch.dtype,
) -> dict[str, tuple[Tensor, ...]]:
    """For each coming step, a column (K, 1) of each number that the updates take.

    Each network has taken `done` steps; `rates` are (steps, K). `half_lives` of averages are 0 for a network without an
    average, and empty if no network has one. Computed in float64, as torch does for its updates.
    """
    step = torch.tensor(done, dtype=torch.float64) + torch.arange(1, len(rates) + 1)[:, None]
    rate = torch.tensor(rates, dtype=torch.float64)
    beta1, beta2, decay, clip, l1, smooth = (
        torch.tensor([[getattr(recipe, name) for recipe in recipes]], dtype=torch.float64)
        for name in ("momentum", "beta2", "weight_decay", "clip", "l1", "label_smoothing")
    )
    size = (1 - beta2**step).sqrt()
    found = {
        "rate": rate,
        "decay": decay,
        "shrunk": 1 - rate * decay,
        "momentum": beta1,
        "fresh1": 1 - beta1,
        "fresh2": 1 - beta2,
        "eps": EPS * size,
        "gain": rate * size / (1 - beta1**step),
        "clip": torch.where(clip > 0, clip, inf),
        "l1": l1,
        "smooth": smooth / SMOOTH,
    }
    if half_lives:  # without an average the decay is 0: the "average" is the latest weights
        pairs = list(zip(half_lives, done, strict=True))
        kept = [[kept_share(h, d + s) if h else 0.0 for h, d in pairs] for s in range(1, len(rates) + 1)]
        found["fresh"] = 1 - torch.tensor(kept, dtype=torch.float64)
    return {name: c.to(dtype).expand(len(rates), -1)[..., None].unbind() for name, c in found.items()}


def update(
    rule: Rule, rows: dict[str, Tensor], gradient: Tensor, norm: Tensor, heavy: int, columns: dict[str, Tensor]
) -> None:
    """One step of all rows: clips gradients of norm `norm` (K,), updates weights, then averages."""
    gradient.mul_((columns["clip"] / (norm[:, None] + CLIP_EPS)).clamp_(max=1.0))
    rule(rows, gradient, heavy, columns)
    if "average" in rows:
        rows["average"].lerp_(rows["weights"], columns["fresh"])


def _adamw(rows: dict[str, Tensor], gradient: Tensor, heavy: int, columns: dict[str, Tensor]) -> None:
    rows["weights"][:, :heavy].mul_(columns["shrunk"])
    _adam_step(rows, gradient, columns)


def _adam(rows: dict[str, Tensor], gradient: Tensor, heavy: int, columns: dict[str, Tensor]) -> None:
    gradient[:, :heavy].addcmul_(rows["weights"][:, :heavy], columns["decay"])
    _adam_step(rows, gradient, columns)


def _adam_step(rows: dict[str, Tensor], gradient: Tensor, columns: dict[str, Tensor]) -> None:
    mean = rows["first"].lerp_(gradient, columns["fresh1"])
    size = rows["second"].lerp_(gradient.square_(), columns["fresh2"]).sqrt().add_(columns["eps"])
    rows["weights"].addcdiv_(mean * columns["gain"], size, value=-1)


def _sgd(rows: dict[str, Tensor], gradient: Tensor, heavy: int, columns: dict[str, Tensor]) -> None:
    rows["weights"].sub_(_velocity(rows, gradient, heavy, columns) * columns["rate"])


def _nesterov(rows: dict[str, Tensor], gradient: Tensor, heavy: int, columns: dict[str, Tensor]) -> None:
    ahead = gradient.addcmul_(_velocity(rows, gradient, heavy, columns), columns["momentum"])
    rows["weights"].sub_(ahead.mul_(columns["rate"]))


def _velocity(rows: dict[str, Tensor], gradient: Tensor, heavy: int, columns: dict[str, Tensor]) -> Tensor:
    gradient[:, :heavy].addcmul_(rows["weights"][:, :heavy], columns["decay"])
    return rows["first"].mul_(columns["momentum"]).add_(gradient)


RULES: dict[str, tuple[Rule, Rule]] = {  # by name: plain, and with the recipe's `nesterov`
    "adamw": (_adamw, _adamw),
    "adam": (_adam, _adam),
    "sgd": (_sgd, _nesterov),
}
