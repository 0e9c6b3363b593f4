"""The device to train on, prepared for arithmetic."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

import torch

from netwright.machine.memory import keep_pages
from netwright.machine.threads import threads
from netwright.records.errors import RecipeError
from netwright.records.recipe import Recipe

SIZE, PRODUCTS = 256, 8  # size of the products that show whether bf16 pays off: a millisecond each
SLOW = 0.05  # seconds of a product; if the first takes longer, no second one is needed
DENORMAL = 1e-40  # below float32's smallest normal number


def device(name: str) -> torch.device:
    """The device of a recipe's `device` setting; "auto" is the GPU if there is one.

    Raises RecipeError if it asks for a GPU and there is none.
    """
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise RecipeError("device is cuda, but torch finds no GPU", remedy="set device=cpu, or install a CUDA torch.")
    return torch.device("cuda", 0) if has_gpu and name != "cpu" else torch.device("cpu")


def suited(recipe: Recipe, on: torch.device, clock: Callable[[], float] = time.perf_counter) -> tuple[Recipe, str]:
    """The recipe to compute with on this device, and a note if it differs from the training's.

    A network trained in bf16 answers in bf16, as it was scored. A CPU without bf16 instructions takes up to a hundred
    times as long and gets fp32, which differs in the third digit.
    """
    if recipe.precision != "bf16" or not is_slow_in_bf16(on, clock):
        return recipe, ""
    told = "the network was trained in bf16, which is slow on this CPU: computing in fp32"
    return recipe.edit({"precision": "fp32"}), told


def is_slow_in_bf16(on: torch.device, clock: Callable[[], float] = time.perf_counter) -> bool:
    """Whether this is a CPU whose products take longer in bf16 than in fp32; takes .2 s at most."""
    return on.type == "cpu" and _rate(torch.bfloat16, clock) < _rate(torch.float32, clock)


def _rate(dtype: torch.dtype, clock: Callable[[], float]) -> float:
    """Matrix products per second, the best of a few; the first warms up and is enough if it is slow."""
    matrix, best = torch.ones(SIZE, SIZE, dtype=dtype), float("inf")
    for _ in range(PRODUCTS):
        began = clock()
        torch.mm(matrix, matrix)
        best = min(best, clock() - began)
        if best > SLOW:
            break
    return 1 / max(best, 1e-9)


@contextmanager
def prepare_device(count: int = 0) -> Generator[None]:
    """Sets up arithmetic for training, with `count` threads (0: as many as now); restores everything at the end.

    Numbers below the smallest normal one count as 0: weights that decay into them make products 200 times slower.
    """
    was_flushing = (torch.tensor([DENORMAL]) * 0.5).item() == 0
    torch.set_flush_denormal(True)
    try:
        with threads(count), keep_pages():
            yield
    finally:
        torch.set_flush_denormal(was_flushing)
