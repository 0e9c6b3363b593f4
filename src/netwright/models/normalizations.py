"""Normalizations by name, for each form of signal."""

from typing import final

import torch
from torch import Tensor, nn

from netwright.models import NORMALIZATIONS
from netwright.models.sequences import EachStep, valid_steps
from netwright.records.schema import Signal
from netwright.resolve import resolve

EPSILON = torch.finfo(torch.float32).eps  # of RMS norm; torch's default is the input type's, 0.008 in bfloat16
GROUP_WIDTH = 16  # channels in a group, the best in Wu and He 2018 (arXiv:1803.08494, table 3)


def normalization(name: str, signal: Signal) -> nn.Module:
    """A module that keeps the signal's shape, for a key of NORMALIZATIONS or an import path."""
    return resolve("normalization", name, NORMALIZATIONS)(signal)


def none(signal: Signal) -> nn.Module:
    """No normalization."""
    return EachStep(nn.Identity()) if signal.form == "sequence" else nn.Identity()


def batch(signal: Signal) -> nn.Module:
    """Over the batch, for each feature (Ioffe and Szegedy 2015, arXiv:1502.03167); padding steps are left out."""
    kinds = {"vector": nn.BatchNorm1d, "map": nn.BatchNorm2d, "sequence": SequenceBatchNorm}
    return kinds[signal.form](signal.width)


def layer(signal: Signal) -> nn.Module:
    """Over the features of each example (Ba et al. 2016, arXiv:1607.06450), of each step, or of a whole map."""
    if signal.form == "map":
        return nn.GroupNorm(1, signal.width)
    return _each(nn.LayerNorm(signal.width), signal)


def group(signal: Signal, groups: int | None = None) -> nn.Module:
    """Over groups of features (Wu and He 2018, arXiv:1803.08494), for each step of a sequence."""
    most = max(1, signal.width // GROUP_WIDTH)
    groups = groups or next(count for count in range(most, 0, -1) if signal.width % count == 0)
    norm = nn.GroupNorm(groups, signal.width)
    return FlatSteps(norm) if signal.form == "sequence" else norm


def rms(signal: Signal) -> nn.Module:
    """By the root mean square of the features (Zhang and Sennrich 2019, arXiv:1910.07467), for each step or pixel."""
    if signal.form == "map":
        return ChannelRMSNorm(signal.width)
    return _each(RMSNorm(signal.width), signal)


def _each(module: nn.Module, signal: Signal) -> nn.Module:
    return EachStep(module) if signal.form == "sequence" else module


@final
class RMSNorm(nn.Module):
    """torch's RMS norm with its weight in the input's precision: its fused kernel needs that for bfloat16."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., width), the same shape."""
        return nn.functional.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), EPSILON)


@final
class ChannelRMSNorm(nn.Module):
    """RMS norm over the channels of a map, at each pixel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = RMSNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W), without a copy if the map is channels_last."""
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


@final
class FlatSteps(nn.Module):
    """A module for vectors, applied to each step as if it were an example."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, width) and lengths, unchanged."""
        return self.module(x.flatten(0, 1)).unflatten(0, x.shape[:2]), lengths


@final
class SequenceBatchNorm(nn.Module):
    """Batch norm over the valid steps of all rows, so the amount of padding changes nothing."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))
        self.momentum = momentum
        self.eps = eps

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, width) and lengths, unchanged."""
        mean, var = self._moments(x, lengths) if self.training else (self.running_mean, self.running_var)
        scale = self.weight * (var + self.eps).rsqrt()
        return torch.addcmul(self.bias - mean * scale, x, scale), lengths

    def _moments(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance over valid steps; updates the running ones."""
        share = valid_steps(x, lengths) / lengths.sum()
        mean = (x * share).sum((0, 1))
        var = ((x - mean) ** 2 * share).sum((0, 1))
        with torch.no_grad():
            count = lengths.sum()
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * (count / (count - 1).clamp(min=1)), self.momentum)
        return mean, var
