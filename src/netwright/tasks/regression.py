"""One number for each example."""

from dataclasses import dataclass
from math import log
from sys import float_info
from typing import ClassVar, Literal, Self, final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netwright.kinds.cells import unreadable
from netwright.kinds.number import read_numbers
from netwright.kinds.written import Writing, way_of_writing
from netwright.models.modes import evaluating
from netwright.models.network import joined
from netwright.records.batch import Batch, Outputs
from netwright.records.errors import DataError, RecipeError
from netwright.records.recipe import Recipe
from netwright.records.schema import Family, Schema
from netwright.records.task import NO_INPUTS, Numbers, Objective, Score, Scores, Task
from netwright.tasks import metrics
from netwright.tasks.cells import hold_numbers, only_column, refuse_detail
from netwright.tasks.losses import choose_loss, over_members
from netwright.tasks.outputs import check_answers, check_outputs, mean_over_members

SKEWED = 2.0  # skewness of an exponential: below it, a few large targets do not dominate squared errors
STRAIGHTENED = 0.5  # the logarithm must reduce the skewness below this share


@final
@dataclass(frozen=True)
class Regression(Task):
    """The network answers in standard deviations from the mean; people see the target's own units.

    If `on_log`, `mean` and `scale` are of the target's natural logarithm. `low` and `high` are the ends of the training
    targets; answers stay between them.
    """

    mean: float = 0.0
    scale: float = 1.0
    low: float = -float_info.max
    high: float = float_info.max
    on_log: bool = False
    decimal_comma: bool = False  # the target is text like 1.234,5
    unit: str = ""  # see `Writing`

    name: ClassVar[str] = "regression"
    metric: ClassVar[str] = "rmse"
    higher_is_better: ClassVar[bool] = False
    link: ClassVar[Literal["identity"]] = "identity"
    has_places: ClassVar[bool] = False
    harm_name: ClassVar[str] = "change of the answer"
    families: ClassVar[tuple[Family, ...]] = ("numbers",)

    @staticmethod
    def matches(cells: pl.DataFrame) -> bool:
        """One column of numbers, or of text that nearly always reads as numbers; classification is tried first."""
        return cells.width == 1 and not cells.to_series().dtype.is_nested() and hold_numbers(cells.to_series())

    @classmethod
    def learn(cls, cells: pl.DataFrame, schema: Schema = NO_INPUTS, detail: str = "") -> Self:
        """Mean, scale and ends, of the cells that are finite numbers. Raises DataError for no or equal numbers."""
        refuse_detail(cls.name, detail)
        column = only_column(cells, cls.name)
        writing = way_of_writing(column)
        numbers = read_numbers(column.name, column, writing)
        numbers = numbers.filter(numbers.is_finite().fill_null(False))
        _check_numbers(column, numbers)
        raw = numbers.to_numpy()
        on_log = _asks_for_log(raw)
        units = np.log(raw) if on_log else raw
        ends = float(raw.min()), float(raw.max())
        return cls(float(units.mean()), float(units.std()), *ends, on_log, writing.decimal_comma, writing.unit)

    def encode(self, cells: pl.DataFrame) -> tuple[Tensor, ...]:
        """(N,) float32 in standardized units; NaN if a cell is not a finite number (then Unreadable).

        On a log scale, targets that are not positive are NaN too.
        """
        column = only_column(cells, self.name)
        numbers = read_numbers(column.name, column, Writing(self.decimal_comma, self.unit))
        raw = numbers.fill_null(float("nan")).to_numpy()
        with np.errstate(invalid="ignore", divide="ignore"):
            units = np.log(raw) if self.on_log else raw
        encoded = torch.from_numpy(((units - self.mean) / self.scale).astype(np.float32))
        bad = {int(row): f"the target is {column[int(row)]!r}" for row in np.flatnonzero(~np.isfinite(units))}
        if bad:
            what = f"{column.name!r} holds no {'positive' if self.on_log else 'finite'} number"
            first, blank = repr(column[next(iter(bad))]), torch.where(encoded.isfinite(), encoded, torch.nan)
            raise unreadable(what, first, "leave these rows out, or correct them.", (blank,), bad)
        return (encoded,)

    @property
    def as_written(self) -> bool:
        """Text like 1.234 would be read as a decimal, not as thousands."""
        return self.decimal_comma

    def network(self, schema: Schema, recipe: Recipe) -> nn.Module:
        """One output: the answer in standardized units."""
        return joined(schema, recipe, 1)

    def objective(self, recipe: Recipe) -> Objective:
        """Squared, absolute, Huber or quantile loss of the standardized target."""
        loss = choose_loss(recipe, ("mse", "mae", "huber", "quantile"), self.name)
        if recipe.class_weights != "none":
            raise RecipeError("regression has no class weights", remedy="set class_weights=none.")

        def losses(network: nn.Module, batch: Batch) -> Tensor:
            outputs = check_outputs(self.forward(network, batch), batch, 1, self.describe())
            return over_members(lambda given, wanted: loss(given.squeeze(-1), wanted), outputs, _flat(batch))

        return losses

    def harm(self, outputs: Outputs, clean: Outputs, batch: Batch) -> Tensor:
        """The change of the answer, in the target's own units."""
        now, before = (
            self._answers(check_answers(some, batch, 1, self.describe())[:, 0].cpu().numpy())
            for some in (outputs, clean)
        )
        return torch.from_numpy(np.abs(now - before).astype(np.float32)).to(batch.rows.device)

    def score(self) -> Score:
        """rmse, mae, median_error (of the absolute errors) and r2, all in the target's own units."""
        return metrics.Kept(self._keep, self._quick)

    def predict(self, network: nn.Module, batch: Batch) -> pl.DataFrame:
        """prediction: a number between the lowest and the highest training target."""
        with evaluating(network):
            outputs = check_answers(self.forward(network, batch), batch, 1, self.describe())
        return pl.DataFrame({"prediction": self._answers(outputs[:, 0].cpu().numpy())})

    def answers(self, outputs: Outputs) -> Outputs:
        """The mean over members."""
        return mean_over_members(outputs)

    def view(self, targets: tuple[Tensor, ...]) -> Numbers:
        """The numbers."""
        scaled = targets[0].flatten().float().cpu().numpy()
        return Numbers(self._raw(scaled), scaled)

    def chance_loss(self, targets: tuple[Tensor, ...]) -> float:
        """The variance of the standardized targets: the loss of always answering with their mean."""
        return float(targets[0].double().var(correction=0))

    def constant(self, targets: tuple[Tensor, ...]) -> Tensor:
        """(1, 1): the mean of the standardized targets."""
        return targets[0].double().mean().float().reshape(1, 1)

    def plainly(self, scores: Scores, things: str, constant: Scores | None = None) -> str:
        """`On average off by 12.3 (11.9 to 12.8); always answering 150 is off by 40.`"""
        off = scores["mae"]
        middle = float(self._answers(np.zeros(1, np.float32))[0])
        guess = f"; always answering {_short(middle)} is off by {_short(constant['mae'].value)}" if constant else ""
        return f"On average off by {_short(off.value)} ({_short(off.low)} to {_short(off.high)}) on {things}{guess}."

    def describe(self) -> str:
        """`regression of numbers from 25 to 346`."""
        known = f" of numbers from {self.low:g} to {self.high:g}" if self.high < float_info.max else ""
        skewed = ("learned on a log scale: they are skewed",) if self.on_log else ()
        return ", ".join((f"regression{known}", *Writing(self.decimal_comma, self.unit).remarks(), *skewed))

    def _keep(self, outputs: Outputs, batch: Batch) -> tuple[Tensor, ...]:
        return check_answers(outputs, batch, 1, self.describe())[:, 0], _flat(batch)

    def _quick(self, outputs: NDArray[np.float32], targets: NDArray[np.float32]) -> dict[str, metrics.Statistic]:
        answers, truth = self._answers(outputs), self._raw(targets)
        errors = np.abs(answers - truth)
        return {
            "loss": metrics.mean_of((outputs.astype(np.float64) - targets) ** 2, "lower"),
            "rmse": metrics.root_mean_of(errors**2),
            "mae": metrics.mean_of(errors, "lower"),
            "median_error": metrics.median_of(errors),
            "r2": metrics.r2(truth, answers),
        }

    def _answers(self, outputs: NDArray[np.float32]) -> metrics.Array:
        """Standardized outputs in the target's units, inside the training range."""
        top = log(self.high) if self.on_log else float_info.max
        units = np.minimum(outputs.astype(np.float64) * self.scale + self.mean, top)  # before exp: it would overflow
        return np.clip(np.exp(units) if self.on_log else units, self.low, self.high)

    def _raw(self, targets: NDArray[np.float32]) -> metrics.Array:
        units = targets.astype(np.float64) * self.scale + self.mean
        return np.exp(units) if self.on_log else units


def _short(number: float) -> str:
    """Three digits, without an exponent in the usual range."""
    return f"{float(f'{number:.3g}'):,.0f}" if 1000 <= abs(number) < 1e9 else f"{number:.3g}"


def _flat(batch: Batch) -> Tensor:
    """(B,) float32, also from an engineer's (B, 1) or float64."""
    return batch.targets[0].reshape(len(batch)).float()


def _check_numbers(column: pl.Series, numbers: pl.Series) -> None:
    if numbers.is_empty():
        first = f": the first cell is {column[0]!r}" if len(column) else ""
        are_classes = 1 < column.n_unique() < len(column)
        remedy = "choose another target, or the task classification." if are_classes else "choose another target."
        raise DataError(f"{column.name!r} holds no numbers{first}", remedy=remedy)
    if numbers.n_unique() == 1:
        raise DataError(
            f"{column.name!r} is {numbers[0]:g} in every row: there is nothing to predict",
            remedy="choose another target.",
        )


def _asks_for_log(raw: metrics.Array) -> bool:
    """Whether all targets are positive, very skewed, and much less so on a log scale."""
    if raw.min() <= 0:
        return False
    before, after = _skewness(raw), _skewness(np.log(raw))
    return before > SKEWED and abs(after) < STRAIGHTENED * before


def _skewness(numbers: metrics.Array) -> float:
    centred = numbers - numbers.mean()
    spread = float(np.sqrt((centred**2).mean()))
    return float((centred**3).mean()) / spread**3 if spread > 0 else 0.0
