"""One step of attack in training, and how its failure is noticed."""

import torch
from torch import Tensor, nn

from netwright.attacks.ways import ways_between
from netwright.defenses.fast import STRIDE, fast, has_collapsed
from netwright.defenses.worst import worst
from netwright.machine.randomness import seeded
from netwright.records.batch import Batch
from netwright.records.threat import Hardening, Threat
from netwright.tasks.classification import Classification

TASK = Classification(("a", "b"))
EPS = 0.1


def rows() -> Batch:
    x = torch.full((32, 1), 0.5)
    return Batch((x,), (torch.zeros(32, dtype=torch.int64),), torch.arange(32))


def threat() -> Threat:
    return Threat(ways_between(rows().inputs, 0.0, 1.0), EPS)


def linear(network: nn.Module, batch: Batch) -> Tensor:
    return 1 + batch.inputs[0][:, 0]


def overshot(network: nn.Module, batch: Batch) -> Tensor:
    """A loss that answers the one step: high in between, low at the end of it."""
    away = (batch.inputs[0][:, 0] - 0.5).abs() / EPS
    return torch.where(away < 0.95, 10 * away, 0.01 + 5 * (1 - away))


def collapses(objective: object) -> bool:
    with seeded(0):
        moved = worst(nn.Identity(), rows(), objective, threat(), steps=1, stride=STRIDE)  # pyright: ignore[reportArgumentType]  one of the two above
        return has_collapsed(nn.Identity(), rows(), moved, objective, threat())  # pyright: ignore[reportArgumentType]  as above


def test_a_loss_that_rises_evenly_is_sound() -> None:
    assert not collapses(linear)


def test_a_loss_that_is_low_only_after_one_step_has_collapsed_and_more_steps_are_trained_on() -> None:
    assert collapses(overshot)
    with seeded(0):
        one = worst(nn.Identity(), rows(), overshot, threat(), steps=1, stride=STRIDE)
    with seeded(0):
        losses = fast(overshot, TASK, Hardening(threat()))(nn.Identity(), rows())
    assert losses.mean() > 10 * overshot(nn.Identity(), one).mean()
