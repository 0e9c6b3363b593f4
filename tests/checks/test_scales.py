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
