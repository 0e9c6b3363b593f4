"""The device to train on and the arithmetic that pays there, found by a short measurement."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor

from netwright.records.errors import RecipeError

SIZES = {"cpu": 512, "cuda": 4096}  # rows of the matrices: large enough that a device is busy, and not with starting
SECONDS = 0.02  # of measuring each precision
SLOW = 0.1  # seconds: a first product above it, start-up included, is measured enough
WORTH = 1.5  # bf16 has to be so many times as fast: casts take a part of it back, and 8 bits of mantissa cost something
DENORMAL = 1e-40  # below float32's smallest normal number


def device(name: str) -> torch.device:
    """The device of a recipe's `device` setting; "auto" is the GPU where there is one.

    Raises RecipeError where it asks for a GPU and there is none.
    """
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise RecipeError("device is cuda, but torch finds no GPU", remedy="set device=cpu, or install a CUDA torch.")
    return torch.device("cuda", 0) if has_gpu and name != "cpu" else torch.device("cpu")


def precision(on: torch.device, clock: Callable[[], float] = time.perf_counter) -> tuple[Literal["fp32", "bf16"], str]:
    """The arithmetic for training on a device, and a sentence that says why."""
    full, half = (_rate(on, dtype, clock) for dtype in (torch.float32, torch.bfloat16))
    facts = f"matrix products run {half / full:.2g} times as fast in bf16 as in fp32 on this {_called(on)}"
    return ("bf16", facts) if half >= WORTH * full else ("fp32", facts)


@contextmanager
def prepare_device() -> Generator[None]:
    """Arithmetic as it should be for training; what was set before comes back at the end.

    Numbers below the smallest normal one count as 0: weights that decay into them make products 200 times slower.
    """
    was_flushing = (torch.tensor([DENORMAL]) * 0.5).item() == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(was_flushing)


def _rate(on: torch.device, dtype: torch.dtype, clock: Callable[[], float]) -> float:
    """Matrix products a second; the first warms the device up."""
    matrix = torch.ones(SIZES[on.type], SIZES[on.type], device=on, dtype=dtype)
    began = clock()
    _finish(matrix @ matrix)
    if (seconds := clock() - began) > SLOW:
        return 1 / seconds
    count, began = 0, clock()
    while clock() - began < SECONDS:
        _finish(matrix @ matrix)
        count += 1
    return count / (clock() - began)


def _finish(product: Tensor) -> None:
    """Waits for the device."""
    product[0, 0].item()


def _called(on: torch.device) -> str:
    return "GPU" if on.type == "cuda" else "CPU"
