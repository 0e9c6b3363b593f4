"""What happened while training, epoch by epoch."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far training is within an epoch."""

    epoch: int  # from 1
    epochs: int
    step: int  # optimizer steps done, over all epochs
    steps: int
    loss: float  # mean over the latest rows
    lr: float
    rows_per_second: float
    seconds_left: float  # an estimate, evaluation included


@dataclass(frozen=True)
class Epoch:
    """One line of history.jsonl."""

    epoch: int  # from 1
    step: int  # optimizer steps done
    train_loss: float  # mean over the epoch's rows, with label smoothing and class weights
    valid: dict[str, float]  # Score.quick() on the validation part; empty if there is none
    lr: float
    grad_norm: float  # mean norm of the gradient before clipping; of every tenth step if nothing is clipped
    seconds: float  # of this epoch, evaluation included
    rows_per_second: float  # training alone
    memory_bytes: int  # peak resident memory of the process, or of the device
    is_best: bool


@dataclass(frozen=True)
class History:
    """All epochs, and why training ended."""

    epochs: tuple[Epoch, ...] = ()
    ended: str = ""  # "all 20 epochs done", "no better for 5 epochs"

    @property
    def best(self) -> Epoch | None:
        """The epoch whose weights were kept."""
        return next((e for e in reversed(self.epochs) if e.is_best), None)
