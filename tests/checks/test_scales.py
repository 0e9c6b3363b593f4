import pytest
import torch
from tests.sick_trainings.loops import regression, rings, run
from torch import nn

import netwright as nw
from netwright.checks.training.evidence import of_run
from netwright.checks.training.scales import unnormalized_targets, validation_scale


@pytest.mark.parametrize(("times", "offset"), [(1e4, 0.0), (1.0, 1e4)])
def test_targets_that_no_answer_reaches_in_time_are_named_before_their_symptoms(times: float, offset: float) -> None:
    evidence = regression(times, offset)
    assert evidence.run is not None
    first = nw.diagnose(evidence.run).findings[0]
    assert (first.code, first.severity) == ("NW327", "error")


def test_targets_of_some_size_that_were_learned_are_fine() -> None:
    assert not list(unnormalized_targets(regression(times=5.0)))  # a mean of 30


@pytest.mark.parametrize("times", [0.3, 5.0])
def test_validation_inputs_on_another_scale_are_named_first(times: float) -> None:
    evidence = regression(valid_times=times)
    assert evidence.run is not None
    first = nw.diagnose(evidence.run).findings[0]
    assert (first.code, first.severity) == ("NW328", "error")


def test_a_part_that_drifted_in_two_columns_is_on_the_same_scale() -> None:
    one = run()
    x, y = rings()
    moved = x[500:] + torch.tensor([0.0] * 8 + [3.0, 5.0])
    drifted = nw.adopt(one.network, nn.CrossEntropyLoss(), (x[:500], y[:500]), (moved, y[500:]))
    assert not list(validation_scale(of_run(drifted)))


def test_inputs_that_a_loop_changes_in_its_data_are_named_with_both_spreads() -> None:
    x, y = rings()
    train, valid = (x[:500].clone(), y[:500]), (x[500:], y[500:])
    torch.manual_seed(0)
    network, loss = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 3)), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    with nw.watch(network, optimizer) as watch:
        for _ in range(12):
            for rows in torch.randperm(500).split(50):
                noisy = train[0][rows] + 0.7 * torch.randn(50, 10)
                train[0][rows] = noisy
                optimizer.zero_grad()
                loss(network(noisy), train[1][rows]).backward()
                optimizer.step()
    [found] = validation_scale(of_run(nw.adopt(network, loss, train, valid, watch=watch)))
    assert found.severity == "error"
    assert found.summary.startswith("the training inputs were changed: spread 1.1")
    assert found.remedies[0].advice.startswith("do not write changed inputs into the data")
