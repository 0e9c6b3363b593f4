"""Nonlinearities by name, and how much each shrinks a signal."""

from functools import cache
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.models import ACTIVATIONS
from netwright.resolve import resolve

REACH = 8.0  # standard deviations of the integral below; less than 1e-14 of a normal distribution is beyond


def activation(name: str) -> nn.Module:
    """A module for a key of ACTIVATIONS or an import path. Elementwise, except softmax (over the features)."""
    return resolve("activation", name, ACTIVATIONS)()


@cache
def gain(name: str) -> float:
    """The factor on weights that preserves the size of a signal: 1 / sqrt(E[f(z)^2]) for z ~ N(0, 1).

    sqrt(2) for relu, as in He et al. 2015 (arXiv:1502.01852), and 1 for selu (Klambauer et al. 2017, arXiv:1706.02515);
    the same integral serves every other activation. 1 for softmax, whose size depends on the number of features.
    """
    if name == "softmax":
        return 1.0
    z = torch.linspace(-REACH, REACH, 4001, dtype=torch.float64)
    density = torch.softmax(-(z**2) / 2, 0)
    with torch.no_grad():
        second_moment = float((activation(name).double()(z) ** 2 * density).sum())
    return second_moment**-0.5


@final
class Softmax(nn.Module):
    """Shares over the features: channels of a map, the last dimension of everything else."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape; sums to 1 over the features."""
        return F.softmax(x, dim=1 if x.ndim == 4 else -1)
