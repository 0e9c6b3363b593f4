"""Proven radii: against the closed form for a linear network."""

import pytest
import torch
from torch import Tensor, nn

from netwright.defenses.certificate import certify
from netwright.models.guards import Smoothed
from netwright.records.batch import Batch
from netwright.records.threat import FIXED, Way
from netwright.tasks.classification import Classification

TASK = Classification(("below", "above"))
SPREAD = 0.25


class Line(nn.Module):
    """Above or below the diagonal; the second input says nothing."""

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        side = (x[:, 0] - x[:, 1]) / 2**0.5
        return torch.stack([-side, side], 1)


def batch(*distances: float) -> Batch:
    """Points at these distances from the diagonal."""
    away = torch.tensor(distances)[:, None] * torch.tensor([[1.0, -1.0]]) / 2**0.5
    return Batch((10 * away, torch.arange(len(away))), (torch.ones(len(away)),), torch.arange(len(away)))


def smoothed() -> Smoothed:
    """Its first input has a range of 10: distances and spread are shares of it."""
    return Smoothed(Line(), (Way(torch.tensor(10.0), -5.0, 5.0), FIXED), SPREAD, is_softmax=True)


def test_for_a_linear_network_the_radius_is_just_below_the_distance_from_its_border() -> None:
    distances = (0.1, 0.3, -0.3)
    labels, radii = certify(smoothed(), batch(*distances), TASK, samples=20_000)
    assert labels.tolist() == [1, 1, 0]
    for radius, distance in zip(radii.tolist(), distances, strict=True):
        assert abs(distance) - 0.03 < radius < abs(distance)


def test_on_the_border_it_abstains() -> None:
    labels, radii = certify(smoothed(), batch(0.0), TASK)
    assert (labels.tolist(), radii.tolist()) == ([-1], [0.0])


def test_far_away_the_samples_bound_the_radius() -> None:
    _, radii = certify(smoothed(), batch(100.0), TASK, samples=1000, alpha=0.001)
    expected = SPREAD * torch.special.ndtri(torch.tensor(0.001 ** (1 / 1000), dtype=torch.float64))
    assert radii.tolist() == pytest.approx([float(expected)], rel=1e-5)
