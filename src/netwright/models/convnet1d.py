"""Residual convolutions along short sequences and series."""

from typing import final

from torch import Tensor, nn

from netwright.models.activations import activation
from netwright.models.dropout import Dropout
from netwright.models.forms import require_form
from netwright.models.inits import initialize
from netwright.models.normalizations import normalization
from netwright.models.sequences import Chain, Conv, EachStep, PoolSteps
from netwright.records.recipe import Recipe
from netwright.records.schema import Signal

KERNEL = 5  # steps that a convolution sees
LONG = 256  # steps: the first convolution's stride thins longer sequences
LAST_STEPS = 16  # steps: a sequence is halved between blocks until it is about this short


def convnet1d(signal: Signal, recipe: Recipe) -> tuple[nn.Module, Signal]:
    """`depth` residual blocks of two convolutions, `width` channels; the sequence is halved between blocks."""
    require_form("convnet1d", signal, "sequence")
    stride = -(-signal.size[0] // LONG)
    steps = -(-signal.size[0] // stride)
    enter = _conv(signal.width, recipe, kernel=max(KERNEL, 2 * stride + 1), stride=stride)
    layers: list[nn.Module] = [enter, *_after(recipe)]
    for block in range(recipe.depth):
        if block and steps > LAST_STEPS:
            layers.append(PoolSteps(2))
            steps = -(-steps // 2)
        layers.append(_Residual(recipe, dilation=1))
    return Chain(*layers), Signal("sequence", recipe.width, (steps,))


def full_length(signal: Signal, recipe: Recipe) -> tuple[nn.Module, Signal]:
    """The same blocks with an answer for each step: instead of halving, each block sees twice as far as the last."""
    require_form("convnet1d", signal, "sequence")
    layers: list[nn.Module] = [_conv(signal.width, recipe), *_after(recipe)]
    for block in range(recipe.depth):
        dilation = 2**block if 2**block * KERNEL <= max(signal.size[0], KERNEL) else 1
        layers.append(_Residual(recipe, dilation=dilation))
    return Chain(*layers), Signal("sequence", recipe.width, signal.size)


@final
class _Residual(nn.Module):
    def __init__(self, recipe: Recipe, *, dilation: int) -> None:
        super().__init__()
        first, second = (_conv(recipe.width, recipe, dilation=dilation) for _ in range(2))
        self.body = Chain(first, *_after(recipe), EachStep(Dropout(recipe.dropout)), second, *_after(recipe))

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return x + self.body(x, lengths)[0], lengths


def _conv(width: int, recipe: Recipe, *, kernel: int = KERNEL, stride: int = 1, dilation: int = 1) -> Conv:
    layer = Conv(width, recipe.width, kernel, stride=stride, dilation=dilation, bias=recipe.normalization == "none")
    initialize(layer.conv, recipe.init, recipe.activation)
    return layer


def _after(recipe: Recipe) -> tuple[nn.Module, nn.Module]:
    """Normalization and activation."""
    name = "batch" if recipe.normalization == "auto" else recipe.normalization
    return normalization(name, Signal("sequence", recipe.width)), EachStep(activation(recipe.activation))
