"""Noise in training."""

from math import nan

import torch
from torch import Tensor, nn

from netwright.defenses.noise import noise
from netwright.machine.randomness import seeded
from netwright.records.batch import Batch
from netwright.records.threat import FIXED, Hardening, Threat, Way
from netwright.tasks.classification import Classification

SEEN = list[tuple[Tensor, ...]]()


def seen(network: nn.Module, batch: Batch) -> Tensor:
    SEEN[:] = [batch.inputs]
    return batch.inputs[0][:, 0]


def test_each_value_that_can_move_gets_its_own_spread_and_missing_ones_stay_missing() -> None:
    x = torch.zeros(4000, 3)
    x[0, 0] = nan
    batch = Batch((x, torch.ones(4000, dtype=torch.int64)), (), torch.arange(4000))
    hardening = Hardening(Threat((Way(torch.tensor([10.0, 0.0, 1.0]), -1.0, 1.0), FIXED), 0.2))
    with seeded(0):
        noise(seen, Classification(("a", "b")), hardening)(nn.Identity(), batch)
    noisy, fixed = SEEN[0]
    assert noisy[0, 0].isnan()
    assert torch.allclose(noisy[1:].std(0), torch.tensor([2.0, 0.0, 0.2]), rtol=0.05)
    assert noisy[1:, 0].abs().max() > 1.0
    assert fixed is batch.inputs[1]
