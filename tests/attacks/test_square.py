import pytest
import torch
from tests.attacks import linear, museum
from torch import nn

from netwright.attacks.problem import judged
from netwright.attacks.space import Space
from netwright.attacks.square import square
from netwright.records.batch import Batch
from netwright.records.threat import Norm, Threat, Way
from netwright.tasks.classification import Classification
from netwright.tasks.regression import Regression

FAR = {"inf": 1.25, "2": 1.5}  # times the exact change: what random search finds in a few hundred queries


@pytest.mark.parametrize("norm", ["inf", "2"])
@pytest.mark.parametrize("labels", [2, 5])
def test_random_sets_of_values_beat_a_linear_network_near_the_exact_change(labels: int, norm: Norm):
    layer, task = linear.network(labels), linear.task(labels)
    rows = linear.rows(layer)
    exact = linear.smallest(layer, rows, norm)
    for factor, few in ((FAR[norm], False), (0.99, True)):
        threat = linear.threat(rows, float(exact.median()) * factor, norm)
        could = exact < threat.size / factor + 1e-6 if not few else exact < threat.size
        moved = square(layer, rows, task, threat, queries=400)
        harm = judged(layer, rows, moved, task, threat).bool()
        assert not (harm & (exact > threat.size)).any()
        assert few or harm[could].all()
        length = (moved.inputs[0] - rows.inputs[0]).norm(torch.inf if norm == "inf" else 2, dim=1)
        assert (length <= threat.size * 1.0001).all()


@pytest.mark.parametrize("norm", ["inf", "2"])
def test_squares_of_color_pictures_stay_in_reach(norm: Norm):
    x = torch.full((6, 3, 9, 7), 120, dtype=torch.uint8)
    x[:, :, 0] = 255
    x[:, :, 8] = 0
    rows = Batch((x,), (torch.zeros(6, dtype=torch.int64),), torch.arange(6))

    class Bright(nn.Module):
        """The second label wins if all pixels become 2 brighter on average."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            light = x.float().flatten(1).mean(1)
            return torch.stack([torch.full_like(light, float(rows.inputs[0].float().mean()) + 2), light], 1)

    size = 1.0 if norm == "inf" else 10.0
    threat = Threat((Way(torch.tensor(8.0), 0.0, 255.0),), size, norm)
    task = Classification(("a", "b"))
    moved = square(Bright(), rows, task, threat, queries=200)
    change = (moved.inputs[0] - x.float()) / 8
    assert moved.inputs[0].aminmax().min >= 0 and moved.inputs[0].aminmax().max <= 255
    assert (Space(rows, threat).length(change.flatten(1)) <= size * 1.0001).all()
    assert judged(Bright(), rows, moved, task, threat).all()


def test_numbers_are_moved_both_ways():
    layer, task = linear.network(1), Regression()
    rows = linear.rows(layer, count=4)
    rows = type(rows)(rows.inputs, (torch.zeros(4),), rows.rows)
    threat = linear.threat(rows, 0.5, "inf")
    moved = square(layer, rows, task, threat, queries=400)
    change = (layer(moved.inputs[0]) - layer(rows.inputs[0])).abs()[:, 0]
    assert (change > 0.9 * 0.5 * layer.weight.abs().sum()).all()


def test_the_same_seed_gives_the_same_points_whatever_was_drawn_before():
    rows = museum.rows(8)
    first = square(museum.plain(), rows, museum.DIGITS, museum.threat(rows), queries=30)
    torch.rand(3)
    second = square(museum.plain(), rows, museum.DIGITS, museum.threat(rows), queries=30)
    assert torch.equal(first.inputs[0], second.inputs[0])


def test_it_ends_after_queries_in_which_no_row_fell() -> None:
    batch = museum.rows(8)
    asked = []

    class Counted(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            asked.append(len(x))
            return museum.network("plain")(x)

    threat = museum.threat(batch, size=1e-4)  # too little to beat anything
    square(Counted().eval(), batch, museum.DIGITS, threat, queries=500, patience=10)
    assert len(asked) < 20
