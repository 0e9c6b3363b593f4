"""The next steps of series, as quantiles."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self, final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netwright.kinds.cells import array_shape
from netwright.models.forecaster import forecaster
from netwright.models.modes import evaluating
from netwright.records.batch import Batch, Examples, Outputs
from netwright.records.errors import DataError, RecipeError, counted, listed
from netwright.records.frames import Frames, Raw
from netwright.records.recipe import Recipe
from netwright.records.schema import Schema
from netwright.records.task import NO_INPUTS, ROW, Objective, Score, Scores, Task
from netwright.tasks import metrics
from netwright.tasks.losses import choose_loss
from netwright.tasks.outputs import fail_shape
from netwright.tasks.repeated import rules
from netwright.tasks.windows import HORIZON, LEVELS, STEP, Windows, cut, latest

OUTER = 0.1, 0.9  # the interval whose coverage is scored
STEPS = 6_000  # of the optimizer; on ETTh1 the best epoch came before
LEAST_EPOCHS, MOST_EPOCHS = 5, 40


@final
@dataclass(frozen=True)
class Forecasting(Task):
    """Outputs are (B, horizon, targets, quantiles) in standard deviations from the mean of each target.

    Targets are the same without the quantiles. `repeats` is the mean absolute error, on the training rows, of repeating
    what was one season before: 1 in `mase`.
    """

    columns: tuple[str, ...]
    horizon: int
    season: int
    lags: int
    means: tuple[float, ...]
    scales: tuple[float, ...]
    repeats: tuple[float, ...]
    levels: tuple[float, ...] = LEVELS

    name: ClassVar[str] = "forecasting"
    metric: ClassVar[str] = "mae"
    higher_is_better: ClassVar[bool] = False
    cuts_rows: ClassVar[bool] = True

    @classmethod
    def frame(cls, raw: Raw, detail: str = "") -> Frames:
        """Windows of every series. `detail` is as in `Windows.read`."""
        return cut(raw, Windows.read(detail))

    def frame_again(self, raw: Raw) -> Frames:
        """The same windows as in training; without targets the last of each series."""
        windows = Windows(self.horizon, self.lags, self.season, self.levels)
        return cut(raw, windows) if raw.targets else latest(raw, self.columns, windows)

    @classmethod
    def learn(cls, cells: pl.DataFrame, schema: Schema = NO_INPUTS, detail: str = "") -> Self:
        """Means, scales and repeats of arrays (season + horizon,) that are windows of a target."""
        windows = Windows.read(detail)
        horizon, values = windows.horizon, _windows(cells)
        season = values.shape[1] - horizon
        if season < 1:
            problem = f"windows of {counted(values.shape[1], 'step')} hold no season and {horizon} steps after it"
            raise DataError(problem, remedy=f"choose a horizon below {values.shape[1]} (the default is {HORIZON}).")
        future = values[:, season:]
        scales = future.std((0, 1))
        if constant := [name for name, scale in zip(cells.columns, scales, strict=True) if not scale > 0]:
            raise DataError(f"{constant[0]!r} never changes in the training rows", remedy="choose another target.")
        repeated = values[:, np.arange(horizon) % season]
        repeats = np.abs(future - repeated).mean((0, 1))
        lags = _lags(schema)
        means, repeats = future.mean((0, 1)), np.where(repeats > 0, repeats, scales)
        mean, scale, repeat = (tuple(numbers.tolist()) for numbers in (means, scales, repeats))
        return cls(tuple(cells.columns), horizon, season, lags, mean, scale, repeat, windows.levels)

    def encode(self, cells: pl.DataFrame) -> tuple[Tensor, ...]:
        """(N, horizon, targets) float32, standardized."""
        future = _windows(cells)[:, -self.horizon :]
        return (torch.from_numpy(((future - self.means) / self.scales).astype(np.float32)),)

    def network(self, schema: Schema, recipe: Recipe) -> nn.Module:
        """See `models.forecaster`."""
        moments = self.means, self.scales
        return forecaster(self.lags, self.horizon, self.season, self.levels, moments, recipe)

    def objective(self, recipe: Recipe) -> Objective:
        """Pinball loss of the standardized targets, mean over steps, targets and quantiles."""
        choose_loss(recipe, ("quantile",), self.name)
        if recipe.class_weights != "none":
            raise RecipeError("forecasting has no class weights", remedy="set class_weights=none.")

        def losses(network: nn.Module, batch: Batch) -> Tensor:
            outputs, targets = self._both(self.forward(network, batch), batch)
            return self._pinball(outputs, targets).mean((1, 2, 3))

        return losses

    def score(self) -> Score:
        """mae and rmse of the median, mase, weighted_quantile_loss, and coverage of the interval from 10 % to 90 %.

        In the target's units; with several targets, which have different units, in standard deviations of each.
        """
        return metrics.Kept(self._keep, self._measures)

    def predict(self, network: nn.Module, batch: Batch) -> pl.DataFrame:
        """A row for each step (and target): the median in `prediction`, then each quantile, in the target's units."""
        with evaluating(network):
            outputs = self.forward(network, batch)
        checked = self._checked(outputs, len(batch)).double().cpu().numpy()
        units = checked * np.array(self.scales)[:, None] + np.array(self.means)[:, None]
        rows, (_, ahead, count, _) = batch.rows.cpu().numpy(), units.shape
        flat = units.reshape(-1, len(self.levels))
        frame = {
            ROW: np.repeat(rows, ahead * count),
            STEP: np.tile(np.repeat(np.arange(1, ahead + 1), count), len(rows)),
        }
        columns = [pl.Series(name, values, pl.Int64) for name, values in frame.items()]
        if count > 1:
            columns.append(pl.Series("target", list(self.columns) * (len(rows) * ahead), pl.String))
        columns.append(pl.Series("prediction", flat[:, self._median]))
        columns += [pl.Series(f"q{level:g}", flat[:, k]) for k, level in enumerate(self.levels)]
        return pl.DataFrame(columns)

    def constant(self, targets: tuple[Tensor, ...]) -> Tensor:
        """(1, 1, targets, quantiles): those of all training targets."""
        flat = targets[0].flatten(0, 1).double().cpu().numpy()
        found = np.quantile(flat, self.levels, axis=0, method="inverted_cdf")
        return torch.from_numpy(found.T.astype(np.float32))[None, None]

    def rules(self, train: Examples) -> Mapping[str, Callable[[Batch], Outputs]]:
        """The last value, the value one season before, and ridge regression on the past."""
        return rules(train, (self.means, self.scales), self.season, self.levels)

    def plainly(self, scores: Scores, things: str, constant: Scores | None = None) -> str:
        """`Forecasts are on average off by 1.2 (1.1 to 1.4).`"""
        off, cover = scores["mae"], scores["coverage"]
        unit = "" if len(self.columns) == 1 else " standard deviations"
        return (
            f"Forecasts of the next {counted(self.horizon, 'step')} are on average off by {off.value:.3g}{unit} "
            f"({off.low:.3g} to {off.high:.3g}); {cover.value:.0%} of the values are in the interval meant for 80 %."
        )

    def defaults(self, schema: Schema, rows: int) -> Mapping[str, object]:
        """A small network with much dropout and a low rate: windows of one series are alike."""
        epochs = round(STEPS * 64 / max(rows, 1))
        return {
            "backbone": "mlp", "width": 128, "depth": 2, "dropout": 0.5, "activation": "gelu", "lr": 5e-4,
            "batch_size": 64, "epochs": min(MOST_EPOCHS, max(LEAST_EPOCHS, epochs)), "keep": "best",
        }  # fmt: skip

    def describe(self) -> str:
        """`forecasting of 'OT', 96 steps ahead, from 336 past steps`."""
        season = f", compared with {self.season} steps earlier" if self.season > 1 else ""
        names = listed([repr(name) for name in self.columns], 3)
        return f"forecasting of {names}, {self.horizon} steps ahead, from {self.lags} past steps{season}"

    @property
    def _median(self) -> int:
        return self.levels.index(0.5)

    def _checked(self, outputs: Outputs, rows: int) -> Tensor:
        """(rows, horizon, targets, quantiles) float32. A constant answer may have one step."""
        shape = (rows, self.horizon, len(self.columns), len(self.levels))
        if not isinstance(outputs, Tensor) or outputs.ndim != 4 or outputs.shape[1] not in (1, self.horizon):
            fail_shape(outputs, shape, self.describe())
        if (len(outputs), *outputs.shape[2:]) != (rows, *shape[2:]):
            fail_shape(outputs, shape, self.describe())
        return outputs.float().expand(shape)

    def _both(self, outputs: Outputs, batch: Batch) -> tuple[Tensor, Tensor]:
        return self._checked(outputs, len(batch)), batch.targets[0].float()

    def _pinball(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(B, horizon, targets, quantiles). Koenker and Bassett 1978."""
        levels = outputs.new_tensor(self.levels)
        error = targets[..., None] - outputs
        return torch.maximum(levels * error, (levels - 1) * error)

    def _keep(self, outputs: Outputs, batch: Batch) -> tuple[Tensor, ...]:
        """For each example sums over steps and targets."""
        outputs, targets = self._both(outputs, batch)
        unit, zero = (self.scales, self.means) if len(self.columns) == 1 else ((1.0,), (0.0,))
        scale, repeats = targets.new_tensor(unit), targets.new_tensor(self.repeats) / targets.new_tensor(self.scales)
        error = (outputs[..., self._median] - targets).abs()
        pinball = self._pinball(outputs, targets).mean(3)
        low, high = (outputs[..., self._nearest(level)] for level in OUTER)
        inside = ((targets >= low) & (targets <= high)).float()
        size = (targets * scale + targets.new_tensor(zero)).abs()
        kept = (pinball, error * scale, (error * scale).square(), error / repeats, pinball * scale, size, inside)
        return tuple(one.mean((1, 2)) for one in kept)

    def _nearest(self, level: float) -> int:
        return int(np.abs(np.array(self.levels) - level).argmin())

    def _measures(self, *kept: NDArray[np.float32]) -> dict[str, metrics.Statistic]:
        loss, off, squares, scaled, pinball, size, inside = (one.astype(np.float64) for one in kept)
        return {
            "loss": metrics.mean_of(loss, "lower"),
            "mae": metrics.mean_of(off, "lower"),
            "rmse": metrics.root_mean_of(squares),
            "mase": metrics.mean_of(scaled, "lower"),
            "weighted_quantile_loss": metrics.ratio_of(2 * pinball, size, "lower"),
            "coverage": metrics.mean_of(inside, "higher"),
        }


def _windows(cells: pl.DataFrame) -> NDArray[np.float64]:
    """(N, steps, targets). Raises DataError for cells that are not windows."""
    if not cells.width or any(len(array_shape(column)) != 1 for column in cells):
        problem = "forecasting learns from windows of numbers, one column for each target"
        raise DataError(problem, remedy="name the target (--target) and the task (--task forecasting:24).")
    return np.stack([column.to_numpy().astype(np.float64) for column in cells], 2)


def _lags(schema: Schema) -> int:
    """Steps of the input column."""
    if len(schema.inputs) != 1 or schema.inputs[0].family != "steps":
        raise DataError("forecasting reads one column of past steps", remedy="name the task when the data are read.")
    signal = schema.blocks[0].stem(Recipe())[1]
    return signal.size[0]
