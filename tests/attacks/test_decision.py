import pytest
import torch
from tests.attacks import linear, museum
from torch import nn

from netwright.attacks.decision import decision
from netwright.attacks.problem import judged
from netwright.records.batch import Batch
from netwright.records.errors import DataError
from netwright.records.threat import Norm, Threat, Way
from netwright.tasks.regression import Regression

FAR = {"inf": 1.1, "2": 1.4}  # times the exact change: what labels alone find in a thousand answers


class OneHot(nn.Module):
    """Says the label, and nothing else."""

    def __init__(self, inner: nn.Module, labels: int) -> None:
        super().__init__()
        self.inner, self.labels, self.asked = inner, labels, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.asked += len(x)
        return nn.functional.one_hot(self.inner(x).argmax(1), self.labels).float()


@pytest.mark.parametrize("norm", ["inf", "2"])
@pytest.mark.parametrize("labels", [2, 5])
def test_labels_alone_lead_near_the_exact_change_of_a_linear_network(labels: int, norm: Norm):
    layer, task = linear.network(labels), linear.task(labels)
    rows = linear.rows(layer, count=12)
    exact = linear.smallest(layer, rows, norm)
    size = float(exact.median()) * FAR[norm]
    ways = (Way(torch.tensor(1.0), -5.0, 5.0),)
    threat = Threat(ways, size, norm)
    moved = decision(OneHot(layer, labels), rows, task, threat)
    harm = judged(layer, rows, moved, task, threat).bool()
    assert harm[exact <= size / FAR[norm] + 1e-6].all()
    assert not (harm & (exact > size)).any()
    assert ((moved.inputs[0] - rows.inputs[0]).norm(torch.inf if norm == "inf" else 2, dim=1) <= size * 1.0001).all()


def test_no_more_answers_are_used_than_were_allowed():
    rows = museum.rows(4)
    network = OneHot(museum.plain(), 10)
    decision(network, rows, museum.DIGITS, museum.threat(rows, size=0.01), queries=50)
    assert network.asked <= 4 * (50 + 20)  # a started way back is finished; clean rows are answered too


def test_a_wanted_label_is_found():
    layer, task = linear.network(2), linear.task(2)
    rows = linear.rows(layer, count=4)
    goal = 1 - rows.targets[0]
    moved = decision(layer, rows, task, Threat((Way(torch.tensor(1.0), -5.0, 5.0),), 2.0, "inf", goal))
    assert torch.equal(layer(moved.inputs[0]).argmax(1), goal)


def test_numbers_have_no_decision():
    rows = Batch((torch.zeros(2, 12),), (torch.zeros(2),), torch.arange(2))
    with pytest.raises(DataError, match="not right or wrong"):
        decision(linear.network(1), rows, Regression(), linear.threat(rows, 1.0, "inf"))
