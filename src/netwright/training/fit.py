"""From an untrained run to a trained one: epochs, evaluation, early stopping, checkpoints."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import islice
from math import ceil, isfinite, nan
from operator import add
from pathlib import Path
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from netwright.machine.fused import UpdateRule
from netwright.machine.interrupts import Ended, Interrupts, late_interrupts
from netwright.machine.memory import peak_bytes
from netwright.machine.randomness import epoch_seed, forked, mixed, reseed
from netwright.machine.threads import CHANGED, Watch, threads
from netwright.models.network import channels_last
from netwright.records.batch import Batch, Examples
from netwright.records.errors import DataError, NetwrightError
from netwright.records.history import Epoch, History, Progress
from netwright.records.run import Run
from netwright.records.task import Objective
from netwright.records.watched import Watched
from netwright.training import checkpoint
from netwright.training.average import Average
from netwright.training.check import check_network, check_precision, explained, not_finite
from netwright.training.checkpoint import Position
from netwright.training.epochs import LOWERED, chooses, ending, finished, is_watched
from netwright.training.evaluate import device_of, evaluate
from netwright.training.loop import Step, steps
from netwright.training.objective import build_objective
from netwright.training.optimizer import build_optimizer
from netwright.training.recorder import Recorder
from netwright.training.schedule import schedule
from netwright.training.weights import borrowed, named, put

SHOW_SECONDS = 0.1  # seconds between Progress records: reading a loss waits for the device; people read four a second
READ_STEPS = 100  # losses are read after at most this many steps: finds a NaN and bounds memory
SAVE_SHARE = 0.02  # share of the time for checkpoints at the ends of short epochs

Events = Generator[str | Progress | Epoch, None, Run]

Judge = Callable[[Watched], str]
"""What was seen so far -> why training should end now; empty to continue."""


def fit(
    run: Run,
    *,
    folder: Path | None = None,
    clock: Callable[[], float] = time.perf_counter,
    judge: Judge | None = None,
) -> Events:
    """Trains a copy of the run's network; yields events (text is for a person), and returns the trained run.

    `trained = yield from fit(run)`, or `for event in fit(run)` if you read the outcome from a folder.

    Keeps the weights with the best validation score on the task's metric (the earlier of equal ones, those before the
    first step if the task starts at a fit), or the last ones if the recipe says so or there is no validation part. With
    a folder, `resume.safetensors` and `history.jsonl` are kept there; if the folder has a checkpoint, training resumes
    from it, on a CPU with the same result bit for bit as if it had never stopped. The last checkpoint stays; whoever
    writes the weights removes it. Leaving the loop early, Ctrl-C, or a request of the system to end (SIGTERM, SIGHUP)
    saves a checkpoint.

    The judge is asked every READ_STEPS steps of the first epoch, then after epochs in which a multiple of READ_STEPS
    falls: after every short epoch it would cost more than a hundredth of the time. If it gives a reason, training ends
    as after a last epoch.

    Raises NetworkError for outputs that do not fit the task; RecipeError, DataError or NetworkError, by the cause, for
    a loss that is not finite; BudgetError if memory runs out; RunError if the folder cannot be written.
    An error during training holds what was seen so far: `error.watched`.
    """
    with threads(run.recipe.threads), late_interrupts() as interrupts:
        work, state = _begun(run, folder, clock)
        try:
            with forked():
                yield from _at_start(work, state, interrupts)
                while not state.position.ended:
                    yield from _one_epoch(work, state, judge, interrupts)
            return _result(work, state)
        except NetwrightError as error:
            error.watched = work.recorder.watched()
            raise
        finally:
            work.recorder.close()


def _at_start(work: "_Work", state: "_State", interrupts: Interrupts) -> Iterator[str]:
    """Keeps the weights that training starts at, if they are an answer already, until an epoch is better."""
    run, p = work.run, state.position
    if not run.task.starts_at_fit or not chooses(run) or p.step or p.best is not None:
        return
    with interrupts.at_once():
        value = _evaluated(work).get(run.task.metric, nan)
    if isfinite(value):
        state.position, state.best = replace(p, best=value), {name: t.clone() for name, t in work.weights.items()}
        yield f"before the first step {run.task.metric} is {value:.4f}"
    _go_on(work, state)


def _one_epoch(
    work: "_Work", state: "_State", judge: Judge | None, interrupts: Interrupts
) -> Iterator[str | Progress | Epoch]:
    """Trains to the end of the epoch. Yields and saves only between two steps."""
    try:
        for step in _steps(work, state):
            _take(work, state, step)
            if interrupts:
                _save(work, state)
                raise interrupts.exception()
            if work.clock() - state.shown >= SHOW_SECONDS:
                yield _progress(work, state)
                while state.news:
                    yield state.news.pop(0)
                _go_on(work, state)
            if work.folder is not None and work.clock() - state.saved >= work.run.recipe.checkpoint_seconds:
                _save(work, state)
            is_time = state.position.epoch == 1 and state.taken % READ_STEPS == 0 and state.taken < work.epoch_steps
            if is_time and _is_ended_by(judge, work, state):
                break
        try:
            _read(work, state)
            with interrupts.at_once():  # it changes nothing, and may take minutes
                valid = _evaluated(work)
        except (KeyboardInterrupt, Ended):
            _save(work, state)
            raise
        yield _end_epoch(work, state, judge, valid)
        _go_on(work, state)
    except GeneratorExit:  # the caller leaves its loop
        _save(work, state)
        raise
    if interrupts:
        _save(work, state)
        raise interrupts.exception()


@final
@dataclass(frozen=True)
class _Work:
    """The state of a training."""

    run: Run
    network: nn.Module  # a copy
    device: torch.device
    train: Examples
    objective: Objective
    optimizer: UpdateRule
    rates: Callable[[int], float]  # by step from 0, before the plateau schedule lowers them
    average: Average | None
    recorder: Recorder
    watch: Watch | None  # over threads
    folder: Path | None
    clock: Callable[[], float]

    @property
    def epoch_steps(self) -> int:
        """Optimizer steps of an epoch."""
        return ceil(ceil(len(self.run.train) / self.run.recipe.batch_size) / self.run.recipe.accumulate)

    @property
    def weights(self) -> dict[str, Tensor]:
        """The weights to evaluate and keep: the average if there is one."""
        return self.average.tensors if self.average else named(self.network)


@final
@dataclass
class _State:
    """Where training is; seconds are the clock's."""

    position: Position
    epochs: list[Epoch]
    best: dict[str, Tensor]  # weights; none before the first epoch has ended
    began: float
    began_at: int  # step
    shown: float
    saved: float
    marked: float  # time after it is training time
    saving: float = 0.0  # seconds of the last checkpoint
    unread: list[Step] = field(default_factory=list[Step])
    loss: float = 0.0  # mean over the rows read last
    verdict: str = ""  # the judge's
    news: list[str] = field(default_factory=list[str])  # for the caller

    @property
    def taken(self) -> int:
        """Steps of this epoch, including those with unread losses."""
        return self.position.taken + len(self.unread)


def _begun(run: Run, folder: Path | None, clock: Callable[[], float]) -> tuple[_Work, _State]:
    """Training at its start, or at the folder's checkpoint."""
    recipe = run.recipe
    if not len(run.train):
        raise DataError("there are no training rows", remedy="put some rows into the training part.")
    network = channels_last(deepcopy(run.network))
    device = device_of(network)
    first = next(run.train.batches(recipe.batch_size, seed=None)).to(device)
    check_network(network, run.task, first)
    check_precision(network, run.task, first, recipe)
    network.train()
    epoch_steps = ceil(ceil(len(run.train) / recipe.batch_size) / recipe.accumulate)
    half_life = recipe.average * epoch_steps
    rates = schedule(recipe, epoch_steps * recipe.epochs)
    objective = build_objective(run)
    optimizer = build_optimizer(network, recipe)
    average = Average(network, half_life) if half_life > 0 else None
    watch = Watch(clock) if recipe.adapt and device.type == "cpu" else None
    saved, epochs = checkpoint.Checkpoint(), ()
    if folder is not None:
        saved, epochs = checkpoint.resumed(folder, network, optimizer, average, has_best=chooses(run))
    recorder = Recorder(network, optimizer, before=saved.watched)
    best = {name: tensor.to(device) for name, tensor in saved.tensors["best"].items()}
    train = run.train.on(device)
    work = _Work(run, network, device, train, objective, optimizer, rates, average, recorder, watch, folder, clock)
    now = clock()
    return work, _State(saved.position, list(epochs), best, now, saved.position.step, now, now, now)


def _steps(work: _Work, state: _State) -> Iterator[Step]:
    """The remaining steps of this epoch."""
    recipe, first = work.run.recipe, state.position.step
    with explained(recipe, work.device):
        yield from steps(
            work.network,
            _batches(work, state.position),
            work.objective,
            work.optimizer,
            clip=recipe.clip,
            accumulate=recipe.accumulate,
            rates=lambda index: _rate(work, state, first + index),
        )


def _batches(work: _Work, position: Position) -> Iterator[Batch]:
    """The remaining batches of this epoch, on the device; each seeds the dropout of its step."""
    recipe = work.run.recipe
    seed, start = epoch_seed(recipe.seed, position.epoch), position.taken * recipe.accumulate
    for number, batch in enumerate(work.train.batches(recipe.batch_size, seed=seed, start=start), start):
        reseed(mixed(seed + number))
        yield batch.to(work.device)


def _rate(work: _Work, state: _State, step: int) -> float:
    """The learning rate of a step, from 0."""
    return work.rates(step) * LOWERED**state.position.lowered


def _take(work: _Work, state: _State, step: Step) -> None:
    """Records a step without waiting for the device."""
    if step.grad_norm is None and is_watched(work.run.recipe, state.taken):
        gradients = [p.grad for p in work.network.parameters() if p.grad is not None]
        step = replace(step, grad_norm=get_total_norm(gradients))
    state.unread.append(step)
    if work.average is not None:
        work.average.update(work.network, state.position.step + len(state.unread))
    if len(state.unread) >= READ_STEPS:
        _read(work, state)


def _read(work: _Work, state: _State) -> None:
    """Reads the losses since the last call; raises the error for the first that is not finite."""
    if not state.unread:
        return
    losses = torch.stack([step.losses.sum(dtype=torch.float64) for step in state.unread]).tolist()
    work.recorder.losses(loss / len(step.rows) for loss, step in zip(losses, state.unread, strict=True))
    known = {index: step.grad_norm for index, step in enumerate(state.unread) if step.grad_norm is not None}
    norms = torch.stack(list(known.values())).tolist() if known else []
    numbers = (*enumerate(losses), *zip(known, norms, strict=True))
    if bad := [index for index, number in numbers if not isfinite(number)]:
        raise _not_finite(work, state, min(bad))
    p, now = state.position, work.clock()
    rows = sum(len(step.rows) for step in state.unread)
    state.position = replace(
        p,
        taken=p.taken + len(state.unread),
        step=p.step + len(state.unread),
        # Added one by one, so the total does not depend on when they are read (`sum` compensates since Python 3.12).
        loss_sum=reduce(add, losses, p.loss_sum),
        norm_sum=reduce(add, norms, p.norm_sum),
        rows=p.rows + rows,
        training_seconds=p.training_seconds + now - state.marked,
        seconds=p.seconds + now - state.marked,
    )
    state.loss = sum(losses) / rows
    state.marked = now
    state.unread.clear()
    if work.watch is not None and (text := work.watch.tick(rows)):
        state.news.append(text)


def _not_finite(work: _Work, state: _State, index: int) -> NetwrightError:
    """The error for one of the unread steps."""
    run, recipe, p, step = work.run, work.run.recipe, state.position, state.unread[index]
    seed, start = epoch_seed(recipe.seed, p.epoch), (p.taken + index) * recipe.accumulate
    batches = islice(run.train.batches(recipe.batch_size, seed=seed, start=start), recipe.accumulate)
    number, last = p.step + index + 1, work.epoch_steps * recipe.epochs
    where = f"step {number:,} of {last:,} (epoch {p.epoch}, learning rate {step.lr:.3g})"
    return not_finite(run, step, batches, number=number, where=where)


def _progress(work: _Work, state: _State) -> Progress:
    """Where training is now; waits for the device."""
    _read(work, state)
    p, now, last = state.position, work.clock(), work.epoch_steps * work.run.recipe.epochs
    state.shown = now
    return Progress(
        epoch=p.epoch,
        epochs=work.run.recipe.epochs,
        step=p.step,
        steps=last,
        loss=state.loss,
        lr=_rate(work, state, p.step - 1),
        rows_per_second=p.rows / max(p.training_seconds, 1e-9),
        seconds_left=(now - state.began) / (p.step - state.began_at) * (last - p.step),
    )


def _go_on(work: _Work, state: _State) -> None:
    """Restarts the clocks: the time since they stopped is not training."""
    state.marked = work.clock()
    if work.watch is not None:
        work.watch.go_on()


def _save(work: _Work, state: _State) -> None:
    """Writes a checkpoint, if there is a folder."""
    _read(work, state)
    if work.folder is None:
        return
    began = work.clock()
    average = work.average.tensors if work.average else {}
    groups = {"network": named(work.network), "average": average, "best": state.best}
    checkpoint.save(work.folder, state.position, groups, work.optimizer, work.recorder.watched())
    _go_on(work, state)
    state.saved = state.marked
    state.saving = state.saved - began


def _end_epoch(work: _Work, state: _State, judge: Judge | None, valid: dict[str, float]) -> Epoch:
    """Keeps the best weights, decides whether to stop, and records all of it; `valid` are the validation scores."""
    now, p = work.clock(), state.position
    p = replace(p, seconds=p.seconds + now - state.marked)
    lr = _rate(work, state, p.step - 1)
    epoch, state.position = finished(p, work.run, valid, lr, peak_bytes(work.device))
    state.marked = now
    state.epochs.append(epoch)
    if epoch.is_best and chooses(work.run):
        state.best = {name: tensor.clone() for name, tensor in work.weights.items()}
    is_time = p.step // READ_STEPS > (p.step - p.taken) // READ_STEPS or p.epoch == 1
    if not state.position.ended and is_time and _is_ended_by(judge, work, state):
        state.position = replace(state.position, ended=state.verdict)
    if work.folder is not None:
        checkpoint.append_epoch(work.folder, epoch)
        if state.position.ended or now - state.saved >= state.saving / SAVE_SHARE:
            _save(work, state)
    return epoch


def _is_ended_by(judge: Judge | None, work: _Work, state: _State) -> bool:
    if judge is not None and not state.verdict:
        _read(work, state)
        state.verdict = judge(work.recorder.watched())
    return bool(state.verdict)


def _evaluated(work: _Work) -> dict[str, float]:
    """Scores of the validation part."""
    run = work.run
    if not len(run.valid):
        return {}
    averaged = borrowed(work.network, work.weights) if work.average else nullcontext()
    with averaged, explained(run.recipe, work.device):
        return evaluate(work.network, run.task, run.valid, run.recipe).quick()


def _result(work: _Work, state: _State) -> Run:
    """The run with the kept weights."""
    put(work.network, state.best or work.weights)
    history = History(tuple(state.epochs), ending(state.position, work.run))
    notes = (*work.run.notes, CHANGED) if work.watch is not None and work.watch.changed else work.run.notes
    return replace(
        work.run,
        network=work.network.eval(),
        history=history,
        watched=work.recorder.watched(),
        folder=work.folder or work.run.folder,
        notes=notes,
    )
