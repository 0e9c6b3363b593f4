"""LSTM and GRU, in one direction or both, that never see padding."""

from typing import final

import torch
from torch import Tensor, nn

from netwright.models.dropout import Dropout
from netwright.models.forms import require_form
from netwright.models.normalizations import normalization
from netwright.models.sequences import Chain, EachStep
from netwright.records.recipe import Recipe
from netwright.records.schema import Signal


def lstm(signal: Signal, recipe: Recipe) -> tuple[nn.Module, Signal]:
    """`depth` LSTM layers of `width` units (Hochreiter and Schmidhuber 1997, with forget gates)."""
    return _recurrent("lstm", signal, recipe, nn.LSTM, both_ways=False)


def bilstm(signal: Signal, recipe: Recipe) -> tuple[nn.Module, Signal]:
    """LSTM layers of `width` units in each direction: 2 x `width` in all."""
    return _recurrent("bilstm", signal, recipe, nn.LSTM, both_ways=True)


def gru(signal: Signal, recipe: Recipe) -> tuple[nn.Module, Signal]:
    """`depth` GRU layers of `width` units (Cho et al. 2014, arXiv:1406.1078)."""
    return _recurrent("gru", signal, recipe, nn.GRU, both_ways=False)


def bigru(signal: Signal, recipe: Recipe) -> tuple[nn.Module, Signal]:
    """GRU layers of `width` units in each direction: 2 x `width` in all."""
    return _recurrent("bigru", signal, recipe, nn.GRU, both_ways=True)


def initialize(layer: nn.RNNBase | nn.RNNCellBase) -> None:
    """Initial weights: orthogonal recurrent ones (Saxe et al. 2013) and, in an LSTM, open forget gates."""
    units = layer.hidden_size
    for name, parameter in layer.named_parameters():
        values = parameter.detach()
        if name.startswith("weight_hh"):
            for gate in values.split(units):
                nn.init.orthogonal_(gate)
        elif values.ndim > 1:
            nn.init.normal_(values, std=values.shape[1] ** -0.5)
        else:
            nn.init.zeros_(values)
            if isinstance(layer, nn.LSTM | nn.LSTMCell) and name.startswith("bias_ih"):
                # torch's order: input, forget, cell, output. Jozefowicz et al. 2015: a forget bias of 1.
                nn.init.ones_(values[units : 2 * units])


def _recurrent(
    name: str, signal: Signal, recipe: Recipe, cell: type[nn.LSTM] | type[nn.GRU], *, both_ways: bool
) -> tuple[nn.Module, Signal]:
    require_form(name, signal, "sequence")
    norm = "layer" if recipe.normalization == "auto" else recipe.normalization
    layers: list[nn.Module] = []
    for _ in range(recipe.depth):
        layer = Recurrent(signal.width, recipe.width, cell, both_ways=both_ways)
        signal = Signal("sequence", layer.width, signal.size)
        layers += [layer, normalization(norm, signal), EachStep(Dropout(recipe.dropout))]
    return Chain(*layers), signal


@final
class Recurrent(nn.Module):
    """One recurrent layer: (B, T, width) and lengths in, (B, T, units) or (B, T, 2 x units) and lengths out.

    Equals packing by length, in half the time on a CPU (64 rows of 100 steps, 128 units: 90 ms instead of 215). Padding
    is on the right, so the forward direction sees it after all valid steps; for the backward direction each row is
    reversed within its own length.
    """

    def __init__(self, inputs: int, units: int, cell: type[nn.LSTM] | type[nn.GRU], *, both_ways: bool = False) -> None:
        super().__init__()
        self.forwards = _cell(inputs, units, cell)
        self.backwards = _cell(inputs, units, cell) if both_ways else None
        self.width = units * (2 if both_ways else 1)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The state after each step."""
        ahead = self.forwards(x)[0]
        if self.backwards is None:
            return ahead, lengths
        back = _turned(self.backwards(_turned(x, lengths))[0], lengths)
        return torch.cat([ahead, back], dim=2), lengths


def _cell(inputs: int, units: int, cell: type[nn.LSTM] | type[nn.GRU]) -> nn.LSTM | nn.GRU:
    layer = cell(inputs, units, batch_first=True)
    initialize(layer)
    return layer


def _turned(x: Tensor, lengths: Tensor) -> Tensor:
    """Each row in reverse order within its length; padding stays in place."""
    step = torch.arange(x.shape[1], device=x.device)
    last = lengths[:, None] - 1
    order = torch.where(step <= last, last - step, step)
    return x.gather(1, order[..., None].expand_as(x))
