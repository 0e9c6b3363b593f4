"""Targets of simple models: classes, several labels or numbers, as a task encodes them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netwright.records.batch import Outputs
from netwright.records.features import Matrix
from netwright.records.task import Task

RARE = 1e-4  # probability of a class that no training row has
FLOOR = 1e-6  # of a probability: several thousand rows tell nothing about smaller ones

Form = Literal["classes", "labels", "numbers", ""]
MOST_OUTPUTS = 2_000  # of a simple model: an answer to 10,000 rows is then 160 MB
FORMS: dict[str, Form] = {"softmax": "classes", "sigmoid": "labels", "identity": "numbers"}  # by a task's link


@final
@dataclass(frozen=True, eq=False)
class Wanted:
    """Targets of the training rows. Form "" means something else, which only a constant can answer."""

    values: NDArray[Any]  # (N,) classes or numbers, (N, L) zeros and ones
    form: Form
    outputs: int  # of a network for one row: classes, labels, or 1
    constant: Outputs | None = None  # (1, ...): of the best constant answer

    @classmethod
    def of(cls, task: Task, targets: tuple[Tensor, ...]) -> "Wanted":
        """A task's encoded targets, and its best constant answer."""
        constant, form = task.constant(targets), FORMS.get(task.link, "")
        if len(targets) != 1 or not isinstance(constant, Tensor) or not form or constant.shape[-1] > MOST_OUTPUTS:
            return cls(np.empty(0), "", 0, constant)
        return cls(targets[0].numpy(), form, constant.shape[-1], constant)

    @classmethod
    def numbers(cls, values: NDArray[Any]) -> "Wanted":
        """One number for each row."""
        return cls(values, "numbers", 1)

    @classmethod
    def classes(cls, values: NDArray[Any], count: int) -> "Wanted":
        """One of `count` classes for each row."""
        return cls(values, "classes", count)

    def of_one_class(self) -> "Answer | None":
        """The answer if all rows have one class: many models cannot learn from that."""
        if self.form != "classes" or (self.values != self.values[0]).any():
            return None
        only = torch.full((1, self.outputs), float(np.log(RARE)), dtype=torch.float64)
        only[0, int(self.values[0])] = 0.0
        return lambda x: only.repeat(x.shape[0], 1)


Answer = Callable[[Matrix], Any]  # Any: a constant has the form of the task's outputs
"""Features -> a network's outputs (N, outputs), float64: log-probabilities, log odds of each label, or numbers."""
Fit = Callable[[Matrix, Wanted, int], Answer | None]
"""(features of the training rows, targets, seed) -> an Answer; None for a form that it cannot learn.

Linear algebra on one thread (set by the caller), seconds at most for the rows that callers pass.
"""


def log_chances(chances: NDArray[np.float64], seen: NDArray[Any], outputs: int, floor: float = FLOOR) -> Tensor:
    """(N, outputs) log-probabilities from the probabilities of the classes that were seen."""
    whole = np.full((len(chances), outputs), RARE)
    whole[:, np.asarray(seen, np.int64)] = chances
    whole = np.maximum(whole, floor)
    return torch.from_numpy(np.log(whole / whole.sum(1, keepdims=True)))
