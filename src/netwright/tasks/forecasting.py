"""The next steps of series, as quantiles."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import nan, sqrt
from typing import Any, ClassVar, Self, cast, final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netwright.kinds.cells import array_shape
from netwright.models.forecaster import Forecaster, forecaster
from netwright.models.history import History, Role
from netwright.models.modes import device_of, evaluating
from netwright.records.asked import Asked
from netwright.records.batch import Batch, Examples, Outputs
from netwright.records.errors import DataError, RecipeError, counted, listed
from netwright.records.finding import Chart
from netwright.records.frames import Frames, Raw
from netwright.records.recipe import Recipe
from netwright.records.schema import Schema
from netwright.records.task import NO_INPUTS, ROW, Objective, Score, Scores, Task
from netwright.tasks import metrics
from netwright.tasks.clock import EACH_ROW, Step
from netwright.tasks.columns import ALONE, Beside, role_of
from netwright.tasks.intervals import asked_of_forecasts, stretched, sufficient
from netwright.tasks.latest import latest
from netwright.tasks.least_squares import least_squares
from netwright.tasks.losses import choose_loss
from netwright.tasks.outputs import fail_shape
from netwright.tasks.repeated import drawn, rules
from netwright.tasks.windows import HORIZON, LEVELS, STEP, Cutting, Windows, cut, cut_again

OUTER = 0.1, 0.9  # the interval whose coverage is scored
STEPS = 6_000  # of the optimizer; on ETTh1 the best epoch came before
LEAST_EPOCHS, MOST_EPOCHS = 5, 40
ROUNDED = 9  # digits: a whole number of units stays what it is
ROUNDING = 1e-5  # standard deviations: a whole number lies in an interval that ends at it
SHOWN_PAST = 3  # horizons of the past that a picture shows
LEAST_UNIT = 0.1  # of the median unit of errors: one sale in a series that never sold counts ten times, not a thousand
MOST_WINDOWS = 2_048  # of the validation part that intervals are fitted to: neighbors are alike
CORRECTED_AT_ONCE = 256  # windows


@final
@dataclass(frozen=True)
class Forecasting(Task):
    """Outputs are (B, horizon, targets, quantiles) in standard deviations from the mean of each target.

    Targets are the same without the quantiles, and each series' own unit of errors: see `encode`. `repeats` is the mean
    absolute error, on the training rows, of repeating what was one season before.
    """

    columns: tuple[str, ...]
    horizon: int
    season: int
    lags: int
    means: tuple[float, ...]
    scales: tuple[float, ...]
    repeats: tuple[float, ...]
    least: tuple[float, ...]  # unit of errors that a series has at least
    levels: tuple[float, ...] = LEVELS
    roles: tuple[Role, ...] = ("past",)  # of each of the network's inputs
    channels: tuple[int, ...] = (1,)  # of each, 0 for static ones
    is_positive: tuple[bool, ...] = ()  # whether a target was never below zero; then no answer is
    is_whole: tuple[bool, ...] = ()  # whether a target was always a whole number; then answers are
    is_relative: bool = False  # whether errors count in each series' own unit: its error of repeating the last season
    step: Step = EACH_ROW
    beside: Beside = ALONE  # the columns that are seen beside the targets
    ask_horizon: int = 0  # steps that are answered; 0: all
    ask_service: float = 0.0  # probability with which a quantity should suffice; 0: none is answered

    name: ClassVar[str] = "forecasting"
    metric: ClassVar[str] = "mase"
    higher_is_better: ClassVar[bool] = False
    trivial: ClassVar[tuple[str, ...]] = ("constant", "last value")  # prices of tomorrow are those of today
    starts_at_fit: ClassVar[bool] = True
    cuts_rows: ClassVar[bool] = True

    @classmethod
    def frame(cls, raw: Raw, detail: str = "") -> Frames:
        """Windows of every series. `detail` is as in `Windows.read`; lags that the user said apart win."""
        windows = Windows.read(detail)
        return cut(raw, replace(windows, lags=raw.source.lags or windows.lags))

    def frame_again(self, raw: Raw) -> Frames:
        """The same windows as in training; without targets the last of each series."""
        windows = Windows(self.horizon, self.lags, self.season, self.levels)
        cutting = Cutting(windows, self.step, self.beside)
        if raw.targets:
            return cut_again(raw, self.columns, cutting)
        return latest(raw, self.columns, cutting, self.ask_horizon)

    @classmethod
    def learn(cls, cells: pl.DataFrame, schema: Schema = NO_INPUTS, detail: str = "") -> Self:
        """Means, scales and repeats of arrays (season + horizon, 2) that are windows of a target: see `windows.cut`."""
        cutting = Cutting.read(detail)
        horizon, values = cutting.windows.horizon, _windows(cells)[..., 0]
        season = values.shape[1] - horizon
        if season < 1:
            problem = f"windows of {counted(values.shape[1], 'step')} hold no season and {horizon} steps after it"
            raise DataError(problem, remedy=f"choose a horizon below {values.shape[1]} (the default is {HORIZON}).")
        future = values[:, season:]
        means = _mean(future)
        scales = np.sqrt(_mean(np.square(future - means)))
        if constant := [name for name, scale in zip(cells.columns, scales, strict=True) if not scale > 0]:
            raise DataError(f"{constant[0]!r} never changes in the training rows", remedy="choose another target.")
        repeats = _mean(np.abs(future - values[:, np.arange(horizon) % season]))
        repeats = np.where(repeats > 0, repeats, scales)
        own = _windows(cells)[:, -horizon - 1, :, 1].astype(np.float64)
        units = [one[one > 0] for one in own.T]
        least = np.array(
            [LEAST_UNIT * np.median(one) if len(one) else rep for one, rep in zip(units, repeats, strict=True)]
        )
        mean, scale, repeat, least = (tuple(numbers.tolist()) for numbers in (means, scales, repeats, least))
        names, lags = tuple(cells.columns), cutting.windows.lags or _lags(schema)
        return cls(
            names, horizon, season, lags, mean, scale, repeat, least, cutting.windows.levels,
            *_read_from(schema, names),
            is_positive=tuple(not (one < 0).any() for one in np.moveaxis(future, 2, 0)),
            is_whole=tuple(not (np.nan_to_num(one) % 1).any() for one in np.moveaxis(future, 2, 0)),
            is_relative=cutting.series > 1, step=cutting.step, beside=cutting.beside,
        )  # fmt: skip

    def encode(self, cells: pl.DataFrame) -> tuple[Tensor, ...]:
        """Two float32 tensors, standardized: (N, horizon, targets), NaN where missing, and (N, targets).

        The second is the mean error, until the step before, of repeating one season before in the same series;
        at least `least`, and `repeats` where it is unknown or 0.
        """
        values = _windows(cells)
        future, own = values[:, -self.horizon :, :, 0], values[:, -self.horizon - 1, :, 1].astype(np.float64)
        own = np.where(own > 0, np.maximum(own, self.least), self.repeats) / self.scales
        return tuple(
            torch.from_numpy(numbers.astype(np.float32)) for numbers in ((future - self.means) / self.scales, own)
        )

    def network(self, schema: Schema, recipe: Recipe) -> nn.Module:
        """See `models.forecaster`."""
        static = [block for block, role in zip(schema.blocks, self.roles, strict=True) if role == "static"]
        return forecaster(self._history(), self.season, self.levels, static, recipe)

    def start(self, network: nn.Module, train: Examples) -> None:
        """The network starts as ridge regression, with quantiles that lie as its errors do."""
        forecaster = cast(Forecaster, network)
        windows = drawn(train, forecaster.history, is_relative=self.is_relative)
        fit = least_squares(windows, self.season, self.levels)
        forecaster.begin(fit.past, fit.bias, fit.beside, fit.errors)

    def correct(self, network: nn.Module, valid: Examples) -> str:
        """Stretches the intervals so that as many values of the validation part lie in them as should.

        Conformalized quantile regression, Romano et al. 2019, arXiv:1905.03222, with a factor in place of a shift:
        windows differ in spread.
        """
        forecaster = cast(Forecaster, network)
        factors = stretched(self._spread_over(network, valid), self.levels)
        with torch.no_grad():
            forecaster.stretch.mul_(factors.to(forecaster.stretch))
        low, high = (float(factors[self._nearest(level)]) for level in OUTER)
        return f"intervals fitted to the validation part: {high:.2f} times as far up, {low:.2f} times as far down"

    def _spread_over(self, network: nn.Module, valid: Examples) -> Iterator[tuple[Tensor, Tensor]]:
        """Outputs (n, levels) and targets (n,) that are known, for at most MOST_WINDOWS windows."""
        rows = valid.rows[:: -(-len(valid) // MOST_WINDOWS)]
        with evaluating(network):
            for some in rows.split(CORRECTED_AT_ONCE):
                batch = valid.take(some).to(device_of(network))
                outputs, targets, known = self._both(self.forward(network, batch), batch)
                yield outputs[known].cpu(), targets[known].cpu()

    def asking(self, asked: Asked) -> Self:
        """Fewer steps, or the quantity for a service level."""
        return replace(self, **asked_of_forecasts(asked, self.horizon))

    def objective(self, recipe: Recipe) -> Objective:
        """Pinball loss, mean over known steps, targets and quantiles.

        In standard deviations of the targets; for many series in units of each one's own usual error, so that large
        ones do not drown the others.
        """
        choose_loss(recipe, ("quantile",), self.name)
        if recipe.class_weights != "none":
            raise RecipeError("forecasting has no class weights", remedy="set class_weights=none.")

        def losses(network: nn.Module, batch: Batch) -> Tensor:
            outputs, targets, known = self._both(self.forward(network, batch), batch)
            errors = self._pinball(outputs, targets).mean(3) * known
            if self.is_relative:
                errors = errors / batch.targets[1][:, None]
            return errors.sum((1, 2)) / known.sum((1, 2)).clamp(min=1)

        return losses

    def score(self) -> Score:
        """mase, mae and rmse of the median, weighted_quantile_loss, and coverage of the interval from 10 % to 90 %.

        `mase` is in units of each series' own mean error, up to then, of repeating the value one season before: Hyndman
        and Koehler 2006. At the end also of the first and the last step. The others are in the target's units; with
        several targets, in standard deviations of each.
        """
        return metrics.Kept(self._keep, self._measures, self._by_step)

    def predict(self, network: nn.Module, batch: Batch) -> pl.DataFrame:
        """A row for each step (and target): the median in `prediction`, then each quantile, in the target's units."""
        with evaluating(network):
            outputs = self.forward(network, batch)
        units = self._units(self._checked(outputs, len(batch))).cpu().numpy()
        units = units[:, : self.ask_horizon or self.horizon]
        rows, (_, ahead, count, _) = batch.rows.cpu().numpy(), units.shape
        flat = units.reshape(-1, len(self.levels))
        frame = {
            ROW: np.repeat(rows, ahead * count),
            STEP: np.tile(np.repeat(np.arange(1, ahead + 1), count), len(rows)),
        }
        columns = [pl.Series(name, values, pl.Int64) for name, values in frame.items()]
        if count > 1:
            columns.append(pl.Series("target", list(self.columns) * (len(rows) * ahead), pl.String))
        answers = [pl.Series("prediction", flat[:, self._median])]
        answers += [pl.Series(f"q{level:g}", flat[:, k]) for k, level in enumerate(self.levels)]
        if self.ask_service:
            enough = sufficient(flat, self.levels, self.ask_service).reshape(-1, count)
            enough = np.where(self.is_whole, np.ceil(enough.round(ROUNDED)), enough).flatten()
            answers.append(pl.Series(f"enough_{self.ask_service:g}", enough))
        if all(self.is_whole):
            answers = [answer.cast(pl.Int64, strict=False) for answer in answers]
        return pl.DataFrame([*columns, *answers])

    def drawn(self, network: nn.Module, batch: Batch) -> tuple[Chart, ...]:
        """The end of the past, and the forecast with its outer interval, for each row and target."""
        with evaluating(network):
            units = self._units(self._checked(self.forward(network, batch), len(batch))).cpu()
        past = batch.inputs[self.roles.index("past")].double().cpu()[:, -SHOWN_PAST * self.horizon :]
        before, ahead = past.shape[1], self.ask_horizon or self.horizon
        places = tuple(float(step) for step in range(1 - before, ahead + 1))
        names = ("known", "forecast", *(f"{level:.0%} of values are below" for level in OUTER))
        charts = list[Chart]()
        for row in range(len(batch)):
            for k, target in enumerate(self.columns):
                lines = [[*past[row, :, k].tolist(), *[nan] * ahead]]
                for place in (self._median, *map(self._nearest, OUTER)):
                    lines.append([*[nan] * before, *units[row, :ahead, k, place].tolist()])
                values = tuple(map(tuple, lines))
                charts.append(Chart("lines", target, "steps from the last known", target, names, values, places))
        return tuple(charts)

    def constant(self, targets: tuple[Tensor, ...]) -> Tensor:
        """(1, 1, targets, quantiles): those of all training targets."""
        flat = targets[0].flatten(0, 1).double().cpu().numpy()
        found = np.nanquantile(flat, self.levels, axis=0, method="inverted_cdf")
        return torch.from_numpy(found.T.astype(np.float32))[None, None]

    def rules(self, train: Examples) -> Mapping[str, Callable[[Batch], Outputs]]:
        """The last value, the value one season before, a profile, ridge regression, and boosted trees on the past."""
        return rules(train, self._history(), self.season, self.levels, is_relative=self.is_relative)

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
        epochs = round(STEPS * 64 / (max(rows, 1) * sqrt(len(self.columns))))  # targets of one step are alike
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

    def _both(self, outputs: Outputs, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Outputs, targets with 0 for missing ones, and which are known."""
        targets = batch.targets[0].float()
        known = ~targets.isnan()
        return self._checked(outputs, len(batch)), torch.where(known, targets, 0.0), known

    def _pinball(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(B, horizon, targets, quantiles). Koenker and Bassett 1978."""
        error = targets[..., None] - outputs
        return error.abs() / 2 + (outputs.new_tensor(self.levels) - 0.5) * error

    def _units(self, outputs: Tensor) -> Tensor:
        """Answers in the target's units, float64: not below zero, or whole, if all training targets were."""
        mean, scale, is_positive, is_whole = (
            torch.tensor(numbers, dtype=torch.float64, device=outputs.device)[:, None]
            for numbers in (self.means, self.scales, self.is_positive, self.is_whole)
        )
        units = outputs.double() * scale + mean
        units = torch.where(is_positive > 0, units.clamp(min=0), units)
        return torch.where(is_whole > 0, units.round(), units)

    def _keep(self, outputs: Outputs, batch: Batch) -> tuple[Tensor, ...]:
        """For each example sums over the known steps and targets, and their number."""
        outputs, targets, known = self._both(outputs, batch)
        pinball = self._pinball(outputs, targets).mean(3)
        mean, scale = (
            targets.new_tensor(numbers, dtype=torch.float64)[:, None] for numbers in (self.means, self.scales)
        )
        outputs = ((self._units(outputs) - mean) / scale).float()
        unit, zero = (self.scales, self.means) if len(self.columns) == 1 else ((1.0,), (0.0,))
        scale, own = targets.new_tensor(unit), batch.targets[1].float()[:, None]
        error = (outputs[..., self._median] - targets).abs()
        quantile = self._pinball(outputs, targets).mean(3)
        low, high = (outputs[..., self._nearest(level)] for level in OUTER)
        inside = ((targets >= low - ROUNDING) & (targets <= high + ROUNDING)).float()
        size = (targets * scale + targets.new_tensor(zero)).abs()
        kept = (
            pinball / own if self.is_relative else pinball, error * scale, (error * scale).square(), error / own,
            quantile * scale, size, inside, torch.ones_like(error),
        )  # fmt: skip
        ends = ((one * known)[:, step].sum(1) for step in (0, -1) for one in (error / own, torch.ones_like(error)))
        return *((one * known).sum((1, 2)) for one in kept), *ends

    def _nearest(self, level: float) -> int:
        return int(np.abs(np.array(self.levels) - level).argmin())

    def _measures(self, *kept: NDArray[np.float32]) -> dict[str, metrics.Statistic]:
        loss, off, squares, scaled, pinball, size, inside, known = (one.astype(np.float64) for one in kept[:8])
        return {
            "loss": metrics.ratio_of(loss, known, "lower"),
            "mase": metrics.ratio_of(scaled, known, "lower"),
            "mae": metrics.ratio_of(off, known, "lower"),
            "rmse": metrics.ratio_of(squares, known, "lower").then(np.sqrt),
            "weighted_quantile_loss": metrics.ratio_of(2 * pinball, size, "lower"),
            "coverage": metrics.ratio_of(inside, known, "higher"),
        }

    def _by_step(self, *kept: NDArray[np.float32]) -> dict[str, metrics.Statistic]:
        first, of_first, last, of_last = (one.astype(np.float64) for one in kept[8:])
        if self.horizon == 1:
            return {}
        return {
            "mase_step_1": metrics.ratio_of(first, of_first, "lower"),
            f"mase_step_{self.horizon}": metrics.ratio_of(last, of_last, "lower"),
        }

    def _history(self) -> History:
        return History(self.roles, self.channels, self.lags, self.horizon, self.season, (self.means, self.scales))


def _windows(cells: pl.DataFrame) -> NDArray[np.float32]:
    """(N, steps, targets, 2). Raises DataError for cells that are not windows."""
    if not cells.width or any(len(array_shape(column)) != 2 for column in cells):
        problem = "forecasting learns from windows of numbers, one column for each target"
        raise DataError(problem, remedy="name the target (--target) and the task (--task forecasting:24).")
    columns = [column.to_numpy() for column in cells]
    return columns[0][:, :, None] if len(columns) == 1 else np.stack(columns, 2)


def _mean(numbers: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Of each target, over known steps; 0 if there is none."""
    known = (~np.isnan(numbers)).sum((0, 1))
    return np.nansum(numbers, (0, 1), np.float64) / np.maximum(known, 1)


def _read_from(schema: Schema, targets: tuple[str, ...]) -> tuple[tuple[Role, ...], tuple[int, ...]]:
    """The role and the channels of each input."""
    firsts = [block.fields[0] for block in schema.blocks]
    roles: tuple[Role, ...] = tuple(role_of(field, targets) for field in firsts)
    return roles, tuple(len(f.channel_names()) * (role != "static") for f, role in zip(firsts, roles, strict=True))


def _lags(schema: Schema) -> int:
    """Steps of the input column of the past."""
    for block in schema.blocks:
        if role_of(block.fields[0], ()) == "past":
            return block.stem(Recipe())[1].size[0]
    raise DataError("forecasting reads a column of past steps", remedy="name the task when the data are read.")
