"""What is predicted: the contract that every task fulfils."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self

import polars as pl
from torch import Tensor, nn

from netwright.records.batch import Batch
from netwright.records.frames import Frames
from netwright.records.recipe import Recipe
from netwright.records.schema import Schema

NO_INPUTS = Schema(())

Objective = Callable[[nn.Module, Batch], Tensor]
"""(network, batch) -> (B,): one loss for each example."""


@dataclass(frozen=True)
class Metric:
    """A number with its interval."""

    name: str
    value: float
    low: float  # 95 % bootstrap interval over the examples
    high: float
    higher_is_better: bool


@dataclass(frozen=True)
class Scores:
    """All metrics of one part of the data. The first is the one that training watches."""

    metrics: tuple[Metric, ...]
    count: int  # examples
    confusion: tuple[tuple[int, ...], ...] = ()  # rows: true class, columns: predicted class
    labels: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Metric:
        return next(m for m in self.metrics if m.name == name)


class Score(ABC):
    """Streaming: add batch after batch, then ask for the result."""

    @abstractmethod
    def add(self, outputs: Tensor | tuple[Tensor, ...], batch: Batch) -> None:
        """Take what `network(*batch.inputs)` gave for a batch."""

    @abstractmethod
    def quick(self) -> dict[str, float]:
        """Metrics without intervals, "loss" among them: what an epoch's line shows. Cheap."""

    @abstractmethod
    def result(self, groups: Tensor | None = None) -> Scores:
        """Metrics with 95 % intervals from a seeded bootstrap over examples, those that are dear among them.

        `groups` (N,) names the group of each example, in the order they were added: whole groups are resampled.
        """


@dataclass(frozen=True)
class Task(ABC):
    """Owns the target: how it is read, encoded, learned, scored and told to a person."""

    name: ClassVar[str]  # the key in TASKS
    metric: ClassVar[str]  # the metric that training watches, a key of Score.quick()
    higher_is_better: ClassVar[bool]

    @staticmethod
    @abstractmethod
    def matches(cells: pl.DataFrame) -> bool:
        """Whether raw target columns look like this task. TASKS is asked in its order; the first that matches wins."""

    @classmethod
    def frame(cls, table: pl.DataFrame, targets: tuple[str, ...], detail: str = "") -> Frames | None:
        """What raw rows are cut into before they are split; None: each row is an example.

        `detail` is what the user wrote behind the task's name: `--task forecasting:96`.
        """
        return None

    @classmethod
    @abstractmethod
    def learn(cls, cells: pl.DataFrame, schema: Schema = NO_INPUTS) -> Self:
        """A task from the training rows' target columns. Raises DataError for one class only, a constant target, ...

        `schema` is for tasks whose input is its own target: a language model takes its vocabulary from there.
        """

    @abstractmethod
    def encode(self, cells: pl.DataFrame) -> tuple[Tensor, ...]:
        """Targets for Batch.targets, (N, ...) each. Raises `Unreadable` (about the first tensor) for unknown labels."""

    def lengths(self, targets: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
        """(B,) for each target that is a list: how many entries of a row are real, at least 1; empty: none is a list.

        Batches say it, and are cut to the longest row.
        """
        return ()

    @abstractmethod
    def network(self, schema: Schema, recipe: Recipe) -> nn.Module:
        """The network for this data: most tasks join stems, trunk and head."""

    @abstractmethod
    def objective(self, recipe: Recipe) -> Objective:
        """The training loss, with the recipe's named loss, label smoothing and class weights."""

    def losses(self, network: nn.Module, batch: Batch) -> Tensor:
        """(B,): the task's own loss for each example, without smoothing or weights."""
        return self.objective(Recipe())(network, batch)

    @abstractmethod
    def score(self) -> Score:
        """An empty score."""

    @abstractmethod
    def predict(self, network: nn.Module, batch: Batch) -> pl.DataFrame:
        """Answers in the user's words, a row for each example: label and probabilities, numbers, masks, text, ..."""

    @abstractmethod
    def chance_loss(self, targets: tuple[Tensor, ...]) -> float:
        """The loss of the best constant answer: what an untrained network should show."""

    @abstractmethod
    def constant(self, targets: tuple[Tensor, ...]) -> Tensor:
        """The outputs of the best constant answer to these targets, for one example: (1, ...).

        Axes over pixels or steps are 1; `Score.add` takes it expanded to the batch.
        """

    @abstractmethod
    def describe(self) -> str:
        """One line for people: `classification into 10 classes`."""
