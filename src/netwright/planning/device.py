"""The device to train on, prepared for arithmetic."""

from collections.abc import Generator
from contextlib import contextmanager

import torch

from netwright.records.errors import RecipeError
from netwright.training.threads import threads

DENORMAL = 1e-40  # below float32's smallest normal number


def device(name: str) -> torch.device:
    """The device of a recipe's `device` setting; "auto" is the GPU where there is one.

    Raises RecipeError where it asks for a GPU and there is none.
    """
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise RecipeError("device is cuda, but torch finds no GPU", remedy="set device=cpu, or install a CUDA torch.")
    return torch.device("cuda", 0) if has_gpu and name != "cpu" else torch.device("cpu")


@contextmanager
def prepare_device(count: int = 0) -> Generator[None]:
    """Arithmetic as it should be for training, with `count` threads (0: as many as now); all comes back at the end.

    Numbers below the smallest normal one count as 0: weights that decay into them make products 200 times slower.
    """
    was_flushing = (torch.tensor([DENORMAL]) * 0.5).item() == 0
    torch.set_flush_denormal(True)
    try:
        with threads(count):
            yield
    finally:
        torch.set_flush_denormal(was_flushing)
