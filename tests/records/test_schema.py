from dataclasses import dataclass
from typing import ClassVar, Self, final

import polars as pl
import torch
from torch import Tensor, nn

from netwright.records.recipe import Recipe
from netwright.records.schema import Field, Schema, Signal


@final
@dataclass(frozen=True)
class Level(Field):
    kind: ClassVar[str] = "level"
    joins: ClassVar[bool] = True
    seen_as: ClassVar[str] = "level"

    @staticmethod
    def matches(cells: pl.Series) -> bool:
        return cells.dtype.is_numeric()

    @classmethod
    def learn(cls, name: str, cells: pl.Series, detail: str = "") -> Self:
        return cls(name, 0.0, 1.0, 0.0)

    def encode(self, cells: pl.Series) -> Tensor:
        return torch.tensor(cells.to_list(), dtype=torch.float32)

    @classmethod
    def stem(cls, fields: tuple[Self, ...], recipe: Recipe) -> tuple[nn.Module, Signal]:
        return nn.Identity(), Signal("vector", len(fields))

    def describe(self) -> str:
        return "levels"

    def show(self, cell: object, attribution: Tensor | None = None) -> str:
        return str(cell)


def test_columns_of_a_joining_kind_become_one_tensor_in_the_order_of_the_data():
    schema = Schema((Level("b", 0, 1, 0), Level("a", 0, 1, 0)))
    table = pl.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    (encoded,) = schema.encode(table)
    assert torch.equal(encoded, torch.tensor([[3.0, 1.0], [4.0, 2.0]]))
    assert [block.name for block in schema.blocks] == ["2 x level"]


def test_a_signal_is_told_in_words():
    assert str(Signal("map", 3, (28, 28))) == "3 x 28 x 28 map"
