"""The end of an epoch: whether it was the best, the learning rate, and whether training continues."""

from dataclasses import replace
from math import isfinite

from netwright.records.history import Epoch
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.records.task import Task
from netwright.training.checkpoint import Position

GRADIENTS_EVERY = 10  # steps; if nothing is clipped, the gradient norm is recorded only this often
LOWERED = 0.3  # factor that the plateau schedule applies to the rate
AT_START = "no epoch was better than the fit that training started at, which is kept"
PLATEAU_EPOCHS = 5  # epochs without a better score before it does; half the patience if that is shorter


def is_watched(recipe: Recipe, taken: int) -> bool:
    """Whether the gradient norm is recorded in this step of an epoch, from 0."""
    return recipe.clip > 0 or taken % GRADIENTS_EVERY == 0


def chooses(run: Run) -> bool:
    """Whether the validation part decides which weights are kept."""
    return len(run.valid) > 0 and run.recipe.keep == "best"


def finished(p: Position, run: Run, valid: dict[str, float], lr: float, memory_bytes: int) -> tuple[Epoch, Position]:
    """The record of a finished, scored epoch, and the position after it."""
    value = valid.get(run.task.metric)
    is_better = len(run.valid) > 0 and _improves(value, p.best, run.task)
    epoch = Epoch(
        epoch=p.epoch,
        step=p.step,
        train_loss=p.loss_sum / p.rows,
        valid=valid,
        lr=lr,
        grad_norm=p.norm_sum / sum(is_watched(run.recipe, taken) for taken in range(p.taken)),
        seconds=p.seconds,
        rows_per_second=p.rows / max(p.training_seconds, 1e-9),
        memory_bytes=memory_bytes,
        is_best=is_better if chooses(run) else p.epoch == run.recipe.epochs,
    )
    after = Position(
        epoch=p.epoch + 1,
        step=p.step,
        best=value if is_better else p.best,
        best_epoch=p.epoch if is_better else p.best_epoch,
        lowered=p.lowered,
        lowered_epoch=p.lowered_epoch,
    )
    return epoch, _stopped_or_lowered(after, p.epoch, run)


def _improves(value: float | None, best: float | None, task: Task) -> bool:
    """Whether a score is strictly better than the best so far; NaN never is."""
    if value is None or not isfinite(value):
        return False
    return best is None or (value > best if task.higher_is_better else value < best)


def _stopped_or_lowered(after: Position, epoch: int, run: Run) -> Position:
    recipe, patience = run.recipe, run.recipe.patience
    without = epoch - after.best_epoch if len(run.valid) else 0
    if epoch >= recipe.epochs:
        return replace(after, ended=f"all {recipe.epochs} epochs done")
    if patience and without >= patience:
        return replace(after, ended=f"no better for {patience} epochs")
    wait = min(PLATEAU_EPOCHS, max(1, patience // 2)) if patience else PLATEAU_EPOCHS
    if recipe.schedule == "plateau" and min(without, epoch - after.lowered_epoch) >= wait:
        return replace(after, lowered=after.lowered + 1, lowered_epoch=epoch)
    return after


def ending(p: Position, run: Run) -> str:
    """Why training ended, and which weights are kept if not the best epoch's."""
    if not len(run.valid):
        return f"{p.ended}; there is no validation part, so the last weights are kept"
    if chooses(run) and p.best is None:
        return f"{p.ended}; {run.task.metric} was always NaN on the validation part, so the last weights are kept"
    return f"{p.ended}; {AT_START}" if chooses(run) and not p.best_epoch else p.ended
