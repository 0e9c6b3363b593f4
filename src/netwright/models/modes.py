"""Evaluating a network without changing it."""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def evaluating(network: nn.Module) -> Generator[None]:
    """Evaluation mode without gradients; afterwards every module returns to its own mode.

    Not `torch.inference_mode`: a module that keeps a tensor made here (a mask, a table of positions) could not train
    with it later.
    """
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def device_of(network: nn.Module) -> torch.device:
    """The network's device; the CPU if it has no parameters."""
    return next((p.device for p in network.parameters()), torch.device("cpu"))
