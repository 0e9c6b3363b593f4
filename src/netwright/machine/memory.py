"""Memory that stays the process's own between steps: asking the system for it again costs more than small layers."""

import ctypes
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

import torch

# Of mallopt(3). glibc gives each tensor above 32 MB, and often smaller ones, back to the system when it is freed, and
# the system clears each page of the next one: a third of a step of an LSTM, a seventh of one of a small GPT.
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
KEEP = {MMAP_MAX: 0, TRIM_THRESHOLD: -1}
# What glibc comes to by itself in a process that frees large tensors: mallopt cannot bring its adapting back.
GIVE_BACK = {MMAP_MAX: 65536, MMAP_THRESHOLD: 32 << 20, TRIM_THRESHOLD: 64 << 20}
OF_THE_USER = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")  # whoever sets these has chosen

_inside = 0  # contexts that are open, of all threads
_one_at_a_time = Lock()


@contextmanager
def keep_pages() -> Generator[None]:
    """Freed memory is used again within; at the end of the outermost context the system gets it back.

    Only with glibc, whose allocator it sets, and not where its settings are a user's own; else it changes nothing.
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
    """The most memory used so far: of the device, or of the process where the device is the CPU (0 on Windows)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB
