"""Trainings made again: what their spread says, and what more rows would bring."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from netwright.checks.evidence import Skip
from netwright.checks.training.again import too_little_data, unstable
from netwright.checks.training.evidence import TrainingEvidence, of_run
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.tasks.classification import Classification
from netwright.training.adopt import adopt


class Guessing(nn.Module):
    """Right with a probability; which rows is drawn by the seed. The input is the answer."""

    def __init__(self, right: float, seed: int) -> None:
        super().__init__()
        self.right, self.seed = right, seed
        self.bias = nn.Parameter(torch.tensor(float(seed)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 2)."""
        drawn = torch.rand(len(x), generator=torch.Generator().manual_seed(self.seed)) < self.right
        sign = torch.where(drawn, x[:, 0], -x[:, 0])
        return torch.stack([-sign, sign], 1)


def evidence(rows: int, all_rows: Sequence[float], half: Sequence[float], seed: int = 0) -> TrainingEvidence:
    """Three trainings that answer these shares right, and three on half of the rows."""
    y = torch.arange(rows) % 2
    data = (2.0 * y[:, None] - 1, y)

    def run(right: float, number: int) -> Run:
        network = Guessing(right, 1000 * seed + number)
        recipe = Recipe(batch_size=rows)  # the rows that are answered right are drawn for a whole batch
        return adopt(network, Classification(("a", "b")), data, data, recipe=recipe, build=lambda: Guessing(0.5, 999))

    def retrain(share: float, seeds: Sequence[int]) -> list[Run]:
        chosen, first = (all_rows, 10) if share == 1 else (half, 20)
        return [run(chosen[k], first + k) for k in seeds]

    return replace(of_run(run(all_rows[0], 10)), retrain=retrain)


def test_a_spread_that_the_choice_of_rows_explains_is_no_instability():
    assert sum(bool(list(unstable(evidence(100, [0.8] * 3, [0.8] * 3, seed)))) for seed in range(40)) <= 1


def test_seeds_that_differ_by_ten_points_are_unstable():
    (finding,) = unstable(evidence(1000, [0.9, 0.7, 0.8], [0.7] * 3))
    assert finding.severity == "warning"
    spread = finding.measures[0]
    assert 0.02 < spread.low < spread.value < spread.high
    assert spread.value == pytest.approx(0.1, abs=0.03)
    assert finding.charts[0].names == ("0", "1", "2")


def test_more_rows_are_told_to_help_where_half_of_them_did_worse():
    (finding,) = too_little_data(evidence(1000, [0.9, 0.89, 0.91], [0.8, 0.79, 0.81]))
    assert finding.severity == "warning"
    gained, twice = finding.measures[:2]
    assert gained.value == pytest.approx(0.1, abs=0.02)
    assert 0.5 * gained.low == pytest.approx(twice.low)
    assert twice.value == pytest.approx(gained.value / 2**0.5)
    assert finding.charts[0].places == (500.0, 1000.0, 2000.0)


def test_a_curve_that_is_flat_says_nothing():
    found = [list(too_little_data(evidence(400, [0.8] * 3, [0.8] * 3, seed))) for seed in range(20)]
    assert not [finding for some in found for finding in some if finding.severity != "note"]
    assert sum(map(bool, found)) <= 2


def test_trainings_of_its_own_have_to_be_asked_for():
    with pytest.raises(Skip, match="it needs 5 further training runs: use --deep"):
        list(unstable(replace(evidence(100, [0.8] * 3, [0.8] * 3), retrain=None)))
