"""Transformer for text and long series."""

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.models.activations import activation
from netwright.models.dropout import Dropout
from netwright.models.forms import require_form
from netwright.models.inits import initialize
from netwright.models.normalizations import normalization
from netwright.models.sequences import Chain, EachStep, valid_steps
from netwright.records.recipe import Recipe
from netwright.records.schema import Signal

HEAD_WIDTH = 32  # features of a head: the narrowest that attends well in small networks
WIDENING = 4  # ratio of hidden units of the feed-forward part to the width, as in Vaswani et al. 2017
WAVELENGTHS = 10000.0  # the base of rotary positions (Su et al. 2021, arXiv:2104.09864, section 3.2.2)


def transformer(signal: Signal, recipe: Recipe) -> tuple[nn.Module, Signal]:
    """`depth` blocks of self-attention and feed-forward with `width` features; every step sees all others.

    Normalization before each part (Xiong et al. 2020, arXiv:2002.04745; RMS unless the recipe says otherwise), rotary
    positions, and the last layer of each part scaled by 1 / sqrt(2 depth) (Radford et al. 2019).
    """
    return _transformer(signal, recipe, causal=False)


def causal_transformer(signal: Signal, recipe: Recipe) -> tuple[nn.Module, Signal]:
    """A transformer in which a step sees itself and the steps before it."""
    return _transformer(signal, recipe, causal=True)


def _transformer(signal: Signal, recipe: Recipe, *, causal: bool) -> tuple[nn.Module, Signal]:
    require_form("transformer", signal, "sequence")
    width = _even_heads(recipe.width)
    after = Signal("sequence", width, signal.size)
    name = "rms" if recipe.normalization == "auto" else recipe.normalization
    enter = nn.Linear(signal.width, width)
    initialize(enter, recipe.init, "identity")
    scale = (2 * recipe.depth) ** -0.5
    layers: list[nn.Module] = [EachStep(enter), EachStep(Dropout(recipe.dropout))]
    for _ in range(recipe.depth):
        attend = Attention(width, max(1, width // HEAD_WIDTH), causal=causal, scale=scale)
        layers.append(_Residual(normalization(name, after), attend, recipe.dropout))
        layers.append(
            _Residual(normalization(name, after), EachStep(_feed_forward(width, recipe, scale)), recipe.dropout)
        )
    return Chain(*layers, normalization(name, after)), after


def _feed_forward(width: int, recipe: Recipe, scale: float) -> nn.Module:
    rise, fall = nn.Linear(width, WIDENING * width), nn.Linear(WIDENING * width, width)
    initialize(rise, recipe.init, recipe.activation)
    initialize(fall, recipe.init, "identity", scale=scale)
    return nn.Sequential(rise, activation(recipe.activation), fall)


def _even_heads(width: int) -> int:
    """The width, raised until it divides into heads of even width."""
    heads = max(1, width // HEAD_WIDTH)
    return -(-width // (2 * heads)) * 2 * heads


@final
class _Residual(nn.Module):
    def __init__(self, norm: nn.Module, body: nn.Module, dropout: float) -> None:
        super().__init__()
        self.norm = norm
        self.body = body
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return x + self.dropout(self.body(*self.norm(x, lengths))[0]), lengths


@final
class Attention(nn.Module):
    """Multi-head self-attention with rotary positions over the valid steps; width must be a multiple of 2 x heads."""

    def __init__(self, width: int, heads: int, *, causal: bool = False, scale: float = 1.0) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.mix = nn.Linear(width, 3 * width, bias=False)
        self.leave = nn.Linear(width, width)
        initialize(self.mix, "lecun", "identity")
        initialize(self.leave, "lecun", "identity", scale=scale)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, width) and lengths, unchanged."""
        queries, keys, values = self.mix(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        queries, keys = _rotated(queries), _rotated(keys)
        # Padding is on the right: a causal step never sees it.
        mask = None if self.causal else valid_steps(x, lengths).mT[:, None]
        mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, is_causal=self.causal)
        return self.leave(mixed.transpose(1, 2).flatten(2)), lengths


def _rotated(x: Tensor) -> Tensor:
    """Rotates each pair of features by an angle that grows with the step: x is (B, heads, T, width of a head)."""
    half = x.shape[-1] // 2
    rate = WAVELENGTHS ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = torch.arange(x.shape[-2], device=x.device, dtype=torch.float32)[:, None] * rate
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)
