"""Which arithmetic is fastest on this device: measured by real training steps on a copy of the network."""

import time
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from hashlib import blake2b
from importlib.metadata import version
from itertools import product, repeat
from math import inf
from pathlib import Path
from typing import final

import torch

from netwright.machine.device import is_slow_in_bf16
from netwright.machine.kernels import calls_them
from netwright.machine.measure import PLAIN, ROUNDS, Choice, Measured, fastest, processor, recall, remember
from netwright.machine.quiet import without_warnings
from netwright.machine.randomness import forked
from netwright.machine.threads import threads
from netwright.models.network import channels_last
from netwright.records.batch import Batch
from netwright.records.run import Run
from netwright.records.task import Objective
from netwright.training.evaluate import device_of
from netwright.training.loop import steps
from netwright.training.objective import build_objective
from netwright.training.optimizer import build_optimizer

SLOW = 0.06  # seconds: a slower step is measured on part of its batch, so that measuring takes seconds
LEAST_ROWS = 16  # rows of that part: fewer say nothing about a batch
QUIET = 0.85  # share of the time with a core while measuring; from here on the outcome is worth remembering
TRY_COMPILING = {"cpu": 600.0, "cuda": 60.0}  # seconds of training; compiling takes 20 to 60 on a CPU
WORTH_COMPILING = 0.95  # of the time without it, compiling included: the gain must be more than chance
NO_USE = ("fp32", "own")  # our kernels are for bf16


def measured(
    run: Run,
    *,
    memory: Path | None = None,
    clock: Callable[[], float] = time.perf_counter,
    worked: Callable[[], float] = time.thread_time,  # seconds for which this thread had a core
) -> Measured:
    """The fastest arithmetic for training this run; settings other than "auto" (or 0) stay.

    Runs a few steps of a copy of the network on a batch of training rows with each choice, in turn. The file `memory`
    remembers the outcome by device, torch, network and batch, so that training started again computes the same; unless
    other programs disturbed the measurement, or the file cannot be written. Network and random state stay unchanged.
    """
    recipe, device = run.recipe, device_of(run.network)
    batch = next(run.train.batches(recipe.batch_size, seed=0)).to(device)
    most = torch.get_num_threads() if device.type == "cpu" else 0
    key = _key(run, batch, most)
    if memory is not None and (known := recall(memory).get(key)) is not None:
        return known
    began, work = clock(), worked()
    with forked():
        found = _measure(run, batch, most, clock)
    is_quiet = device.type != "cpu" or worked() - work >= QUIET * (clock() - began)
    kept = remember(memory, key, found) if memory is not None and is_quiet else None
    return replace(found, is_kept=False) if kept is None else kept


def _measure(run: Run, batch: Batch, most: int, clock: Callable[[], float]) -> Measured:
    recipe = run.recipe
    precisions = (recipe.precision,)
    if recipe.precision == "auto":  # without bf16 instructions this trial would take longest
        precisions = ("fp32",) if is_slow_in_bf16(device_of(run.network), clock) else ("fp32", "bf16")
    trial = _Trial(run, batch, clock)
    count = recipe.threads or most
    kernels = (recipe.kernels,)
    if recipe.kernels == "auto":
        has_own = "bf16" in precisions and calls_them(lambda: trial.steps((*PLAIN, count)))
        kernels = ("torch", "own") if has_own else ("torch",)
    pairs = product(precisions, kernels)
    choices = [pair for pair in pairs if pair != NO_USE or recipe.kernels == "own"]  # asked for: then also in fp32
    choice, seconds, gain = fastest(trial.steps, choices, count, may_use_one=not recipe.threads)
    if seconds == inf:  # the training's first step says why
        return Measured(*choice, "never", gain)
    compiled = recipe.compile if recipe.compile != "auto" else "never"
    if recipe.compile == "auto" and (share := trial.compiled(choice, seconds)) < 1:
        compiled, gain = "always", gain / share
    return Measured(*choice, compiled, gain)


@final
class _Trial:
    """Steps of a copy of the network in one arithmetic or another."""

    def __init__(self, run: Run, batch: Batch, clock: Callable[[], float]) -> None:
        self._run, self._clock = run, clock
        self._network = channels_last(deepcopy(run.network)).train()
        self._optimizer = build_optimizer(self._network, run.recipe)
        self._objectives: dict[tuple[str, str, str], Objective] = {}
        self._batch = batch.head(LEAST_ROWS)
        self.steps((*PLAIN, 0))  # the first step warms up
        if SLOW < self.steps((*PLAIN, 0)) < inf:
            return
        self._batch = batch
        if SLOW < (seconds := self.steps((*PLAIN, 0))) < inf:
            self._batch = batch.head(max(LEAST_ROWS, int(len(batch) * SLOW / seconds)))

    def compiled(self, choice: Choice, seconds: float) -> float:
        """A compiled step's share of the seconds; 1 if compiling does not pay off in this training.

        It is tried if the whole training takes TRY_COMPILING. Without a compiler on the machine torch raises.
        """
        run = self._run
        ahead = len(run.train) * run.recipe.epochs / len(self._batch)  # steps
        if ahead * seconds < TRY_COMPILING[device_of(run.network).type]:
            return 1.0
        with without_warnings():  # about compilers and what torch leaves uncompiled
            making = self.steps(choice, compiled="always")
            after = min(self.steps(choice, compiled="always") for _ in range(ROUNDS))
        return after / seconds if making + after * ahead < WORTH_COMPILING * seconds * ahead else 1.0

    def steps(self, choice: Choice, count: int = 1, *, compiled: str = "never") -> float:
        """The seconds of a step; infinite if torch cannot do it so, or finds no compiler.

        This hides no error: a failing arithmetic is not chosen, and what fails in all of them also fails in the first
        training step, which says why.
        """
        precision, kernels, count_of_threads = choice
        objective = self._objective(precision, kernels, compiled)
        with threads(count_of_threads), suppress(RuntimeError, NotImplementedError, TypeError):
            began = self._clock()
            for step in steps(self._network, repeat(self._batch, count), objective, self._optimizer):
                step.losses.sum().item()  # waits for the device
            return (self._clock() - began) / count
        return inf

    def _objective(self, precision: str, kernels: str, compiled: str) -> Objective:
        """Made once: a compiled network must be kept to be reused."""
        changes = {"precision": precision, "kernels": kernels, "compile": compiled}
        key = (precision, kernels, compiled)
        if key not in self._objectives:
            self._objectives[key] = build_objective(replace(self._run, recipe=self._run.recipe.edit(changes)))
        return self._objectives[key]


def _key(run: Run, batch: Batch, most: int) -> str:
    """What the outcome depends on: device, torch, threads, network, loss, optimizer, and batch shapes."""
    recipe, device = run.recipe, device_of(run.network)
    parts = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        torch.__version__, version("netwright"), most,
        str(run.network), run.task.name, recipe.optimizer, recipe.precision, recipe.kernels, recipe.threads,
        recipe.compile, recipe.epochs, len(run.train), *recipe.defense,
        [(tuple(x.shape), str(x.dtype)) for x in batch.inputs],
    )  # fmt: skip
    return blake2b(repr(parts).encode(), digest_size=16).hexdigest()
