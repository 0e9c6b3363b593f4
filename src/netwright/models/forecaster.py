"""From a window of past steps to quantiles of the next ones."""

from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.machine.randomness import seeded
from netwright.models import BACKBONES
from netwright.models.inits import HEAD_SCALE, initialize
from netwright.models.stack import stack
from netwright.records.errors import RecipeError
from netwright.records.recipe import Recipe
from netwright.records.schema import Signal
from netwright.resolve import resolve

FLAT = 1e-3  # standard deviations of a target, added to a window's own: nearly constant windows are not blown up
CYCLES = 7  # the forecast starts as the mean of so many cycles: it was better than one on electricity and sales
USUAL_ERROR = 0.5  # of a window's spread: quantiles start as those of a normal distribution with it


def forecaster(
    lags: int, ahead: int, season: int, levels: Sequence[float], moments: tuple[Sequence[float], Sequence[float]],
    recipe: Recipe,
) -> nn.Module:  # fmt: skip
    """A network from (B, lags, channels) in the data's units to (B, ahead, channels, levels), standardized.

    `levels` rise, with 0.5 among them; `moments` are mean and scale of each channel. Only the seed decides the weights.
    Raises RecipeError for `members`, and for a backbone that is not for vectors.
    """
    if recipe.members > 1:
        raise RecipeError(f"members={recipe.members} does not suit forecasting", remedy="set members to 1.")
    name = "mlp" if recipe.backbone == "auto" else recipe.backbone
    flat = Signal("vector", lags)
    with seeded(recipe.seed):
        layers = recipe.layers
        body, after = stack(layers, flat, recipe) if layers else resolve("backbone", name, BACKBONES)(flat, recipe)
        return Forecaster(body, after.width, linear(lags, ahead, season), levels, moments)


def linear(lags: int, ahead: int, season: int) -> nn.Linear:
    """From the past to the next steps: at first the mean of the same step of the last cycles, or the last value."""
    layer = nn.Linear(lags, ahead)
    cycles = min(CYCLES, lags // season) if season > 1 else 1
    steps = torch.arange(ahead)
    nn.init.zeros_(layer.bias)
    with torch.no_grad():
        layer.weight.zero_()
        for cycle in range(1, cycles + 1):
            layer.weight[steps, lags - cycle * season + steps % season] = 1 / cycles
    return layer


@final
class Forecaster(nn.Module):
    """A linear forecast corrected by a trunk, from each channel's window scaled to mean 0 and spread 1.

    Window normalization as in Kim et al. 2022 (RevIN), without its learned scale; the linear part beside a trunk as in
    Das et al. 2023, arXiv:2304.08424. The trunk also gives the distances between quantiles, which never cross.
    """

    def __init__(
        self, body: nn.Module, width: int, linear: nn.Linear, levels: Sequence[float],
        moments: tuple[Sequence[float], Sequence[float]],
    ) -> None:  # fmt: skip
        super().__init__()
        self.linear, self.body = linear, body
        self.lags, self.shape, self.middle = linear.in_features, (linear.out_features, len(levels)), levels.index(0.5)
        self.head = nn.Linear(width, self.shape[0] * self.shape[1])
        initialize(self.head, "lecun", "identity", scale=HEAD_SCALE)
        normal = torch.special.ndtri(torch.tensor(levels, dtype=torch.float64)) * USUAL_ERROR
        apart = normal.diff()
        start = torch.cat([apart[: self.middle], torch.zeros(1), apart[self.middle :]]).expm1().clamp(min=1e-6).log()
        start[self.middle] = 0.0  # the forecast itself
        with torch.no_grad():
            self.head.bias.copy_(start.float().repeat(self.shape[0]))
        self.mean: Tensor
        self.scale: Tensor
        for name, numbers in zip(("mean", "scale"), moments, strict=True):
            self.register_buffer(name, torch.tensor(numbers), persistent=False)  # they come with the task

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T, channels), NaN where missing -> (B, ahead, channels, levels), rising along the levels."""
        x = F.pad(x[:, : self.lags], (0, 0, 0, max(0, self.lags - x.shape[1])), value=torch.nan)
        x = ((x - self.mean) / self.scale).transpose(1, 2)
        known = ~x.isnan()
        count = known.sum(2, keepdim=True).clamp(min=1)
        x = torch.where(known, x, 0.0)
        middle = x.sum(2, keepdim=True) / count
        centered = torch.where(known, x - middle, 0.0)
        spread = (centered.square().sum(2, keepdim=True) / count + FLAT**2).sqrt()
        flat = (centered / spread).flatten(0, 1)
        outputs = self._quantiles(self.linear(flat), self.head(self.body(flat)).unflatten(1, self.shape))
        scaled = outputs.unflatten(0, x.shape[:2]) * spread[..., None] + middle[..., None]
        return scaled.transpose(1, 2)

    def _quantiles(self, forecast: Tensor, found: Tensor) -> Tensor:
        """(N, ahead) and (N, ahead, levels) -> (N, ahead, levels)."""
        below, itself, above = found.tensor_split((self.middle, self.middle + 1), 2)
        center = forecast[..., None] + itself
        lower = center - F.softplus(below).flip(2).cumsum(2).flip(2)
        return torch.cat([lower, center, center + F.softplus(above).cumsum(2)], 2)
