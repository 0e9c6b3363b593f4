"""Residual convolutional network for images of 8x8 to 224x224 and any number of channels."""

from itertools import pairwise
from math import log2
from typing import final

from torch import Tensor, nn
from torch.nn import functional as F

from netwright.models.activations import activation
from netwright.models.forms import require_form
from netwright.models.inits import initialize
from netwright.models.normalizations import normalization
from netwright.records.recipe import Recipe
from netwright.records.schema import Signal

LARGE = 64  # pixels a side: from this size the first convolution is a patchify that reduces the side below it
LAST_SIDE = 4.5  # approximate pixels a side of the last map: 28 after three halvings; many channels cost little there
WIDEST = 8  # the last stages are at most this many times as wide as the first


def convnet(signal: Signal, recipe: Recipe) -> tuple[nn.Module, Signal]:
    """Stages of `width`, 2 x `width`, 4 x `width`, ... channels, each with half the side of the one before.

    `depth` residual blocks of two 3x3 convolutions (He et al. 2015, arXiv:1512.03385) are distributed to the stages
    from the last, where they cost least, to the first. Pooling comes before normalization and activation: the shapes
    are the same, for a quarter of the memory traffic. Returns the last map.
    """
    require_form("convnet", signal, "map")
    network = _ConvNet(signal, recipe)
    return network, network.signals[-1]


def pyramid(signal: Signal, recipe: Recipe) -> tuple[nn.Module, Signal]:
    """The convnet with a path back up: a map of `width` channels at the input's full resolution.

    Each stage's map goes through a 1x1 convolution and is added to the upsampled map of the stage below
    (Lin et al. 2016, arXiv:1612.03144).
    """
    require_form("convnet", signal, "map")
    network = _Pyramid(signal, recipe)
    return network, Signal("map", recipe.width, signal.size)


@final
class _ConvNet(nn.Module):
    def __init__(self, signal: Signal, recipe: Recipe) -> None:
        super().__init__()
        patch = _patch(min(signal.size))
        signals = [Signal("map", recipe.width, _shrunk(signal.size, patch))]
        for _ in range(_halvings(min(signals[0].size))):
            last = signals[-1]
            signals.append(Signal("map", min(2 * last.width, WIDEST * recipe.width), _shrunk(last.size, 2)))
        blocks = _dealt(recipe.depth, len(signals))
        stem = _conv(signal.width, recipe.width, recipe, kernel=max(3, patch), stride=patch)
        stages = [nn.Sequential(stem, *_after(signals[0], recipe))]
        for before, after in pairwise(signals):
            # ceil: an odd side keeps its last row and column
            pool = nn.MaxPool2d(2, ceil_mode=True)
            stages.append(nn.Sequential(_conv(before.width, after.width, recipe), pool, *_after(after, recipe)))
        for stage, after, count in zip(stages, signals, blocks, strict=True):
            stage.extend(_Residual(after, recipe) for _ in range(count))
        self.stages = nn.Sequential(*stages)
        self.signals = signals

    def forward(self, x: Tensor) -> Tensor:
        """The last stage's map."""
        return self.stages(x)


@final
class _Residual(nn.Module):
    def __init__(self, signal: Signal, recipe: Recipe) -> None:
        super().__init__()
        self.first = nn.Sequential(_conv(signal.width, signal.width, recipe), *_after(signal, recipe))
        self.second = nn.Sequential(_conv(signal.width, signal.width, recipe), *_after(signal, recipe))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x))


@final
class _Pyramid(nn.Module):
    def __init__(self, signal: Signal, recipe: Recipe) -> None:
        super().__init__()
        self.down = _ConvNet(signal, recipe)
        self.across = nn.ModuleList(_conv(stage.width, recipe.width, recipe, kernel=1) for stage in self.down.signals)
        flat = Signal("map", recipe.width, signal.size)
        self.smooth = nn.Sequential(_conv(recipe.width, recipe.width, recipe), *_after(flat, recipe))

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) of the input's H and W."""
        size = x.shape[-2:]
        maps = [x := stage(x) for stage in self.down.stages]
        total = self.across[-1](maps[-1])
        for across, finer in zip(reversed(self.across[:-1]), reversed(maps[:-1]), strict=True):
            total = across(finer) + F.interpolate(total, size=finer.shape[-2:], mode="nearest")
        if total.shape[-2:] != size:  # after a patchify stem the maps are smaller than the input
            total = F.interpolate(total, size=size, mode="bilinear", align_corners=False)
        return self.smooth(total)


def _conv(width: int, out: int, recipe: Recipe, *, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    padding = kernel // 2 if kernel % 2 else 0
    conv = nn.Conv2d(width, out, kernel, stride, padding, bias=recipe.normalization == "none")
    initialize(conv, recipe.init, recipe.activation)
    return conv


def _after(signal: Signal, recipe: Recipe) -> list[nn.Module]:
    """Normalization and activation."""
    name = "batch" if recipe.normalization == "auto" else recipe.normalization
    return [normalization(name, signal), activation(recipe.activation)]


def _patch(side: int) -> int:
    patch = 1
    while side / patch >= LARGE:
        patch *= 2
    return patch


def _halvings(side: int) -> int:
    return max(1, round(log2(side / LAST_SIDE))) if side > 2 else 0


def _shrunk(size: tuple[int, ...], by: int) -> tuple[int, ...]:
    return tuple(-(-n // by) for n in size)


def _dealt(count: int, stages: int) -> list[int]:
    """The number of blocks of each stage: dealt one by one from the last stage back to the first, then again."""
    return [(count + stage) // stages for stage in range(stages)]
