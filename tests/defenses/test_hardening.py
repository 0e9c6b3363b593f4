"""What a recipe says of the adversary in training."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

import netwright as nw
from netwright.defenses.hardening import UNSEEN, hardening_of, moving
from netwright.records.errors import DataError
from netwright.records.run import Run

TINY = {
    "epochs": 1, "width": 4, "depth": 1, "members": 1, "precision": "fp32", "kernels": "torch", "compile": "never",
    "threads": 1,
}  # fmt: skip
NUMBERS = np.random.default_rng(0).normal(size=60).round(3)
WORDS = [("red", "green", "blue")[i % 3] for i in range(60)]


def run_of(**columns: object) -> Run:
    table = pl.DataFrame({**columns, "y": ["a" if i % 3 else "b" for i in range(60)]})
    return nw.train(table, target="y", settings=TINY, audit=False, diagnose=False)


def edited(run: Run, **settings: object) -> Run:
    return replace(run, recipe=run.recipe.edit(settings))


def test_the_reach_is_a_share_of_the_range_or_what_a_person_would_not_notice() -> None:
    run = run_of(x=NUMBERS)
    field = run.schema.inputs[0]
    small = moving(hardening_of(run))
    assert small.size == 1.0
    assert float(small.ways[0].unit) == pytest.approx(field.reach)
    large = moving(hardening_of(edited(run, defense_eps=0.2, defense_norm="2")))
    assert (large.size, large.norm) == (0.2, "2")
    assert float(large.ways[0].unit) == pytest.approx(field.high - field.low)


def test_words_and_categories_stay_in_training_and_alone_they_are_refused() -> None:
    both = moving(hardening_of(run_of(x=NUMBERS, color=WORDS)))
    assert sorted(way.moves for way in both.ways) == [False, True]
    with pytest.raises(DataError, match="no input has values that can move"):
        moving(hardening_of(run_of(color=WORDS)))


def test_the_inputs_of_an_own_network_move_between_its_bounds() -> None:
    x, y = torch.rand(20, 3), torch.arange(20) % 2
    run = nw.adopt(nn.Linear(3, 2), nn.CrossEntropyLoss(), (x, y), bounds=(0.0, 2.0))
    threat = moving(hardening_of(run))
    assert threat.size == UNSEEN
    assert [float(way.unit) for way in threat.ways if way.unit is not None] == [2.0]
    with pytest.raises(DataError, match="range of the inputs of this network is unknown") as error:
        moving(hardening_of(replace(run, bounds=None)))
    assert "bounds=" in error.value.remedy


def test_the_teacher_is_another_run() -> None:
    run = run_of(x=NUMBERS)
    assert hardening_of(run).teacher is None
    hardening = hardening_of(edited(replace(run, teacher=run), temperature=5.0))
    assert (hardening.teacher, hardening.temperature) == (run.network, 5.0)
