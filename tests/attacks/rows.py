"""Tables, texts and sequences with small networks that learned something from them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import torch
from torch import nn

from netwright.kinds.category import Category
from netwright.kinds.date import Date
from netwright.kinds.number import Number
from netwright.kinds.sequence import Sequence
from netwright.kinds.text import Text
from netwright.records.batch import Batch
from netwright.records.recipe import Recipe
from netwright.records.schema import Schema
from netwright.records.task import Task
from netwright.tasks.classification import Classification
from netwright.tasks.regression import Regression

SMALL = Recipe(width=16, depth=1, dropout=0.0)
NARROW = Recipe(width=4, depth=1, dropout=0.0)  # few dimensions: some of eight words are neighbors
STEPS = 60
WORDS = {"good": 1.0, "great": 1.0, "fine": 1.0, "bad": -1.0, "awful": -1.0, "poor": -1.0, "film": 0.0, "the": 0.0}


@dataclass(frozen=True)
class Learned:
    schema: Schema
    task: Task
    network: nn.Module
    batch: Batch


def learned(
    cells: pl.DataFrame, schema: Schema, task: Task, target: str | tuple[str, ...], recipe: Recipe = SMALL
) -> Learned:
    """All rows as one batch, and a network after some steps on it."""
    inputs, targets = schema.encode(cells), task.encode(cells.select(target))
    firsts = [block.fields[0] for block in schema.blocks]
    lengths = tuple(field.lengths(x) for field, x in zip(firsts, inputs, strict=True))
    batch = Batch(inputs, targets, torch.arange(len(cells)), lengths=lengths).cut()
    network = task.network(schema, recipe)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(STEPS):
        optimizer.zero_grad()
        task.losses(network, batch).mean().backward()
        optimizer.step()
    return Learned(schema, task, network.eval(), batch)


def table(rows: int = 48, seed: int = 0) -> pl.DataFrame:
    """Whole and fractional numbers, two categories and two dates, one cell of each missing; and two targets."""
    draw = np.random.default_rng(seed)
    age, weight = draw.integers(18, 90, rows), draw.normal(70, 9, rows).astype(np.float32)
    color, shape = draw.choice(["red", "green", "blue"], rows), draw.choice(["round", "long"], rows)
    days = draw.integers(0, 900, rows)
    moments = [datetime(2019, 5, 1) + timedelta(days=int(d), seconds=int(d) * 97) for d in days]
    signal = (age - 50) / 20 + (color == "red") + (shape == "long") - 0.5 + (days - 450) / 600
    columns = {
        "age": age.tolist(),
        "weight": weight.tolist(),
        "color": color.tolist(),
        "shape": shape.tolist(),
        "day": [moment.date() for moment in moments],
        "time": moments,
    }
    for place, name in enumerate(columns):
        columns[name] = [None if row == place else cell for row, cell in enumerate(columns[name])]
    return pl.DataFrame({**columns, "income": signal * 10, "rich": np.where(signal > 0, "yes", "no")}, strict=False)


def fields(cells: pl.DataFrame) -> Schema:
    kinds = (Number, Number, Category, Category, Date, Date)
    return Schema(tuple(kind.learn(c.name, c) for kind, c in zip(kinds, cells.iter_columns(), strict=False)))


def classified(rows: int = 48) -> Learned:
    cells = table(rows)
    return learned(cells, fields(cells), Classification.learn(cells.select("rich")), "rich")


def measured(rows: int = 48) -> Learned:
    cells = table(rows)
    return learned(cells, fields(cells), Regression.learn(cells.select("income")), "income")


def reviews(rows: int = 40, seed: int = 0) -> Learned:
    """Texts of five known words, a number and a full stop; the words say whether it was liked."""
    draw = np.random.default_rng(seed)
    drawn = [draw.choice(list(WORDS), 5).tolist() for _ in range(rows)]
    liked = ["yes" if sum(WORDS[word] for word in words) > 0 else "no" for words in drawn]
    texts = [f"{' '.join(words)} {2000 + row % 3}." for row, words in enumerate(drawn)]
    cells = pl.DataFrame({"text": texts, "liked": liked})
    schema = Schema((Text.learn("text", cells["text"]),))
    return learned(cells, schema, Classification.learn(cells.select("liked")), "liked", NARROW)


def genes(rows: int = 40, seed: int = 0) -> Learned:
    draw = np.random.default_rng(seed)
    texts = ["".join(draw.choice(list("ACGT"), 20 + row % 5)) for row in range(rows)]
    cells = pl.DataFrame({"gene": texts, "starts": ["yes" if text[0] in "AC" else "no" for text in texts]})
    schema = Schema((Sequence.learn("gene", cells["gene"]),))
    return learned(cells, schema, Classification.learn(cells.select("starts")), "starts")


def harm(case: Learned, after: Batch) -> torch.Tensor:
    """(B,): what an attack did."""
    with torch.no_grad():
        now, before = (case.task.answers(case.task.forward(case.network, b)) for b in (after, case.batch))
        return case.task.harm(now, before, case.batch)
