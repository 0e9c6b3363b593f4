"""What a network gave, checked at the border and brought into one form."""

from typing import NoReturn

import torch
from torch import Tensor, nn

from netwright.records.batch import Batch
from netwright.records.errors import NetworkError


def infer(network: nn.Module, batch: Batch) -> Tensor:
    """The network's outputs in evaluation mode and without gradients; every module's mode is restored."""
    training = [module for module in network.modules() if module.training]
    for module in training:
        module.training = False
    try:
        with torch.no_grad():  # inference mode would leave a module tensors that cannot train
            return network(*batch.inputs)
    finally:
        for module in training:
            module.training = True


def check_outputs(outputs: object, batch: Batch, width: int, task: str) -> Tensor:
    """Outputs (B, width), or (B, members, width) while members train, as float32.

    Raises NetworkError where the shape is another.
    """
    if (
        isinstance(outputs, Tensor)
        and outputs.ndim in (2, 3)
        and (len(outputs), outputs.shape[-1]) == (len(batch), width)
    ):
        return outputs.float()
    fail_shape(outputs, (len(batch), width), task)


def check_answers(outputs: object, batch: Batch, width: int, task: str) -> Tensor:
    """Outputs (B, width) as float32, the mean over members where there are several."""
    checked = check_outputs(outputs, batch, width, task)
    return checked if checked.ndim == 2 else checked.mean(1)


def fail_shape(outputs: object, expected: tuple[int, ...], task: str) -> NoReturn:
    """Raises the NetworkError for outputs of the wrong shape; `expected` may hold -1 for any size."""
    got = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
    wanted = tuple("any" if n < 0 else n for n in expected)
    text = ", ".join(str(n) for n in wanted)
    raise NetworkError(
        f"the network gave {got} where {task} takes ({text})", remedy=f"give the network outputs of shape ({text})."
    )
