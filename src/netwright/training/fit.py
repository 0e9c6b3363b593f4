"""From an untrained run to a trained one: epochs, evaluation, early stopping, checkpoints."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import replace
from functools import reduce
from itertools import islice
from math import ceil, isfinite
from operator import add
from pathlib import Path
from typing import final

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from netwright.files import unwritable
from netwright.machine.interrupts import late_interrupts
from netwright.machine.memory import peak_bytes
from netwright.machine.randomness import forked, reseed
from netwright.machine.threads import Watch, threads
from netwright.models.network import channels_last
from netwright.records.batch import Batch
from netwright.records.errors import BudgetError, DataError, NetwrightError, RecipeError, RunError
from netwright.records.history import Epoch, History, Progress
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.records.task import Task
from netwright.records.watched import Watched
from netwright.training import checkpoint
from netwright.training.average import Average
from netwright.training.check import check_network, check_precision, not_finite
from netwright.training.checkpoint import Position
from netwright.training.evaluate import device_of, evaluate
from netwright.training.loop import Step, steps
from netwright.training.objective import build_objective
from netwright.training.optimizer import build_optimizer
from netwright.training.recorder import Recorder
from netwright.training.schedule import schedule
from netwright.training.weights import borrowed, misfit, named, put

SHOW_SECONDS = 0.1  # between two Progress records: reading a loss waits for the device; people read four a second
READ_STEPS = 100  # losses are read at the latest after so many steps: a NaN is found, and memory stays bounded
GRADIENTS_EVERY = 10  # steps; where nothing is clipped the length of all gradients is noted only so often
SAVE_SHARE = 0.02  # of the time may go into checkpoints at the ends of short epochs
LOWERED = 0.3  # what the plateau schedule multiplies the rate with
PLATEAU_EPOCHS = 5  # without a better score before it does; half the patience where that is shorter
GOLDEN = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: neighbouring numbers get seeds far apart
NO_MEMORY = "can't allocate memory"  # in the RuntimeError of torch's CPU allocator
ONE_ROW = "Expected more than 1 value per channel"  # in the ValueError of torch's batch norm

Events = Generator[str | Progress | Epoch, None, Run]

Judge = Callable[[Watched], str]
"""What was seen so far -> why training should end now, or nothing."""


def fit(
    run: Run,
    *,
    folder: Path | None = None,
    clock: Callable[[], float] = time.perf_counter,
    judge: Judge | None = None,
) -> Events:
    """Trains a copy of the run's network; yields what happens (text is for a person), and returns the trained run.

    `trained = yield from fit(run)`, or `for event in fit(run)` where the outcome is read from a folder.

    The kept weights are those with the best validation score on the task's metric (the earlier where two are equal), or
    the last ones where the recipe says so or there is no validation part. With a folder, `resume.safetensors` and
    `history.jsonl` are kept there; where the folder has a checkpoint, training goes on from it, on a CPU with the same
    result bit for bit as if it had never stopped. The last checkpoint stays: whoever has written the weights removes
    it. Leaving the loop early, or Ctrl-C, saves a checkpoint.

    The judge is asked every READ_STEPS steps of the first epoch, and behind each epoch that has a multiple of them: in
    short epochs it would cost more than a hundredth of the time. Where it gives a reason, training
    ends with it, as after a last epoch.

    Raises NetworkError for outputs that do not fit the task; RecipeError, DataError or NetworkError, by the cause, for
    a loss that is not finite; BudgetError where memory does not suffice; RunError where the folder cannot be written.
    An error in the midst of training holds what was seen of it: `error.watched`.
    """
    with threads(run.recipe.threads), late_interrupts() as is_interrupted:
        training = _Training(run, folder, clock, judge)
        try:
            with forked():
                while not training.position.ended:
                    yield from _one_epoch(training, is_interrupted)
            return training.result()
        except NetwrightError as error:
            error.watched = training.recorder.watched()
            raise
        finally:
            training.recorder.close()


def epoch_seed(seed: int, epoch: int) -> int:
    """What decides order, augmentation and dropout of an epoch (from 1). Pure; 0 to 2^63 - 1."""
    return mixed(mixed(seed) + epoch)


def mixed(number: int) -> int:
    """A number from 0 to 2^63 - 1 that looks random. Steele, Lea and Flood 2014, splitmix64."""
    bits = (number + 1) * GOLDEN & (1 << 64) - 1
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & (1 << 64) - 1
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB & (1 << 64) - 1
    return (bits ^ bits >> 31) >> 1


def is_watched(recipe: Recipe, taken: int) -> bool:
    """Whether the gradient's length is noted in this step of an epoch, from 0."""
    return recipe.clip > 0 or taken % GRADIENTS_EVERY == 0


def watched(recipe: Recipe, steps: int) -> int:
    """In how many of the first steps of an epoch it is."""
    return sum(is_watched(recipe, taken) for taken in range(steps))


def chooses(run: Run) -> bool:
    """Whether the validation part decides which weights are kept."""
    return len(run.valid) > 0 and run.recipe.keep == "best"


def improves(value: float | None, best: float | None, task: Task) -> bool:
    """Whether a score is strictly better than the best so far; one that is no number never is."""
    if value is None or not isfinite(value):
        return False
    return best is None or (value > best if task.higher_is_better else value < best)


def written_down(
    p: Position, run: Run, valid: dict[str, float], lr: float, memory_bytes: int, *, is_better: bool
) -> Epoch:
    """The record of an epoch whose steps are all taken and whose validation part is scored."""
    return Epoch(
        epoch=p.epoch,
        step=p.step,
        train_loss=p.loss_sum / p.rows,
        valid=valid,
        lr=lr,
        grad_norm=p.norm_sum / watched(run.recipe, p.taken),
        seconds=p.seconds,
        rows_per_second=p.rows / max(p.training_seconds, 1e-9),
        memory_bytes=memory_bytes,
        is_best=is_better if chooses(run) else p.epoch == run.recipe.epochs,
    )


def following(p: Position, run: Run, value: float | None, *, is_better: bool) -> Position:
    """The start of the next epoch, or the end. `value` is the watched score, `is_better` what it did."""
    recipe, patience = run.recipe, run.recipe.patience
    after = Position(
        epoch=p.epoch + 1,
        step=p.step,
        best=value if is_better else p.best,
        best_epoch=p.epoch if is_better else p.best_epoch,
        lowered=p.lowered,
        lowered_epoch=p.lowered_epoch,
    )
    without = p.epoch - after.best_epoch if len(run.valid) else 0
    if p.epoch >= recipe.epochs:
        return replace(after, ended=f"all {recipe.epochs} epochs done")
    if patience and without >= patience:
        return replace(after, ended=f"no better for {patience} epochs")
    wait = min(PLATEAU_EPOCHS, max(1, patience // 2)) if patience else PLATEAU_EPOCHS
    if recipe.schedule == "plateau" and min(without, p.epoch - p.lowered_epoch) >= wait:
        return replace(after, lowered=p.lowered + 1, lowered_epoch=p.epoch)
    return after


def ending(p: Position, run: Run) -> str:
    """Why training ended, and which weights are kept where it is not those of the best epoch."""
    if not len(run.valid):
        return f"{p.ended}; there is no validation part, so the last weights are kept"
    if chooses(run) and not p.best_epoch:
        return f"{p.ended}; {run.task.metric} was never a number on the validation part, so the last weights are kept"
    return p.ended


def _one_epoch(training: "_Training", is_interrupted: Callable[[], bool]) -> Iterator[str | Progress | Epoch]:
    """One epoch from where it stands to its end. All yields and saves stand between two steps."""
    t = training
    try:
        for step in t.steps():
            t.take(step)
            if is_interrupted():
                t.save()
                raise KeyboardInterrupt
            if t.is_time_to_show():
                yield t.progress()
                yield from t.news()
                t.go_on()
            if t.is_time_to_save():
                t.save()
            if t.is_judged():
                break
        yield t.end_epoch()
        t.go_on()
    except GeneratorExit:  # the caller leaves its loop
        t.save()
        raise
    if is_interrupted():
        t.save()
        raise KeyboardInterrupt


@final
class _Training:
    """The state of a training; what a checkpoint holds and what follows from the run."""

    def __init__(self, run: Run, folder: Path | None, clock: Callable[[], float], judge: Judge | None) -> None:
        if not len(run.train):
            raise DataError("there are no training rows", remedy="give the training part some rows.")
        self.run, self.recipe, self.folder, self.clock = run, run.recipe, folder, clock
        self.network = channels_last(deepcopy(run.network))
        self.device = device_of(self.network)
        self.batch_size = self.recipe.batch_size
        self.epoch_steps = ceil(ceil(len(run.train) / self.batch_size) / self.recipe.accumulate)
        self.all_steps = self.epoch_steps * self.recipe.epochs
        first = next(run.train.batches(self.batch_size, seed=None)).to(self.device)
        check_network(self.network, run.task, first)
        check_precision(self.network, self.run.task, first, self.recipe)
        self.network.train()
        self.schedule = schedule(self.recipe, self.all_steps)
        self.objective = build_objective(run.task, self.recipe)
        self.optimizer = build_optimizer(self.network, self.recipe)
        self.train = run.train.on(self.device)
        half_life = self.recipe.average * self.epoch_steps
        self.average = Average(self.network, half_life) if half_life > 0 else None
        self.best: dict[str, Tensor] = {}  # none before the first epoch has ended
        self.position = Position()
        self.epochs: list[Epoch] = []
        self.unread: list[Step] = []
        self.judge, self.verdict = judge, ""
        self.watch = Watch(clock) if self.recipe.adapt and self.device.type == "cpu" else None
        self.told: list[str] = []  # what the caller was not told yet
        self.loss = 0.0  # mean over the rows read last
        self.saving = 0.0  # seconds that the last checkpoint took
        before = Watched() if folder is None else self._open(folder)
        self.recorder = Recorder(self.network, self.optimizer, before=before)
        self.began = self.saved = self.shown = self.marked = clock()
        self.began_at = self.position.step

    def _open(self, folder: Path) -> Watched:
        """Goes on from the folder's checkpoint where there is one; gives what was seen until then."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(folder, error) from None
        if (saved := checkpoint.load(folder)) is not None:
            has = {
                "network": True,
                "average": self.average is not None,
                "best": self.chooses and saved.position.best_epoch > 0,
            }
            for group in (name for name, there in has.items() if there):
                if problem := misfit(self.network, saved.tensors[group]):
                    raise RunError(
                        f"the checkpoint in {folder} is of another network: {problem}",
                        remedy="give the command and the settings that this run was started with.",
                    )
            put(self.network, saved.tensors["network"])
            self.best = {name: t.to(self.device) for name, t in saved.tensors["best"].items()}
            if self.average is not None:
                self.average.load(saved.tensors["average"])
            checkpoint.restore_optimizer(self.optimizer, saved)
            self.position = saved.position
            self.epochs = list(checkpoint.read_history(folder, self.position.epoch - 1))
        checkpoint.cut_history(folder, self.epochs)
        return Watched() if saved is None else saved.watched

    def steps(self) -> Iterator[Step]:
        """The steps that are left of this epoch."""
        first = self.position.step
        with _explained(self.recipe, self.device):
            yield from steps(
                self.network,
                self._batches(self.position.taken * self.recipe.accumulate),
                self.objective,
                self.optimizer,
                clip=self.recipe.clip,
                accumulate=self.recipe.accumulate,
                rates=lambda index: self.rate(first + index),
            )

    def _batches(self, start: int) -> Iterator[Batch]:
        """The epoch's batches from one of them on, on the device; each decides the dropout that follows it."""
        seed = epoch_seed(self.recipe.seed, self.position.epoch)
        for number, batch in enumerate(self.train.batches(self.batch_size, seed=seed, start=start), start):
            reseed(mixed(seed + number))
            yield batch.to(self.device)

    def rate(self, step: int) -> float:
        """The learning rate of a step, from 0."""
        return self.schedule(step) * LOWERED**self.position.lowered

    def take(self, step: Step) -> None:
        """Takes note of a step without waiting for the device."""
        if step.grad_norm is None and is_watched(self.recipe, self.position.taken + len(self.unread)):
            gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
            step = replace(step, grad_norm=get_total_norm(gradients))
        self.unread.append(step)
        if self.average is not None:
            self.average.update(self.network, self.position.step + len(self.unread))
        if len(self.unread) >= READ_STEPS:
            self.read()

    def read(self) -> None:
        """Reads the losses since the last time; raises the error for the first that is no number."""
        if not self.unread:
            return
        losses = torch.stack([step.losses.sum(dtype=torch.float64) for step in self.unread]).tolist()
        self.recorder.losses(loss / len(step.rows) for loss, step in zip(losses, self.unread, strict=True))
        known = [step.grad_norm for step in self.unread if step.grad_norm is not None]
        norms = torch.stack(known).tolist() if known else []
        measured = iter(norms)
        for index, (loss, step) in enumerate(zip(losses, self.unread, strict=True)):
            norm = 0.0 if step.grad_norm is None else next(measured)
            if not (isfinite(loss) and isfinite(norm)):
                raise self._not_finite(index)
        p, now = self.position, self.clock()
        rows = sum(len(step.rows) for step in self.unread)
        self.position = replace(
            p,
            taken=p.taken + len(self.unread),
            step=p.step + len(self.unread),
            # Added one by one, so that nothing depends on when they are read (`sum` compensates from Python 3.12 on).
            loss_sum=reduce(add, losses, p.loss_sum),
            norm_sum=reduce(add, norms, p.norm_sum),
            rows=p.rows + rows,
            training_seconds=p.training_seconds + now - self.marked,
            seconds=p.seconds + now - self.marked,
        )
        self.loss = sum(losses) / rows
        self.marked = now
        self.unread.clear()
        if self.watch is not None and (text := self.watch.tick(rows)):
            self.told.append(text)

    def _not_finite(self, index: int) -> Exception:
        """The error for one of the unread steps."""
        p, recipe, step = self.position, self.recipe, self.unread[index]
        start = (p.taken + index) * recipe.accumulate
        seed = epoch_seed(recipe.seed, p.epoch)
        batches = islice(self.run.train.batches(self.batch_size, seed=seed, start=start), recipe.accumulate)
        number = p.step + index + 1
        where = f"step {number:,} of {self.all_steps:,} (epoch {p.epoch}, learning rate {step.lr:.3g})"
        return not_finite(self.run, step, batches, number=number, where=where)

    def is_time_to_show(self) -> bool:
        """Whether a person has not been told anything for a while."""
        return self.clock() - self.shown >= SHOW_SECONDS

    def progress(self) -> Progress:
        """Where training stands now; waits for the device."""
        self.read()
        p, now = self.position, self.clock()
        self.shown = now
        return Progress(
            epoch=p.epoch,
            epochs=self.recipe.epochs,
            step=p.step,
            steps=self.all_steps,
            loss=self.loss,
            lr=self.rate(p.step - 1),
            rows_per_second=p.rows / max(p.training_seconds, 1e-9),
            seconds_left=(now - self.began) / (p.step - self.began_at) * (self.all_steps - p.step),
        )

    def news(self) -> Iterator[str]:
        """What changed by itself since the last time."""
        while self.told:
            yield self.told.pop(0)

    def go_on(self) -> None:
        """Starts the clocks of the training again: what was done in between is not training."""
        self.marked = self.clock()
        if self.watch is not None:
            self.watch.go_on()

    def is_time_to_save(self) -> bool:
        """Whether the last checkpoint is old."""
        return self.folder is not None and self.clock() - self.saved >= self.recipe.checkpoint_seconds

    def save(self) -> None:
        """Writes a checkpoint, where there is a folder."""
        self.read()
        if self.folder is None:
            return
        began = self.clock()
        average = self.average.tensors if self.average else {}
        groups = {"network": named(self.network), "average": average, "best": self.best}
        checkpoint.save(self.folder, self.position, groups, self.optimizer, self.recorder.watched())
        self.go_on()
        self.saved = self.marked
        self.saving = self.saved - began

    def end_epoch(self) -> Epoch:
        """Evaluates, keeps the best weights, decides whether to stop, and writes all of it down."""
        self.read()
        valid = self._evaluate()
        now, p = self.clock(), self.position
        value = valid.get(self.run.task.metric)
        is_better = len(self.run.valid) > 0 and improves(value, self.position.best, self.run.task)
        p = replace(p, seconds=p.seconds + now - self.marked)
        epoch = written_down(p, self.run, valid, self.rate(p.step - 1), peak_bytes(self.device), is_better=is_better)
        self.marked = now
        self.epochs.append(epoch)
        if is_better and self.chooses:
            self.best = {name: tensor.clone() for name, tensor in self._weights().items()}
        self.position = following(self.position, self.run, value, is_better=is_better)
        is_time = p.step // READ_STEPS > (p.step - p.taken) // READ_STEPS or p.epoch == 1
        if not self.position.ended and is_time and self._is_ended_by_judge():
            self.position = replace(self.position, ended=self.verdict)
        if self.folder is not None:
            checkpoint.append_epoch(self.folder, epoch)
            if self.position.ended or now - self.saved >= self.saving / SAVE_SHARE:
                self.save()
        return epoch

    def is_judged(self) -> bool:
        """Whether training shall end in mid-epoch."""
        taken = self.position.taken + len(self.unread)
        is_time = self.position.epoch == 1 and taken % READ_STEPS == 0 and taken < self.epoch_steps
        return is_time and self._is_ended_by_judge()

    def _is_ended_by_judge(self) -> bool:
        if self.judge is not None and not self.verdict:
            self.read()
            self.verdict = self.judge(self.recorder.watched())
        return bool(self.verdict)

    @property
    def chooses(self) -> bool:
        """Whether the validation part decides which weights are kept."""
        return chooses(self.run)

    def _weights(self) -> dict[str, Tensor]:
        """The weights that are evaluated and kept: the average where there is one."""
        return self.average.tensors if self.average else named(self.network)

    def _evaluate(self) -> dict[str, float]:
        if not len(self.run.valid):
            return {}
        own = borrowed(self.network, self._weights()) if self.average else nullcontext()
        with own, _explained(self.recipe, self.device):
            return evaluate(self.network, self.run.task, self.run.valid, self.recipe).quick()

    def result(self) -> Run:
        """The run with the kept weights."""
        put(self.network, self.best or self._weights())
        history = History(tuple(self.epochs), ending(self.position, self.run))
        folder = self.folder or self.run.folder
        watched = self.recorder.watched()
        return replace(self.run, network=self.network.eval(), history=history, watched=watched, folder=folder)


@contextmanager
def _explained(recipe: Recipe, device: torch.device) -> Generator[None]:
    """Turns errors of training whose cause is known into those that say what to do."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{error.filename or 'a file of the data'} cannot be read while training: {error.strerror or error}",
            remedy="bring it back and give the same command again: training goes on from its last checkpoint.",
        ) from error
    except (RuntimeError, ValueError) as error:
        if isinstance(error, torch.OutOfMemoryError) or NO_MEMORY in str(error):
            raise BudgetError(
                f"training with batches of {recipe.batch_size:,} rows needs more memory than there is on {device}",
                remedy=f"set batch_size={max(1, recipe.batch_size // 2)} accumulate={recipe.accumulate * 2}.",
            ) from error
        if ONE_ROW in str(error):
            raise RecipeError(
                "batch normalization cannot learn from a batch of one row", remedy="set batch_size=4 or more."
            ) from error
        raise
