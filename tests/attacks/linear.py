"""Linear networks: the smallest change that beats them is known exactly."""

import torch
from torch import Tensor, nn

from netwright.attacks.ways import ways_between
from netwright.records.batch import Batch
from netwright.records.threat import Norm, Threat
from netwright.tasks.classification import Classification

VALUES = 12


def task(labels: int) -> Classification:
    return Classification(tuple("abcdefgh"[:labels]))


def network(labels: int, seed: int = 0) -> nn.Linear:
    """Weights far from alike, so that no two labels are nearly the same."""
    layer = nn.Linear(VALUES, labels)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
        layer.bias.zero_()
    return layer.eval()


def rows(layer: nn.Linear, count: int = 16, seed: int = 1) -> Batch:
    """Rows that the network answers rightly."""
    x = torch.randn((count, VALUES), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return Batch((x,), (layer(x).argmax(1),), torch.arange(count))


def threat(batch: Batch, size: float, norm: Norm, goal: Tensor | None = None) -> Threat:
    """Values move without a bound that matters."""
    ways = ways_between(batch.inputs, -0.5, 0.5)
    return Threat(tuple(type(w)(w.unit, -100.0, 100.0) for w in ways), size, norm, goal)


def smallest(layer: nn.Linear, batch: Batch, norm: Norm) -> Tensor:
    """(B,): the norm of the smallest change to any other label."""
    logits, own = layer(batch.inputs[0]), batch.targets[0]
    order = 1 if norm == "inf" else 2  # the dual norm
    gaps = logits.gather(1, own[:, None]) - logits
    lengths = (layer.weight[own][:, None] - layer.weight[None]).norm(order, dim=2)
    return (gaps / lengths.clamp(min=1e-9)).scatter(1, own[:, None], torch.inf).amin(1).detach()
