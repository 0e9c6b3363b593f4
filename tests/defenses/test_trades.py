"""Right answers, and the same answers nearby."""

import pytest
import torch
from torch import Tensor, nn

from netwright.attacks.ways import ways_between
from netwright.defenses.trades import BETA, trades
from netwright.machine.randomness import seeded
from netwright.records.batch import Batch
from netwright.records.errors import DataError
from netwright.records.threat import FIXED, Hardening, Threat
from netwright.tasks.classification import Classification

TASK = Classification(("a", "b"))


def plain(network: nn.Module, batch: Batch) -> Tensor:
    return TASK.losses(network, batch)


def test_it_adds_the_change_of_the_answers_where_they_change_most() -> None:
    network = nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[-4.0], [4.0]]))
    x = torch.full((8, 1), 0.2)
    batch = Batch((x,), (torch.ones(8, dtype=torch.int64),), torch.arange(8))
    hardening = Hardening(Threat(ways_between((x,), -1.0, 1.0), 0.1))
    with seeded(0):
        found = trades(plain, TASK, hardening)(network, batch)
    still = network(x).log_softmax(1)
    for change in (-0.2, 0.2):  # the divergence rises on both sides of a row, and an ascent ends on one of them
        apart = (still.exp() * (still - network(x + change).log_softmax(1))).sum(1)
        expected = plain(network, batch) + BETA * apart
        assert torch.isclose(found, expected, rtol=1e-3).any()


def test_nothing_to_move_is_refused() -> None:
    with pytest.raises(DataError, match="can move a little"):
        trades(plain, TASK, Hardening(Threat((FIXED,), 0.1)))
