import torch
from tests.attacks import museum
from torch import nn

from netwright.attacks.campaign import Campaign
from netwright.attacks.signs import borrowed, planted, without_gradient
from netwright.attacks.ways import ways_between
from netwright.records.batch import Batch
from netwright.records.threat import Threat


def test_planted_answers_are_found_in_an_honest_network_and_missed_behind_rounded_inputs() -> None:
    batch = museum.rows(12)
    threat = museum.threat(batch)
    found, there = planted(museum.network("plain"), batch, museum.DIGITS, threat, "pgd")
    assert there > 6 and found == there
    found, there = planted(museum.network("quantized"), batch, museum.DIGITS, threat, "pgd")
    assert there > 6 and found < there / 2


def test_nothing_is_planted_without_a_last_linear_layer() -> None:
    batch = museum.rows(2)
    network = nn.Sequential(nn.Conv2d(1, 10, 8), nn.Flatten())
    assert planted(network, batch, museum.DIGITS, museum.threat(batch), "pgd") == (0, 0)


def test_planting_leaves_the_network_as_it_was() -> None:
    network, batch = museum.network("plain"), museum.rows(2)
    with torch.no_grad():
        before = network(batch.inputs[0])
    planted(network, batch, museum.DIGITS, museum.threat(batch), "pgd")
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    with torch.no_grad():
        assert torch.equal(network(batch.inputs[0]), before)


def test_rounding_stops_every_gradient_and_an_honest_network_none() -> None:
    batch = museum.rows(8)
    threat = museum.threat(batch)
    assert without_gradient(museum.network("quantized"), batch, museum.DIGITS, threat).all()
    assert not without_gradient(museum.network("plain"), batch, museum.DIGITS, threat).any()


def test_a_row_takes_the_values_of_a_row_of_another_label_that_are_in_reach() -> None:
    batch = museum.rows(40)
    network = museum.network("plain")
    everything = Campaign(network, batch, museum.DIGITS, museum.threat(batch, size=1.0))
    assert borrowed(everything, everything.right).sum() > 30
    little = Campaign(network, batch, museum.DIGITS, museum.threat(batch, size=0.01))
    assert borrowed(little, little.right).sum() < 5
    nobody = torch.zeros(40, dtype=torch.bool)
    assert not borrowed(everything, nobody).any()


def test_the_size_of_a_reach_is_in_shares_of_the_range() -> None:
    batch = Batch((torch.full((1, 1), 5.0),), (torch.zeros(1, dtype=torch.int64),), torch.zeros(1, dtype=torch.int64))
    threat = Threat(ways_between(batch.inputs, 0.0, 10.0), 0.1)
    network = nn.Linear(1, 10)
    moved = Campaign(network, batch, museum.DIGITS, threat)
    for _, attacked in moved.attacked("pgd", torch.ones(1, dtype=torch.bool), threat, {}):
        assert 4.0 - 1e-5 <= float(attacked.inputs[0]) <= 6.0 + 1e-5
