"""From a window of past steps to quantiles of the next ones."""

from collections.abc import Sequence
from typing import cast, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.machine.randomness import seeded
from netwright.models import BACKBONES
from netwright.models.history import History
from netwright.models.inits import HEAD_SCALE, initialize
from netwright.models.network import branch
from netwright.models.sequences import Chain
from netwright.models.stack import stack
from netwright.models.stem import Stem, arguments
from netwright.records.errors import RecipeError
from netwright.records.recipe import Recipe
from netwright.records.schema import Block, Signal
from netwright.resolve import resolve

CYCLES = 7  # the forecast starts as the mean of so many cycles: it was better than one on electricity and sales
USUAL_ERROR = 0.5  # of a window's spread: quantiles start as those of a normal distribution with it
START = 0.1  # of a head's usual weights: the network starts near its linear part, and every layer has a gradient
NARROWEST = 1e-4  # distance between two quantiles at the start, in spreads


def forecaster(
    history: History, season: int, levels: Sequence[float], static: Sequence[Block], recipe: Recipe
) -> nn.Module:
    """A network from what `history` reads to (B, ahead, targets, levels), standardized.

    `levels` rise, with 0.5 among them; `static` are the blocks of inputs that hold for a whole series. Only the seed
    decides the weights. Raises RecipeError for `members`, and for a backbone that is not for vectors.
    """
    if recipe.members > 1:
        raise RecipeError(f"members={recipe.members} does not suit forecasting", remedy="set members to 1.")
    name = "mlp" if recipe.backbone == "auto" else recipe.backbone
    with seeded(recipe.seed):
        fixed = [branch(block, recipe) for block in static]
        beside = history.width + sum(width for _, width in fixed)
        flat = Signal("vector", history.lags + beside)
        layers = recipe.layers
        body, after = stack(layers, flat, recipe) if layers else resolve("backbone", name, BACKBONES)(flat, recipe)
        return Forecaster(history, [chain for chain, _ in fixed], body, after.width, season, levels)


def linear(lags: int, ahead: int, season: int) -> nn.Linear:
    """From the past to the next steps: at first the mean of the same step of the last cycles, or the last value."""
    layer = nn.Linear(lags, ahead)
    nn.init.zeros_(layer.bias)
    with torch.no_grad():
        layer.weight.copy_(usual(lags, ahead, season).T)
    return layer


def usual(lags: int, ahead: int, season: int) -> Tensor:
    """(lags, ahead): weights of the past for the mean of the last cycles; for the last value if there is no season."""
    cycles = min(CYCLES, lags // season) if season > 1 else 1
    weights, steps = torch.zeros(lags, ahead), torch.arange(ahead)
    for cycle in range(1, cycles + 1):
        weights[lags - cycle * season + steps % season, steps] = 1 / cycles
    return weights


@final
class Forecaster(nn.Module):
    """A linear forecast corrected by a trunk, from each target's window scaled to mean 0 and spread 1.

    The linear part beside a trunk as in Das et al. 2023, arXiv:2304.08424. The trunk also gives the distances between
    quantiles, which never cross; `stretch` multiplies their distance from the median (see `tasks/forecasting.py`).
    """

    def __init__(
        self, history: History, static: Sequence[Chain], body: nn.Module, width: int, season: int,
        levels: Sequence[float],
    ) -> None:  # fmt: skip
        super().__init__()
        self.history, self.body = history, body
        self.static = nn.ModuleList(static)
        self.shape, self.middle = (history.ahead, len(levels)), levels.index(0.5)
        self.linear = linear(history.lags, history.ahead, season)
        self.beside = nn.Linear(history.width, history.ahead * len(history.mean), bias=False) if history.width else None
        if self.beside is not None:
            nn.init.zeros_(self.beside.weight)
        self.head = nn.Linear(width, self.shape[0] * self.shape[1])
        initialize(self.head, "lecun", "identity", scale=START * HEAD_SCALE)
        self.apart = nn.Parameter(torch.empty(self.shape))  # added to the head's outputs, so that the head starts small
        self.spread_from(
            torch.special.ndtri(torch.tensor(levels, dtype=torch.float64)).repeat(self.shape[0], 1) * USUAL_ERROR
        )
        self.stretch: Tensor
        self.register_buffer("stretch", torch.ones(len(levels)))

    def begin(self, past: Tensor, bias: Tensor, beside: Tensor, errors: Tensor) -> None:
        """Starts at a linear forecast: weights (lags, ahead), bias (ahead,), weights (targets, covariates, ahead).

        `errors` are the quantiles of its errors in spreads, (ahead, levels).
        """
        with torch.no_grad():
            self.linear.weight.copy_(past.T)
            self.linear.bias.copy_(bias)
            if self.beside is not None:
                self.beside.weight.copy_(beside.transpose(1, 2).flatten(0, 1))
        self.spread_from(errors)

    def spread_from(self, quantiles: Tensor) -> None:
        """Starts the quantiles at these distances from the linear forecast, in spreads: (ahead, levels)."""
        apart = quantiles.diff(dim=1).clamp(min=NARROWEST).expm1().log()
        start = torch.cat([apart[:, : self.middle], quantiles[:, self.middle, None], apart[:, self.middle :]], 1)
        with torch.no_grad():
            self.apart.copy_(start.float())

    def forward(self, *inputs: Tensor) -> Tensor:
        """One tensor for each input, then lengths, which are not read -> (B, ahead, targets, levels), rising."""
        past, middle, spread, shared = self.history(*inputs)
        count, targets = past.shape[:2]
        forecast = self.linear(past)
        if self.beside is not None:
            forecast = forecast + self.beside(shared).unflatten(1, (targets, -1))
        static = [x for role, x in zip(self.history.roles, inputs, strict=False) if role == "static"]
        stems = [cast(Stem, next(chain.children())) for chain in self.static]
        fixed = [chain(*some) for chain, some in zip(self.static, arguments(stems, static), strict=True)]
        beside = torch.cat([shared, *fixed], 1)
        parts = [past, beside[:, None].expand(-1, targets, -1)]
        found = self.head(self.body(torch.cat(parts, 2).flatten(0, 1))).unflatten(1, self.shape) + self.apart
        outputs = self._quantiles(forecast.flatten(0, 1), found).unflatten(0, (count, targets))
        return (outputs * spread[..., None] + middle[..., None]).transpose(1, 2)

    def _quantiles(self, forecast: Tensor, found: Tensor) -> Tensor:
        """(N, ahead) and (N, ahead, levels) -> (N, ahead, levels)."""
        below, itself, above = found.tensor_split((self.middle, self.middle + 1), 2)
        lower = -F.softplus(below).flip(2).cumsum(2).flip(2)
        apart = torch.cat([lower, torch.zeros_like(itself), F.softplus(above).cumsum(2)], 2)
        return forecast[..., None] + itself + apart * self.stretch
