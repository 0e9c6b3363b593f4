"""Outputs of networks, checked and brought into one form."""

from typing import NoReturn

from torch import Tensor

from netwright.records.batch import Batch, Outputs
from netwright.records.errors import NetworkError


def check_outputs(outputs: Outputs, batch: Batch, width: int, task: str) -> Tensor:
    """Outputs (B, width), or (B, members, width) in training with members, as float32.

    Raises NetworkError for any other shape.
    """
    if (
        isinstance(outputs, Tensor)
        and outputs.ndim in (2, 3)
        and (len(outputs), outputs.shape[-1]) == (len(batch), width)
    ):
        return outputs.float()
    fail_shape(outputs, (len(batch), width), task)


def check_answers(outputs: Outputs, batch: Batch, width: int, task: str) -> Tensor:
    """Outputs (B, width) as float32, the mean over members if there are several."""
    checked = check_outputs(outputs, batch, width, task)
    return checked if checked.ndim == 2 else checked.mean(1)


def mean_over_members(outputs: Outputs) -> Outputs:
    """(B, members, width) as (B, width)."""
    return outputs.mean(1) if isinstance(outputs, Tensor) and outputs.ndim == 3 else outputs


def fail_shape(outputs: object, expected: tuple[int, ...], task: str) -> NoReturn:
    """Raises the NetworkError for outputs of the wrong shape; -1 in `expected` means any size."""
    got = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
    text = ", ".join("any" if n < 0 else str(n) for n in expected)
    raise NetworkError(
        f"the network returned {got}, but {task} needs ({text})", remedy=f"give the network outputs of shape ({text})."
    )
