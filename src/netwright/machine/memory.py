"""Keeps memory in the process between steps: asking the system for it again costs more than small layers."""

import ctypes
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import torch

# Of mallopt(3). glibc returns each freed tensor above 32 MB, and often smaller ones, to the system, and the system
# clears each page of the next one: a third of an LSTM's step, a seventh of a small GPT's.
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
KEEP = {MMAP_MAX: 0, TRIM_THRESHOLD: -1}
# What glibc itself settles on in a process that frees large tensors: mallopt cannot restore its adaptation.
GIVE_BACK = {MMAP_MAX: 65536, MMAP_THRESHOLD: 32 << 20, TRIM_THRESHOLD: 64 << 20}
OF_THE_USER = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")  # a user who sets these has chosen

_inside = 0  # open contexts, over all threads
_one_at_a_time = Lock()


@contextmanager
def keep_pages() -> Generator[None]:
    """Freed memory is reused within; at the end of the outermost context it returns to the system.

    Only with glibc, whose allocator it sets, and only if the user has not set it; otherwise it changes nothing.
    """
    global _inside
    library = _glibc()
    if library is None:
        yield
        return
    with _one_at_a_time:
        _inside += 1
        if _inside == 1:
            _set(library, KEEP)
    try:
        yield
    finally:
        with _one_at_a_time:
            _inside -= 1
            if _inside == 0:
                _set(library, GIVE_BACK)
                library.malloc_trim(0)


def _set(library: Any, values: dict[int, int]) -> None:  # Any: ctypes' functions
    for name, value in values.items():
        library.mallopt(name, value)


@cache
def _glibc() -> Any:  # Any: see `_set`
    if sys.platform != "linux" or any(name.startswith(OF_THE_USER) for name in os.environ):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt") else None


def peak_bytes(device: torch.device) -> int:
    """Peak memory so far: of the device, or of the process if the device is the CPU (0 on Windows)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB


def free_memory() -> int:
    """Bytes that this process can still take; all of the machine's if the system does not say."""
    with suppress(OSError, ValueError, AttributeError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    with suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return sys.maxsize
