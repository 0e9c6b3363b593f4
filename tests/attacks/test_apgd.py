import pytest
import torch
from tests.attacks import linear

from netwright.attacks.apgd import apgd, apgd_targeted
from netwright.attacks.pgd import pgd
from netwright.attacks.problem import Problem, judged
from netwright.records.errors import DataError
from netwright.records.threat import Norm
from netwright.tasks.regression import Regression

CLOSE = 1.01  # times the exact change: what is found
SHORT = 0.99  # times the exact change: what no attack can do


@pytest.mark.parametrize("norm", ["inf", "2"])
@pytest.mark.parametrize(("attack", "labels"), [(pgd, 2), (apgd, 2), (apgd_targeted, 2), (apgd_targeted, 5)])
def test_ascent_finds_the_exact_change_that_beats_a_linear_network_and_no_smaller_one(attack, labels: int, norm: Norm):
    layer, task = linear.network(labels), linear.task(labels)
    rows = linear.rows(layer)
    exact = linear.smallest(layer, rows, norm)
    options = {apgd: {}, apgd_targeted: {"labels": 4}, pgd: {"loss": "margin", "stride": 0.25}}[attack]
    for place in (3, 10):
        row = rows.pick(torch.tensor([place]))
        for factor, beaten in ((CLOSE, 1.0), (SHORT, 0.0)):
            threat = linear.threat(row, float(exact[place]) * factor, norm)
            moved = attack(layer, row, task, threat, steps=100, **options)
            assert float(judged(layer, row, moved, task, threat)) == beaten
            change = (moved.inputs[0] - row.inputs[0]).norm(torch.inf if norm == "inf" else 2)
            assert float(change) <= threat.size * 1.0001


@pytest.mark.parametrize("loss", ["cross_entropy", "margin", "dlr"])
@pytest.mark.parametrize("labels", [2, 3, 4])
def test_every_loss_works_if_the_network_is_so_sure_that_probabilities_are_0_and_1(loss: str, labels: int):
    layer, task = linear.network(labels), linear.task(labels)
    rows = linear.rows(layer)
    threat = linear.threat(rows, float(linear.smallest(layer, rows, "inf").max()) * 1.5, "inf")
    with torch.no_grad():
        layer.weight *= 1000
    for attack in (apgd, apgd_targeted):
        moved = attack(layer, rows, task, threat, steps=20, loss=loss)
        assert judged(layer, rows, moved, task, threat).all()


@pytest.mark.parametrize("norm", ["inf", "2"])
def test_a_wanted_label_is_reached(norm: Norm):
    layer, task = linear.network(4), linear.task(4)
    rows = linear.rows(layer)
    goal = (rows.targets[0] + 1) % 4
    threat = linear.threat(rows, 10.0, norm, goal)
    for attack in (apgd, apgd_targeted):
        moved = attack(layer, rows, task, threat, steps=20)
        assert torch.equal(layer(moved.inputs[0]).argmax(1), goal)


def test_rows_that_are_wrong_at_the_start_stay_as_they_are():
    layer, task = linear.network(3), linear.task(3)
    rows = linear.rows(layer)
    wrong = type(rows)(rows.inputs, ((rows.targets[0] + 1) % 3,), rows.rows)
    moved = apgd(layer, wrong, task, linear.threat(wrong, 1.0, "inf"))
    assert torch.equal(moved.inputs[0], rows.inputs[0])


def test_numbers_are_raised_and_lowered_as_far_as_they_go():
    layer, task = linear.network(1), Regression()
    rows = linear.rows(layer, count=4)
    rows = type(rows)(rows.inputs, (torch.zeros(4),), rows.rows)
    threat = linear.threat(rows, 0.5, "inf")
    moved = apgd(layer, rows, task, threat, steps=20)
    change = (layer(moved.inputs[0]) - layer(rows.inputs[0])).abs()[:, 0]
    torch.testing.assert_close(change, (0.5 * layer.weight.abs().sum()).expand(4), rtol=1e-3, atol=0.0)
    with pytest.raises(DataError, match="no wrong labels to aim at"):
        apgd_targeted(layer, rows, task, threat)


def test_no_rows_are_no_work():
    layer, task = linear.network(3), linear.task(3)
    rows = linear.rows(layer)
    none = rows.pick(torch.tensor([], dtype=torch.int64))
    for attack in (apgd, apgd_targeted):
        assert len(attack(layer, none, task, linear.threat(none, 1.0, "inf"))) == 0


def test_missing_values_stay_missing_and_bounds_hold():
    layer, task = linear.network(3), linear.task(3)
    rows = linear.rows(layer)
    x = rows.inputs[0].clone()
    x[:, 3] = torch.nan
    holed = type(rows)((x,), rows.targets, rows.rows)

    class Filled(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return layer(x.nan_to_num(0.0))

    threat = linear.threat(holed, 1.0, "inf")
    moved = apgd(Filled(), holed, task, threat, steps=10).inputs[0]
    assert moved[:, 3].isnan().all()
    assert not moved[:, :3].isnan().any()


def test_a_network_without_gradients_leaves_rows_that_random_points_do_not_beat():
    layer, task = linear.network(3), linear.task(3)

    class Cut(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return layer(x.detach())

    rows = linear.rows(layer)
    threat = linear.threat(rows, 0.1, "inf")
    problem = Problem(Cut(), rows, task, threat)
    _, gradient, _ = problem.gradient(problem.space.zeros(), "margin")
    assert not gradient.any()
    assert len(apgd(Cut(), rows, task, threat, steps=5)) == len(rows)
