"""Which arithmetic is fastest: steps are timed with each choice, in turn, and the outcome is remembered."""

import json
import platform
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import inf, prod
from pathlib import Path
from typing import final

import torch
from pydantic import TypeAdapter, ValidationError

from netwright.files import lock_file, replace_text
from netwright.machine.threads import MAY_DIFFER
from netwright.records.errors import RunError

ROUNDS = 3  # the fastest of this many counts: other programs can only slow a step down
SECONDS = 0.02  # seconds of steps in a round, at least one step
MOST_STEPS = 50
LONG = 0.1  # seconds of the fastest step; from here on one round is enough: other programs average out within a step
HANDICAP = {"bf16": 1.2, "own": 1.05}  # the gain must be larger: bf16 costs mantissa, our kernels are less proven
FEWER = 0.95  # share of the speed of all threads at which one thread is preferred: the other cores stay free
PLAIN = ("fp32", "torch")
REMEMBERED = 500  # outcomes kept; the oldest go first

AGAIN = (
    f"not remembered, so {MAY_DIFFER} choose otherwise and give weights that differ in the last digits; to keep this: "
    "--set precision={precision} --set kernels={kernels} --set compile={compile} --set threads={threads}"
)

Choice = tuple[str, str, int]
"""Precision, kernels, threads (0: as many as now)."""

Steps = Callable[[Choice, int], float]
"""(choice, number of steps) -> seconds per step; infinite if torch cannot do it."""


@final
@dataclass(frozen=True)
class Measured:
    """Measured settings, and the speedup of steps over fp32 with torch's kernels."""

    precision: str
    kernels: str
    threads: int  # 0 on a GPU
    compile: str  # "always" or "never"
    gain: float
    is_kept: bool = True  # so that the next training does not measure again, and gets the same

    def __str__(self) -> str:
        """`bf16, own kernels, 1 thread: 2.6 times as fast as fp32`."""
        parts = [self.precision, "own kernels" if self.kernels == "own" else ""]
        parts += ["compiled" if self.compile == "always" else ""]
        parts += [f"{self.threads} thread{'s' if self.threads > 1 else ''}" if self.threads else ""]
        told = ", ".join(part for part in parts if part)
        told = told if self.gain < 1.05 else f"{told}: {self.gain:.1f} times as fast as plain fp32"
        return told if self.is_kept else f"{told}; {AGAIN.format(**asdict(self))}"


def fastest(
    steps: Steps, choices: Sequence[tuple[str, str]], count: int, *, may_use_one: bool
) -> tuple[Choice, float, float]:
    """The fastest of some precisions and kernels on `count` threads, or on one; its seconds, and its gain over PLAIN.

    If PLAIN fails, nothing was measured: it is the choice, with infinite seconds.
    """
    taken = seconds_of(steps, [(p, k, count) for p, k in dict.fromkeys((PLAIN, *choices))])
    if taken[*PLAIN, count] == inf:
        return (*PLAIN, count), inf, 1.0
    chosen = min(choices, key=lambda choice: taken[*choice, count] * prod(HANDICAP.get(word, 1.0) for word in choice))
    gain = taken[*PLAIN, count] / taken[*chosen, count]
    if count > 1 and may_use_one:
        taken |= seconds_of(steps, [(*chosen, 1), (*chosen, count)])
        count = 1 if taken[*chosen, 1] * FEWER <= taken[*chosen, count] else count
    return (*chosen, count), taken[*chosen, count], gain


def seconds_of(steps: Steps, choices: Sequence[Choice]) -> dict[Choice, float]:
    """Seconds per step for each choice: the fastest of ROUNDS, taking turns."""
    firsts = {choice: max(steps(choice, 1), 1e-6) for choice in choices}  # the first step warms up
    best = dict.fromkeys(choices, inf)
    for _ in range(ROUNDS if min(firsts.values()) < LONG else 1):
        for choice in choices:
            count = max(1, min(MOST_STEPS, int(SECONDS / min(firsts[choice], best[choice]))))  # inf gives one
            best[choice] = min(best[choice], steps(choice, count))
    return best


def processor() -> str:
    """The system's name for its processor, and torch's capability on it."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text(encoding="utf-8", errors="replace").splitlines() if about.exists() else []
    named = [line for line in lines if line.startswith(("model name", "flags"))]
    return (
        "\n".join(named[:2]) or f"{platform.machine()} {platform.processor()} {torch.backends.cpu.get_cpu_capability()}"
    )


def recall(memory: Path) -> dict[str, Measured]:
    """The remembered outcomes; empty if the file is missing or not ours, which means measuring again."""
    try:
        return TypeAdapter(dict[str, Measured]).validate_json(memory.read_bytes())
    except (OSError, ValidationError):
        return {}


def remember(memory: Path, key: str, found: Measured) -> Measured | None:
    """Adds an outcome to the file. Returns what it holds from now on: what another process measured first stays.

    None if the file cannot be written; the next training then measures again.
    """
    with suppress(OSError, RunError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        with memory.with_suffix(".lock").open("a") as lock:
            with suppress(OSError):  # a file system without locks: at worst an outcome is lost
                lock_file(lock, alone=True, waits=True)
            known = recall(memory)
            known.setdefault(key, found)
            newest = dict(list(known.items())[-REMEMBERED:])
            replace_text(memory, json.dumps({name: asdict(record) for name, record in newest.items()}))
            return known[key]
    return None
