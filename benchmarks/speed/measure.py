"""Cases timed in turn, ratios between them, and Markdown tables."""

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from statistics import median

from benchmarks.machine import machine, processor

Cases = Mapping[str, Callable[[], object]]


def keep_to(cores: int) -> None:
    """Keeps this process and those that it starts to so many cores, where the system can (not on macOS)."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def in_turn(cases: Cases, rounds: int, clock: Callable[[], float] = time.perf_counter) -> dict[str, list[float]]:
    """Seconds of each case in each round. Every other round goes backwards: what drifts falls on all cases alike."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds):
        for name in list(cases)[:: -1 if number % 2 else 1]:
            began = clock()
            cases[name]()
            seconds[name].append(clock() - began)
    return seconds


def ratios(times: Sequence[float], base: Sequence[float]) -> list[float]:
    """Round by round: how many times as long as the base."""
    return [a / b for a, b in zip(times, base, strict=True)]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """`1.80 [1.71-1.93]`: the median, the least and the most."""
    middle, low, high = (f"{value:.{digits}f}" for value in (median(values), min(values), max(values)))
    return f"{middle} [{low}-{high}]"


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    names = list(head)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def conditions(threads: int, packages: Iterable[str]) -> str:
    """The line below a table: machine, versions, other load, day."""
    load = f"load average {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else "load not known"
    return f"{machine(processor(threads), packages)}; {load}; {date.today()}."
