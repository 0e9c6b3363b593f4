"""Evaluating a network, with or without gradients, without changing it."""

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


@contextmanager
def differentiable(network: nn.Module) -> Generator[None]:
    """Evaluation mode with gradients; afterwards every module returns to its own mode.

    Recurrent layers of cuDNN have no gradient in evaluation mode, so that torch's own are used.
    """
    has_cells = any(isinstance(module, nn.RNNBase) for module in network.modules())
    with evaluating(network), torch.enable_grad():
        if has_cells and device_of(network).type == "cuda":
            with torch.backends.cudnn.flags(enabled=False):
                yield
        else:
            yield


def device_of(network: nn.Module) -> torch.device:
    """The network's device; the CPU if it has no parameters."""
    return next((p.device for p in network.parameters()), torch.device("cpu"))


def unwrapped(network: nn.Module) -> nn.Module:
    """The engineer's own module inside `torch.compile`, DataParallel or DistributedDataParallel, with its weights."""
    while True:
        if isinstance(network, nn.DataParallel | nn.parallel.DistributedDataParallel):
            network = network.module
        elif (inner := _before_compiling(network)) is not None:
            network = inner
        else:
            return network


def compiled(network: nn.Module) -> frozenset[nn.Module]:
    """The modules in parts that torch compiles: it would compile hooks on them too."""
    wrapped = (inner for module in network.modules() if (inner := _before_compiling(module)) is not None)
    in_place = (module for module in network.modules() if vars(module).get("_compiled_call_impl") is not None)
    return frozenset(module for part in (*wrapped, *in_place) for module in part.modules())


def _before_compiling(network: nn.Module) -> nn.Module | None:
    """What `torch.compile` was given, if this is what it returned."""
    return dict(network.named_children()).get("_orig_mod")
