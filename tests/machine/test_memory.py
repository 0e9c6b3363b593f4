"""Freed memory is used again within, and goes back at the end; counted in page faults and pages, not in seconds."""

import resource
import sys
from pathlib import Path
from threading import Thread

import pytest
import torch

from netwright.machine.memory import _glibc, keep_pages

SIZE = 64 << 20  # bytes, twice of what glibc ever keeps by itself
SETTLED = 20  # tensors; glibc leaves some gaps that are a little too small before it finds one that fits
PAGES = SIZE // resource.getpagesize()

pytestmark = pytest.mark.skipif(sys.platform != "linux" or _glibc() is None, reason="glibc's allocator only")


def make() -> None:
    """Touches every page of a fresh tensor."""
    torch.ones(SIZE, dtype=torch.uint8)


def faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])


def test_a_tensor_takes_the_pages_of_the_one_before() -> None:
    with keep_pages():
        for _ in range(SETTLED):
            make()
        before = faults()
        for _ in range(SETTLED):
            make()
        assert faults() - before < PAGES / 10  # glibc's own way: SETTLED * PAGES


def test_pages_stay_until_the_outermost_context_ends() -> None:
    before = resident()
    with keep_pages():
        with keep_pages():
            make()
        assert resident() - before > 0.9 * PAGES
    assert resident() - before < 0.1 * PAGES


def test_other_threads_get_their_memory() -> None:
    sums: list[int] = []
    with keep_pages():
        thread = Thread(target=lambda: sums.append(int(torch.ones(2 * SIZE, dtype=torch.uint8).sum())))
        thread.start()
        thread.join()
    assert sums == [2 * SIZE]


def test_an_allocator_that_the_user_chose_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    _glibc.cache_clear()
    try:
        assert _glibc() is None
        with keep_pages():
            make()
    finally:
        monkeypatch.undo()
        _glibc.cache_clear()
        assert _glibc() is not None
