"""torch's own generators, which belong to the whole process: what is drawn within leaves them as they were."""

from collections.abc import Generator
from contextlib import contextmanager

import torch


@contextmanager
def forked() -> Generator[None]:
    """At the end torch's generators, of the CPU and of all GPUs, stand where they stood."""
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(gpus):
        yield


def reseed(seed: int) -> None:
    """Within `forked`: what is drawn from here on depends on the seed alone.

    A step of a small network cannot afford torch.manual_seed, which also writes a stack trace for each kind of device.
    """
    for generator in (torch.default_generator, *(torch.cuda.default_generators if torch.cuda.is_initialized() else ())):
        generator.manual_seed(seed)


@contextmanager
def seeded(seed: int) -> Generator[None]:
    """`forked`, and what is drawn within depends on the seed alone."""
    with forked():
        torch.manual_seed(seed)
        yield
