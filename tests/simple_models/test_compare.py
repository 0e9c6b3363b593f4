import polars as pl
import torch

from netwright.data.examples import InMemory
from netwright.kinds.number import Number
from netwright.records.schema import Schema
from netwright.simple_models import constant
from netwright.simple_models.compare import compare
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
