import numpy as np
import polars as pl
import torch

from netwright.data.examples import InMemory
from netwright.data.prepare import prepare
from netwright.data.read import read
from netwright.data.split import split
from netwright.kinds.image import Image
from netwright.kinds.number import Number
from netwright.records.schema import Schema
from netwright.simple_models import constant
from netwright.simple_models.compare import MOST_COLUMNS, compare, models_of
from netwright.tasks.classification import Classification


def test_a_simple_model_that_fails_is_a_note():
    def broken(x, wanted, seed=0):
        raise ValueError("singular")

    rows, task = torch.arange(40), Classification(("a", "b"))
    inputs, targets = (torch.arange(40.0)[:, None],), (rows % 2,)
    schema = Schema((Number.learn("x", pl.Series(range(40))),))
    data = [InMemory(inputs, targets, part, str) for part in (rows[:30], rows[30:])]
    scores, notes = compare({"constant": constant.fit, "broken": broken}, schema, task, *data)
    assert [name for name, _ in scores] == ["constant"]
    assert notes == ("the broken model failed: ValueError: singular",)


def test_nearest_neighbors_are_compared_for_pictures_and_series_alone() -> None:
    task = Classification(("a", "b"))
    number = Number.learn("x", pl.Series(range(40)))
    picture = Image.learn("p", pl.Series([np.zeros((4, 4), np.uint8)] * 9, dtype=pl.Array(pl.UInt8, (4, 4))))
    assert list(models_of(task, Schema((number,)))) == ["constant", "linear", "boosted trees"]
    for fields in ((picture,), (number, picture)):
        assert list(models_of(task, Schema(fields))) == ["constant", "linear", "nearest neighbors", "boosted trees"]


def test_models_of_few_columns_get_few_of_a_picture_and_the_linear_model_all() -> None:
    seen = dict[str, int]()

    def fit(name):
        def model(x, wanted, seed=0):
            seen[name] = x.shape[1]
            return constant.fit(x, wanted, seed)

        return model

    generator = np.random.default_rng(0)
    dataset = read((generator.integers(0, 256, (60, 32, 32), dtype=np.uint8), generator.integers(0, 2, 60)))
    prepared = prepare(dataset, split(dataset))
    names = ("linear", "boosted trees", "nearest neighbors")
    compare({n: fit(n) for n in names}, prepared.schema, prepared.task, prepared.train, prepared.test)
    assert seen["linear"] == 1024
    assert seen["boosted trees"] == seen["nearest neighbors"] <= MOST_COLUMNS
