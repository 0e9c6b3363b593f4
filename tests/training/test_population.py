from collections.abc import Mapping

import polars as pl
import pytest
import torch

from netwright.data.examples import InMemory
from netwright.kinds.category import Category
from netwright.kinds.number import Number
from netwright.records.history import Epoch
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.records.schema import Schema
from netwright.records.task import Task
from netwright.tasks.classification import Classification
from netwright.tasks.multilabel import Multilabel
from netwright.tasks.regression import Regression
from netwright.training.fit import Events, fit
from netwright.training.population import Halving, population, unstackable
from netwright.training.weights import named

ROWS, TRAINED = 150, 120
SETTINGS = {"epochs": 4, "width": 16, "depth": 3, "batch_size": 32, "dropout": 0.2, "embedding": "none"}
# Each differs from the defaults in what members of one stack may differ in.
MIX: tuple[dict[str, object], ...] = (
    {"seed": 1, "lr": 3e-3, "dropout": 0.0, "momentum": 0.8, "clip": 0.0},
    {"seed": 2, "weight_decay": 0.3, "average": 0.5, "schedule": "cosine", "warmup": 0.5, "clip": 0.05},
    {"seed": 3, "beta2": 0.9, "epochs": 2, "dropout": 0.6, "l1": 1e-3, "keep": "last"},
    {"seed": 3, "lr": 0.03, "patience": 1, "schedule": "plateau", "epochs": 6},
)
CLOSE = 1e-5  # float32 sums in another order, over 16 steps; the same settings with another seed differ by 0.1 and more


def table(seed: int = 0) -> pl.DataFrame:
    """Two numbers, one with gaps, and a category; the answers depend on all three."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(ROWS, 2, generator=generator)
    color = torch.randint(0, 3, (ROWS,), generator=generator)
    y = x[:, 0] + x[:, 1].abs() + color
    return pl.DataFrame(
        {
            "a": x[:, 0].numpy(),
            "b": [None if k % 7 == 0 else v for k, v in enumerate(x[:, 1].tolist())],
            "color": [("red", "green", "blue")[k] for k in color.tolist()],
            "class": [("low", "middle", "high")[k] for k in torch.bucketize(y, torch.tensor([0.5, 2.0])).tolist()],
            "y": y.numpy(),
            "odd": [[name for name, is_on in (("p", v > 1), ("q", v < 2)) if is_on] for v in y.tolist()],
        }
    )


CELLS = table()
TARGETS: dict[type[Task], str] = {Classification: "class", Regression: "y", Multilabel: "odd"}


def runs_of(task: type[Task], mix: tuple[Mapping[str, object], ...] = MIX, **shared: object) -> list[Run]:
    """A run for each of the settings, on folds of different sizes."""
    target = CELLS.select(TARGETS[task])
    learned = task.learn(target[:TRAINED])
    schema = Schema(
        (*(Number.learn(n, CELLS[n][:TRAINED]) for n in ("a", "b")), Category.learn("color", CELLS["color"][:TRAINED]))
    )
    inputs, targets = schema.encode(CELLS), learned.encode(target)
    runs: list[Run] = []
    for fold, own in enumerate(mix):
        recipe = Recipe().edit({**SETTINGS, **shared, **own})
        held_out = torch.arange(ROWS) % 5 == fold % 5
        held_out[: fold * 3] = False  # no two folds are of one size
        train = InMemory(inputs, targets, torch.where(~held_out)[0], "row {}".format)
        valid = InMemory(inputs, targets, torch.where(held_out)[0], "row {}".format)
        network = learned.network(schema, recipe)
        runs.append(Run(network, learned, schema, recipe, train, valid, valid, lambda: network))
    return runs


def outcome(events: Events) -> Run:
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


def trained(runs: list[Run], halving: Halving | None = None) -> tuple[list[tuple[int, Epoch]], list[Run]]:
    told: list[tuple[int, Epoch]] = []
    events = population(runs, halving=halving)
    while True:
        try:
            index, event = next(events)
        except StopIteration as end:
            return told, list(end.value)
        if isinstance(event, Epoch):
            told.append((index, event))


def check_same(together: Run, alone: Run, close: float = CLOSE) -> None:
    assert together.history.ended == alone.history.ended
    assert len(together.history.epochs) == len(alone.history.epochs)
    for ours, theirs in zip(together.history.epochs, alone.history.epochs, strict=True):
        assert (ours.epoch, ours.step, ours.is_best) == (theirs.epoch, theirs.step, theirs.is_best)
        assert ours.lr == theirs.lr
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=close)
        assert ours.grad_norm == pytest.approx(theirs.grad_norm, rel=close * 10)
        assert ours.valid == pytest.approx(theirs.valid, rel=close * 10, abs=close)
    found, wanted = named(together.network), named(alone.network)
    assert found.keys() == wanted.keys()
    for name in wanted:
        assert torch.allclose(found[name], wanted[name], rtol=0, atol=close), name
    assert not together.network.training


@pytest.mark.parametrize("task", TARGETS, ids=lambda task: task.name)
@pytest.mark.parametrize("members", [1, 3])
def test_results_equal_those_of_training_alone(task: type[Task], members: int) -> None:
    runs = runs_of(task, members=members)
    assert not any(map(unstackable, runs))
    for together, run in zip(trained(runs)[1], runs, strict=True):
        check_same(together, outcome(fit(run)))
