"""Examples that are cut from rows before the split: proven by a task of overlapping windows that only tests know."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Self, final

import numpy as np
import polars as pl
import pytest
import torch
import torch.nn.functional as F
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor, nn

import netwright as nw
from netwright.data.prepare import Prepared, prepare
from netwright.data.read import read_source
from netwright.data.split import Split, split
from netwright.models.network import joined
from netwright.records.batch import Batch
from netwright.records.frames import Frames, Raw
from netwright.records.recipe import Recipe
from netwright.records.schema import Schema
from netwright.records.source import Source
from netwright.records.task import NO_INPUTS, Metric, Objective, Score, Scores, Task
from netwright.statistics import bootstrap

PAST, STEPS = 24, 2_000


class Errors(Score):
    """The mean absolute error of each window."""

    def __init__(self) -> None:
        self.errors: list[Tensor] = []

    def add(self, outputs: Tensor | tuple[Tensor, ...], batch: Batch) -> None:
        assert isinstance(outputs, Tensor)
        self.errors.append((outputs - batch.targets[0]).abs().mean(1).detach())

    def quick(self) -> dict[str, float]:
        return {"mae": float(torch.cat(self.errors).mean())}

    def result(self, groups: Tensor | None = None) -> Scores:
        errors = torch.cat(self.errors).numpy().astype(np.float64)
        found = bootstrap(partial(_mean, errors), len(errors), groups=None if groups is None else groups.numpy())["mae"]
        return Scores((Metric("mae", found.value, found.low, found.high, False),), len(errors))


def _mean(errors: NDArray[np.float64], rows: NDArray[np.intp]) -> Mapping[str, object]:
    return {"mae": lambda weights: weights @ errors[rows] / weights.sum(1)}


@final
@dataclass(frozen=True)
class Ahead(Task):
    """The next values of the target column, from windows of all columns."""

    horizon: int
    mean: float
    scale: float

    name: ClassVar[str] = "ahead"
    metric: ClassVar[str] = "mae"
    higher_is_better: ClassVar[bool] = False

    @staticmethod
    def matches(cells: pl.DataFrame) -> bool:
        return False

    @classmethod
    def frame(cls, raw: Raw, detail: str = "") -> Frames:
        table, (target,), ahead = raw.table, raw.targets, int(detail or 6)
        values = table.to_numpy().astype(np.float32)
        past = sliding_window_view(values[:-ahead], PAST, axis=0).swapaxes(1, 2)
        after = sliding_window_view(table[target].to_numpy()[PAST:].astype(np.float32), ahead)
        first = np.arange(len(past))
        return Frames(
            table=pl.DataFrame({"past": first, target: first}),
            spans=np.stack([first, first + PAST + ahead], axis=1),
            arrays={"past": past, target: after},
            kinds={"past": "series"},
        )

    @classmethod
    def learn(cls, cells: pl.DataFrame, schema: Schema = NO_INPUTS, detail: str = "") -> Self:
        values = cells.to_series().to_numpy()
        return cls(values.shape[1], float(values.mean()), float(values.std()))

    def encode(self, cells: pl.DataFrame) -> tuple[Tensor, ...]:
        return (torch.from_numpy(np.array(cells.to_series().to_numpy(), np.float32)),)

    def network(self, schema: Schema, recipe: Recipe) -> nn.Module:
        return joined(schema, recipe, self.horizon)

    def objective(self, recipe: Recipe) -> Objective:
        return lambda network, batch: F.mse_loss(network(*batch.inputs), batch.targets[0], reduction="none").mean(1)

    def score(self) -> Score:
        return Errors()

    def predict(self, network: nn.Module, batch: Batch) -> pl.DataFrame:
        return pl.DataFrame({"ahead": network(*batch.inputs).detach().numpy()})

    def chance_loss(self, targets: tuple[Tensor, ...]) -> float:
        return float(targets[0].var())

    def constant(self, targets: tuple[Tensor, ...]) -> Tensor:
        return targets[0].mean(0, keepdim=True)

    def describe(self) -> str:
        return f"the next {self.horizon} values"


def _series(path: Path) -> Path:
    generator, steps = np.random.default_rng(0), np.arange(STEPS)
    drift = np.cumsum(generator.normal(size=STEPS)) * 0.05
    y = np.sin(steps * 2 * np.pi / 24) + drift + generator.normal(size=STEPS) * 0.1
    pl.DataFrame({"y": y, "warm": generator.normal(size=STEPS)}).write_csv(path)
    return path


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(_series(tmp_path / "power.csv"), target="y", task=Ahead)


def _framed(source: Source) -> tuple[Split, Prepared]:
    dataset = read_source(source)
    parts = split(dataset, source)
    return parts, prepare(dataset, parts, source)


def test_windows_are_examples_and_their_targets_follow_them(source: Source) -> None:
    values = pl.read_csv(source.data)["y"].to_numpy()
    _, prepared = _framed(source)
    batch = next(prepared.train.batches(16, seed=1))
    assert batch.inputs[0].shape == (16, PAST, 2)
    assert batch.targets[0].shape == (16, 6)
    for row, inputs, targets in zip(batch.rows.tolist(), batch.inputs[0], batch.targets[0], strict=True):
        assert inputs[:, 0].numpy() == pytest.approx(values[row : row + PAST], rel=1e-5)
        assert targets.numpy() == pytest.approx(values[row + PAST : row + PAST + 6], rel=1e-5)
    assert prepared.train.locate(5).endswith("power.csv, line 7")


def test_no_two_parts_share_a_row_of_the_data_and_the_latest_windows_are_the_test_part(source: Source) -> None:
    parts, prepared = _framed(source)
    covered = [np.unique(rows[:, None] + np.arange(PAST + 6)) for rows in (parts.train, parts.valid, parts.test)]
    assert covered[0].max() < covered[1].min()
    assert covered[1].max() < covered[2].min()
    assert covered[2].max() == STEPS - 1
    lost = STEPS - PAST - 5 - len(parts.train) - len(parts.valid) - len(parts.test)
    assert lost == 2 * (PAST + 5)
    assert f"{lost} examples left out: they share rows of the data with a later part" in prepared.notes


def test_windows_are_cut_from_one_array_and_encoded_as_batches_take_them(source: Source) -> None:
    dataset = read_source(source)
    past, ahead = dataset.mapped["past"].arrays[0], dataset.mapped["y"].arrays[0]
    assert past.base is not None and ahead.base is not None
    _, prepared = _framed(source)
    assert prepared.train.is_indexed and not prepared.train.is_in_memory


def test_intervals_of_overlapping_windows_resample_blocks_of_them(source: Source) -> None:
    _, prepared = _framed(source)
    train = prepared.train
    assert train.spans is not None and train.groups is not None
    assert torch.equal(train.spans[:, 0], train.rows)
    assert torch.equal(train.groups, train.rows // (PAST + 6))
    score = prepared.task.score()
    for batch in prepared.test.batches(64, seed=None):
        score.add(torch.zeros(len(batch), 6), batch)
    (one,), (whole,) = score.result().metrics, score.result(prepared.test.groups).metrics
    assert one.value == whole.value
    assert whole.high - whole.low > 2 * (one.high - one.low)


def test_windows_are_trained_on_and_scored(source: Source) -> None:
    run = nw.train(source.data, target="y", task=Ahead, settings={"epochs": 3, "width": 16, "depth": 1})
    assert run.scores is not None
    assert run.scores.count == len(run.test)
    assert run.task.describe() == "the next 6 values"
