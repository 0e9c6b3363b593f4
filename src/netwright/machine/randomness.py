"""Seeds, and torch's own generators, which belong to the whole process and are restored."""

from collections.abc import Generator
from contextlib import contextmanager

import torch

GOLDEN = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: neighboring numbers get seeds far apart


@contextmanager
def forked() -> Generator[None]:
    """Restores torch's generators, of the CPU and all GPUs, at the end."""
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(gpus):
        yield


def reseed(seed: int) -> None:
    """Within `forked`: random numbers from here on depend on the seed alone.

    torch.manual_seed is too slow for a step of a small network: it also records a stack trace per kind of device.
    """
    for generator in (torch.default_generator, *(torch.cuda.default_generators if torch.cuda.is_initialized() else ())):
        generator.manual_seed(seed)


@contextmanager
def seeded(seed: int) -> Generator[None]:
    """`forked`; random numbers within depend on the seed alone."""
    with forked():
        torch.manual_seed(seed)
        yield


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed for order, augmentation and dropout of an epoch (from 1). Pure; 0 to 2^63 - 1."""
    return mixed(mixed(seed) + epoch)


def mixed(number: int) -> int:
    """A number from 0 to 2^63 - 1 that looks random. Steele, Lea and Flood 2014, splitmix64."""
    bits = (number + 1) * GOLDEN & (1 << 64) - 1
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & (1 << 64) - 1
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB & (1 << 64) - 1
    return (bits ^ bits >> 31) >> 1
