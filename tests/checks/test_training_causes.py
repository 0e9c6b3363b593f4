from dataclasses import replace

import pytest
import torch
from benchmarks.zoo.cases import BASES
from benchmarks.zoo.plans import Plan
from benchmarks.zoo.trainings import trained

from netwright.checks import TRAINING_STAGES
from netwright.checks.training.curves import oscillation
from netwright.checks.training.evidence import TrainingEvidence, diagnose
from netwright.checks.training.gradients import gradients_not_cleared, parameters_not_training
from netwright.checks.training.plan import batch_too_small, penalty_dominates
from netwright.records.watched import Watched

SGD: dict[str, object] = {"optimizer": "sgd", "lr": 0.05}


def evidence(where: str, **changes: object) -> TrainingEvidence:
    family, data = where.split("/")
    return trained(Plan(family, data, 1).edit({**BASES[where], **changes}))


@pytest.mark.parametrize(
    ("where", "changes", "code"),
    [
        ("dense/tabular", {**SGD, "change": "uneven", "amount": 3.0}, "NW321"),  # not exploding gradients
        ("dense/tabular", {"constant": 0.05}, "NW305"),  # not underfitting
        ("dense/digits", {**SGD, "clip": 0.0, "depth": 4, "activation": "Exp"}, "NW301"),  # not unable to learn
    ],
)
def test_the_cause_is_told_before_its_symptoms(where: str, changes: dict[str, object], code: str):
    assert diagnose(evidence(where, **changes), TRAINING_STAGES).findings[0].code == code


def test_a_small_penalty_is_found_by_releasing_the_trained_network_from_it():
    assert [finding.severity for finding in penalty_dominates(evidence("dense/digits", l1=0.02))] == ["warning"]
    assert not list(penalty_dominates(evidence("dense/digits", l1=1e-5)))


def test_a_rate_that_is_lost_in_rounding_is_no_parameter_that_does_not_train():
    seen = evidence("conv/bars", lr=1e-7, rows=200, epochs=1)
    assert seen.watched.never_updated
    assert not list(parameters_not_training(seen))


def test_clearing_gradients_every_few_steps_is_found_though_few_steps_were_watched():
    seen = replace(evidence("dense/blobs"), watched=Watched(looked=13, uncleared=3))
    assert [finding.severity for finding in gradients_not_cleared(seen)] == ["error"]
    once = replace(seen, watched=Watched(looked=13, uncleared=1))
    assert not list(gradients_not_cleared(once))


def test_a_parameter_that_steps_on_a_copy_move_was_forgotten():
    forgotten = replace(evidence("dense/blobs"), watched=Watched(looked=13, never_updated=("blocks.1.0.weight",)))
    assert [finding.layers for finding in parameters_not_training(forgotten)] == [("blocks.1.0.weight",)]


def test_of_tiny_batches_with_batch_norm_is_told_what_batch_mates_decide():
    findings = list(batch_too_small(evidence("dense/circles", norm="batch", batch_size=4, rows=200, epochs=2)))
    assert len(findings) == 1
    assert 0 < findings[0].measures[-1].value < 1
    assert not list(batch_too_small(evidence("dense/circles", norm="batch", batch_size=16, rows=200, epochs=10)))


def test_moves_within_the_noise_of_few_rows_are_no_oscillation():
    seen = evidence("dense/blobs")
    moves = [0.41, 0.42, 0.41, 0.42, 0.41, 0.42, 0.41]
    first = seen.history.epochs[0]
    epochs = tuple(replace(first, epoch=k + 1, valid={"loss": loss}) for k, loss in enumerate(moves))
    assert not list(oscillation(replace(seen, history=replace(seen.history, epochs=epochs))))


def test_diagnosing_leaves_weights_and_generators_as_they_were():
    seen = evidence("dense/circles", constant=0.0, l1=0.01, norm="batch", batch_size=4, epochs=1, rows=200)
    before = {name: value.clone() for name, value in seen.network.state_dict().items()}
    torch.manual_seed(7)
    state = torch.get_rng_state()
    diagnose(seen, TRAINING_STAGES)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in seen.network.state_dict().items())
