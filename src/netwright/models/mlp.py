"""Residual perceptron for tables and for joined columns, alone or as an ensemble with shared weights."""

from typing import final

import torch
from torch import Tensor, nn

from netwright.models.activations import activation
from netwright.models.dropout import Dropout
from netwright.models.forms import require_form
from netwright.models.inits import HEAD_SCALE, initialize
from netwright.models.normalizations import normalization
from netwright.records.recipe import Recipe
from netwright.records.schema import Signal


def mlp(signal: Signal, recipe: Recipe) -> tuple[nn.Module, Signal]:
    """`depth` hidden layers of `width` units, with dropout; all but the first are residual and pre-normalized.

    RealMLP (Holzmueller et al. 2024, arXiv:2407.04491) and TabM (Gorishniy et al. 2024, arXiv:2410.24210) are plain.
    At a depth of 3, residual layers were no worse on Adult and telescope (AUC .9128 vs. .9121 and .9428 vs. .9422, one
    seed, 9 epochs: a tie), and 150 of them can be trained.
    With `members` above 1 it maps (B, inputs) to (B, members, width).
    """
    require_form("mlp", signal, "vector")
    layers: list[nn.Module] = [Fan(recipe.members)] if recipe.members > 1 else []
    layers += [_dense(signal.width, recipe, first=True), activation(recipe.activation), Dropout(recipe.dropout)]
    layers += [_block(recipe) for _ in range(recipe.depth - 1)]
    return nn.Sequential(*layers), Signal("vector", recipe.width)


def head(width: int, outputs: int, recipe: Recipe) -> nn.Module:
    """The last layer, with small initial outputs. Members have a head each; evaluation takes the members' mean."""
    if recipe.members > 1:
        return MemberHead(width, outputs, recipe.members)
    linear = nn.Linear(width, outputs)
    initialize(linear, "lecun", "identity", scale=HEAD_SCALE)
    return linear


def _block(recipe: Recipe) -> nn.Module:
    name = "layer" if recipe.normalization == "auto" else recipe.normalization
    norm = _norm(name, recipe)
    dense = _dense(recipe.width, recipe)
    body = [norm, dense, activation(recipe.activation), Dropout(recipe.dropout)]
    return ResidualBlock(nn.Sequential(*body), recipe.depth**-0.5)


def _dense(inputs: int, recipe: Recipe, *, first: bool = False) -> nn.Module:
    if recipe.members > 1:
        layer = MemberLinear(inputs, recipe.width, recipe.members, with_random_signs=first)
    else:
        layer = nn.Linear(inputs, recipe.width)
    initialize(layer, recipe.init, recipe.activation)
    return layer


def _norm(name: str, recipe: Recipe) -> nn.Module:
    norm = normalization(name, Signal("vector", recipe.width))
    return _EachMember(norm) if recipe.members > 1 and name in ("batch", "group") else norm


@final
class ResidualBlock(nn.Module):
    """x + scale * body(x), for vectors."""

    def __init__(self, body: nn.Module, scale: float) -> None:
        super().__init__()
        self.body = body
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """The body's shape."""
        # 1 / sqrt(depth): at any depth, the sum of all branches is as large as the trunk's first layer
        return torch.add(x, self.body(x), alpha=self.scale)


@final
class Fan(nn.Module):
    """The same features for each member: (B, width) -> (B, members, width), without a copy."""

    def __init__(self, members: int) -> None:
        super().__init__()
        self.members = members

    def forward(self, x: Tensor) -> Tensor:
        """(B, members, width)."""
        return x[..., None, :].expand(*x.shape[:-1], self.members, x.shape[-1])


@final
class _EachMember(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x.flatten(0, 1)).unflatten(0, x.shape[:2])


@final
class MemberLinear(nn.Module):
    """One weight matrix for all members; each member has its own input and output scales and its own bias.

    (B, members, inputs) -> (B, members, outputs): ((x * r) W^T) * s + b, Wen et al. 2020 (arXiv:2002.06715). Scales
    start at 1, except the first layer's r: these are random signs and make the members differ, as in TabM (Gorishniy
    et al. 2024, arXiv:2410.24210, section 3.3).
    """

    def __init__(self, inputs: int, outputs: int, members: int, *, with_random_signs: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        signs = torch.randint(0, 2, (members, inputs)) * 2.0 - 1.0
        self.r = nn.Parameter(signs if with_random_signs else torch.ones(members, inputs))
        self.s = nn.Parameter(torch.ones(members, outputs))
        self.bias = nn.Parameter(torch.zeros(members, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, members, outputs)."""
        return torch.addcmul(self.bias, nn.functional.linear(x * self.r, self.weight), self.s)


@final
class MemberHead(nn.Module):
    """A linear layer for each member: (B, members, outputs) in training, their mean (B, outputs) in evaluation."""

    def __init__(self, width: int, outputs: int, members: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(members, width, outputs) * (HEAD_SCALE / width**0.5))
        self.bias = nn.Parameter(torch.zeros(members, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, members, outputs) or (B, outputs)."""
        outputs = torch.einsum("...bmw,...mwo->...bmo", x, self.weight) + self.bias[..., None, :, :]
        return outputs if self.training else outputs.mean(-2)
