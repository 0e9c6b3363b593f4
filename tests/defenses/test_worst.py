"""The worst inputs in reach: against closed forms of a linear network."""

import torch
from torch import Tensor, nn

from netwright.attacks.ways import ways_between
from netwright.defenses.worst import worst
from netwright.machine.randomness import seeded
from netwright.records.batch import Batch
from netwright.records.threat import FIXED, Threat

EPS = 0.05


def rows(count: int = 5) -> Batch:
    x = torch.rand(count, 3, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    return Batch((x,), (torch.zeros(count, dtype=torch.int64),), torch.arange(count))


def height(network: nn.Module, batch: Batch) -> Tensor:
    return network(*batch.inputs)[:, 0]


def line() -> nn.Module:
    network = nn.Linear(3, 1, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[1.0, -2.0, 2.0]]))
    return network


def test_in_the_greatest_norm_a_linear_network_is_worst_in_a_corner() -> None:
    batch = rows()
    threat = Threat(ways_between(batch.inputs, 0.0, 1.0), EPS)
    moved = worst(line(), batch, height, threat, steps=7)
    assert torch.allclose(moved.inputs[0] - batch.inputs[0], EPS * torch.tensor([1.0, -1.0, 1.0]), atol=1e-6)


def test_in_the_euclidean_norm_it_is_worst_along_the_gradient() -> None:
    batch = rows()
    threat = Threat(ways_between(batch.inputs, 0.0, 1.0), EPS, "2")
    with seeded(0):
        moved = worst(line(), batch, height, threat, steps=40)
    change = moved.inputs[0] - batch.inputs[0]
    assert torch.allclose(change.norm(dim=1), torch.tensor(EPS), atol=1e-6)
    assert torch.cosine_similarity(change, torch.tensor([[1.0, -2.0, 2.0]])).min() > 0.95  # the steps are too few for 1


def test_values_stay_between_their_bounds_and_fixed_inputs_stay() -> None:
    x = torch.tensor([[0.99, 0.01, 0.5]])
    batch = Batch((x, torch.tensor([3])), (), torch.arange(1))
    threat = Threat((*ways_between((x,), 0.0, 1.0), FIXED), EPS)
    moved = worst(line(), batch, lambda network, batch: network(batch.inputs[0])[:, 0], threat, steps=7)
    assert torch.allclose(moved.inputs[0], torch.tensor([[1.0, 0.0, 0.55]]), atol=1e-6)
    assert moved.inputs[1] is batch.inputs[1]


def test_a_network_that_hides_its_gradient_gets_random_points() -> None:
    batch = rows()
    threat = Threat(ways_between(batch.inputs, 0.0, 1.0), EPS)
    with seeded(0):
        moved = worst(nn.Identity(), batch, lambda network, batch: batch.inputs[0].detach()[:, 0], threat, steps=3)
    change = (moved.inputs[0] - batch.inputs[0]).abs()
    assert 0 < change.max() <= EPS + 1e-6


def test_the_network_is_in_evaluation_mode_meanwhile_and_training_afterwards() -> None:
    modes = list[bool]()

    def seen(network: nn.Module, batch: Batch) -> Tensor:
        modes.append(network.training)
        return height(network, batch)

    network = line()
    worst(network, rows(), seen, Threat(ways_between(rows().inputs, 0.0, 1.0), EPS), steps=2)
    assert modes == [False, False]
    assert network.training
