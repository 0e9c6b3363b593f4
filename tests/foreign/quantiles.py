"""Three quantiles of a number, as somebody outside the package writes a task."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self, final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netwright.models.modes import evaluating
from netwright.models.network import joined
from netwright.records.batch import Batch, Outputs
from netwright.records.recipe import Recipe, setting
from netwright.records.schema import Schema
from netwright.records.task import NO_INPUTS, Numbers, Objective, Score, Task
from netwright.tasks import metrics
from netwright.tasks.losses import over_members

LEVELS = (0.1, 0.5, 0.9)


def write(folder: Path) -> Path:
    """A table whose noise grows with `x`."""
    generator = np.random.default_rng(0)
    x, z = generator.uniform(0, 1, 400), generator.normal(size=400)
    y = 10 + 3 * x + (0.2 + x) * generator.normal(size=400)
    pl.DataFrame({"x": x, "z": z, "y": y}).write_csv(folder / "noisy.csv")
    return folder / "noisy.csv"


@dataclass(frozen=True)
class Options:
    """Settings of this task alone."""

    crossing: float = setting(0.0, "penalty if a higher quantile is below a lower one", low=0.0, high=10.0)


@final
@dataclass(frozen=True)
class Quantiles(Task):
    """Outputs are in standard deviations from the mean."""

    mean: float
    scale: float

    name: ClassVar[str] = "quantiles"
    metric: ClassVar[str] = "pinball"
    higher_is_better: ClassVar[bool] = False
    has_places: ClassVar[bool] = False
    options: ClassVar[type] = Options

    @classmethod
    def learn(cls, cells: pl.DataFrame, schema: Schema = NO_INPUTS, detail: str = "") -> Self:
        numbers = cells.to_series().cast(pl.Float64).to_numpy()
        return cls(float(numbers.mean()), float(numbers.std()))

    def encode(self, cells: pl.DataFrame) -> tuple[Tensor, ...]:
        numbers = cells.to_series().cast(pl.Float64).to_numpy()
        return (torch.from_numpy(((numbers - self.mean) / self.scale).astype(np.float32)),)

    def network(self, schema: Schema, recipe: Recipe) -> nn.Module:
        return joined(schema, recipe, len(LEVELS))

    def answers(self, outputs: Outputs) -> Outputs:
        assert isinstance(outputs, Tensor)
        return outputs.mean(1) if outputs.ndim == 3 else outputs

    def objective(self, recipe: Recipe) -> Objective:
        crossing = recipe.of(Options).crossing

        def loss(outputs: Tensor, targets: Tensor) -> Tensor:
            return _pinball(outputs, targets) - crossing * outputs.diff(dim=1).clamp(max=0).sum(1)

        def losses(network: nn.Module, batch: Batch) -> Tensor:
            outputs = self.forward(network, batch)
            assert isinstance(outputs, Tensor)
            return over_members(loss, outputs, batch.targets[0])

        return losses

    def score(self) -> Score:
        return metrics.Kept(self._keep, _measures)

    def predict(self, network: nn.Module, batch: Batch) -> pl.DataFrame:
        with evaluating(network):
            outputs = self.answers(self.forward(network, batch))
        assert isinstance(outputs, Tensor)
        low, middle, high = (outputs.sort(1).values.double() * self.scale + self.mean).cpu().numpy().T
        return pl.DataFrame({"prediction": middle, "low": low, "high": high})

    def view(self, targets: tuple[Tensor, ...]) -> Numbers:
        scaled = targets[0].cpu().numpy()
        return Numbers(scaled * self.scale + self.mean, scaled)

    def constant(self, targets: tuple[Tensor, ...]) -> Tensor:
        return torch.quantile(targets[0].float(), torch.tensor(LEVELS))[None]

    def describe(self) -> str:
        return f"quantiles {', '.join(map(str, LEVELS))}"

    def _keep(self, outputs: Outputs, batch: Batch) -> tuple[Tensor, ...]:
        answers = self.answers(outputs)
        assert isinstance(answers, Tensor)
        return answers, batch.targets[0]


def _pinball(outputs: Tensor, targets: Tensor) -> Tensor:
    error, level = targets[:, None] - outputs, torch.tensor(LEVELS, device=outputs.device)
    return torch.maximum(level * error, (level - 1) * error).mean(1)


def _measures(outputs: NDArray[np.float32], targets: NDArray[np.float32]) -> dict[str, metrics.Statistic]:
    pinball = _pinball(torch.from_numpy(outputs), torch.from_numpy(targets)).double().numpy()
    within = (outputs.min(1) <= targets) & (targets <= outputs.max(1))
    return {
        "loss": metrics.mean_of(pinball, "lower"),
        "pinball": metrics.mean_of(pinball, "lower"),
        "coverage": metrics.mean_of(within.astype(np.float64), "higher"),
    }
