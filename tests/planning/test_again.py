"""Trainings made again are those that the same training makes from other seeds or with fewer rows."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from netwright.planning.again import trained_again
from netwright.planning.quick import trained
from netwright.records.errors import DataError
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.tasks.classification import Classification
from netwright.training.adopt import adopt

SETTINGS = {
    "epochs": 3, "batch_size": 10, "patience": 2, "adapt": False, "threads": 1, "precision": "fp32",
    "kernels": "torch", "compile": "never", "optimizer": "sgd", "lr": 0.1,
}  # fmt: skip


def run(*, is_loader: bool = False) -> Run:
    x = torch.randn(120, 3, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 0).long()
    train = list(zip(x.split(10), y.split(10), strict=True)) if is_loader else (x, y)
    recipe = Recipe().edit(SETTINGS)
    build = lambda: nn.Linear(3, 2)  # noqa: E731  a network in one line
    torch.manual_seed(0)
    return adopt(build(), Classification(("a", "b")), train, (x[:60], y[:60]), recipe=recipe, build=build)


def test_half_of_the_rows_are_drawn_by_the_seed_and_take_as_many_steps():
    said = list[object]()
    whole, (one, other) = trained([run()], said.append)[0], trained_again(run(), said.append, 0.5, (1, 2))
    assert len(one.train) == len(other.train) == 60
    rows = [set(torch.cat([b.rows for b in each.train.batches(60, seed=None)]).tolist()) for each in (one, other)]
    assert rows[0] != rows[1]
    assert one.history.epochs[-1].step == whole.history.epochs[-1].step == 36
    assert one.recipe.patience == 4
    assert any("50% of the rows: 2 trainings" in str(note) for note in said)


def test_the_same_seed_gives_the_same_network_and_another_seed_another():
    first, second = trained_again(run(), print, 1.0, (0, 1))
    (again,) = trained_again(replace(run(), recipe=Recipe().edit({**SETTINGS, "seed": 5})), print, 1.0, (1,))
    assert torch.equal(second.network.weight, again.network.weight)
    assert not torch.equal(first.network.weight, second.network.weight)


def test_a_loader_cannot_be_halved():
    assert len(trained_again(run(is_loader=True), print, 1.0, (1,))) == 1
    with pytest.raises(DataError, match="from a loader cannot be subsampled"):
        trained_again(run(is_loader=True), print, 0.5, (1,))
