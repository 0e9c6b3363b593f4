import numpy as np
import polars as pl
import pytest
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


def test_the_network_s_lead_is_paired_row_by_row() -> None:
    """Two models that differ in 12 of 400 rows: their own intervals overlap widely, the paired one excludes 0."""
    rows = torch.arange(800)
    labels = (rows % 10 < 6).long()
    task, schema = Classification(("a", "b")), Schema((Number.learn("x", pl.Series(range(800))),))
    train, test = (InMemory((labels[:, None].float(),), (labels,), part, str) for part in (rows[:400], rows[400:]))

    def wrong_in(count: int):
        def fit(_x, _wanted, _seed=0):
            return lambda x: torch.stack([torch.zeros(len(x)), torch.where(torch.arange(len(x)) < count, -1, 1)
                                          * (2 * labels[400:] - 1)], 1)  # fmt: skip

        return fit

    scores = [task.score() for _ in range(2)]
    for score, count in zip(scores, (20, 32), strict=True):
        for batch in test.batches(400, seed=None):
            score.add(wrong_in(count)(None, None)(batch.inputs[0]), batch)
    (_, found), *_ = compare({"linear": wrong_in(32)}, schema, task, train, test, scores[0])[0]
    plain = [score.result()["accuracy"] for score in scores]
    assert plain[1].high > plain[0].low
    lead = scores[0].lead(scores[1], "accuracy")
    assert lead is not None and found.lead is not None
    assert lead.value == pytest.approx(12 / 400)
    assert lead.low > 0
    assert (found.lead.name, found.lead.value > 0) == (found.metrics[0].name, True)


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
