import pytest
import torch
from tests.attacks import linear, museum
from torch import nn

from netwright.attacks.minimal import minimal, smallest
from netwright.attacks.problem import judged
from netwright.records.batch import Batch
from netwright.records.errors import DataError
from netwright.records.threat import Norm, Threat, Way
from netwright.tasks.classification import Classification
from netwright.tasks.regression import Regression


@pytest.mark.parametrize("norm", ["inf", "2"])
@pytest.mark.parametrize("labels", [2, 5])
def test_norms_on_a_linear_network_are_the_exact_ones_of_two_labels_and_near_them_of_more(labels: int, norm: Norm):
    layer, task = linear.network(labels), linear.task(labels)
    rows = linear.rows(layer)
    exact = linear.smallest(layer, rows, norm)
    threat = linear.threat(rows, 10.0, norm)
    moved, norms = smallest(layer, rows, task, threat)
    assert (norms >= exact * 0.9999).all()
    assert (norms <= exact * (1.001 if labels == 2 else 1.5)).all()  # the nearest label at first is not always nearest
    assert (norms <= exact * 1.001).float().mean() > 0.7
    assert judged(layer, rows, moved, task, threat).all()
    change = (moved.inputs[0] - rows.inputs[0]).norm(torch.inf if norm == "inf" else 2, dim=1)
    torch.testing.assert_close(change, norms, rtol=1e-4, atol=1e-5)


def test_rows_that_are_wrong_need_nothing_and_rows_out_of_reach_have_no_norm():
    layer, task = linear.network(3), linear.task(3)
    rows = linear.rows(layer)
    targets = rows.targets[0].clone()
    targets[0] = (targets[0] + 1) % 3
    exact = linear.smallest(layer, rows, "inf")
    size = float(exact.median())
    moved, norms = smallest(layer, Batch(rows.inputs, (targets,), rows.rows), task, linear.threat(rows, size, "inf"))
    assert norms[0] == 0
    out = exact > size
    assert norms[1:][out[1:]].isinf().all()
    assert (norms[1:][(exact < size * 0.9)[1:]] <= size).all()
    assert torch.equal(moved.inputs[0][out], rows.inputs[0][out])


def test_the_norm_of_whole_numbers_is_the_one_after_rounding():
    class Tall(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([-x, x - 41.0], 1)  # the second label wins above 20.5

    rows = Batch((torch.full((1, 1), 18.0),), (torch.zeros(1, dtype=torch.int64),), torch.arange(1))
    threat = Threat((Way(torch.tensor(1.0), 0.0, 100.0, step=1.0),), 10.0)
    moved, norms = smallest(Tall(), rows, Classification(("a", "b")), threat)
    assert (float(moved.inputs[0]), float(norms)) == (21.0, 3.0)


def test_a_median_of_pictures_lies_where_half_of_them_fall_to_ascent():
    rows = museum.rows(64)
    _, norms = smallest(museum.plain(), rows, museum.DIGITS, museum.threat(rows, size=0.5))
    middle = float(norms.median())
    threat = museum.threat(rows, size=middle)
    moved = minimal(museum.plain(), rows, museum.DIGITS, threat)
    share = float(judged(museum.plain(), rows, moved, museum.DIGITS, threat).mean())
    assert 0.45 <= share <= 0.6


def test_numbers_have_no_smallest_change():
    rows = Batch((torch.zeros(2, 12),), (torch.zeros(2),), torch.arange(2))
    with pytest.raises(DataError, match="not right or wrong"):
        minimal(linear.network(1), rows, Regression(), linear.threat(rows, 1.0, "inf"))
