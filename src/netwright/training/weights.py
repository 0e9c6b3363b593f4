"""The tensors of a network by name: copied, restored, swapped for an evaluation."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor, nn


def named(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and saved buffers by qualified name, each once: tied weights go by their first name.

    These are the network's own tensors, not copies. Constants, which `state_dict` leaves out, are left out.
    """
    saved = network.state_dict().keys()
    tensors = chain(network.named_parameters(), network.named_buffers())
    return {name: tensor.detach() for name, tensor in tensors if name in saved}


def copied(network: nn.Module) -> dict[str, Tensor]:
    """Copies of the named tensors, with their memory layout."""
    return {name: tensor.clone() for name, tensor in named(network).items()}


def put(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Writes tensors into the network; names and shapes must be the network's own (`misfit`)."""
    with torch.no_grad():
        for name, tensor in named(network).items():
            tensor.copy_(tensors[name])


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Their shapes by name."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def misfit(network: nn.Module, saved: Mapping[str, tuple[int, ...]]) -> str:
    """The first difference in names or shapes between the network and saved tensors; empty if none."""
    own = named(network)
    if missing := own.keys() - saved.keys():
        return f"the file has no {min(missing)!r}"
    if unknown := saved.keys() - own.keys():
        return f"the network has no {min(unknown)!r}"
    wrong = (name for name in own if own[name].shape != saved[name])
    name = next(wrong, None)
    return (
        ""
        if name is None
        else (f"{name!r} has shape {saved[name]} in the file and {tuple(own[name].shape)} in the network")
    )


@contextmanager
def borrowed(network: nn.Module, tensors: Mapping[str, Tensor]) -> Generator[None]:
    """The network with other weights; its own return at the end."""
    own = copied(network)
    try:
        put(network, tensors)
        yield
    finally:
        put(network, own)
