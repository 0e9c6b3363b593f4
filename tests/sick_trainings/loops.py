"""Loops in plain PyTorch that do something else than what is adopted, and their healthy twin: rings in ten columns."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netwright as nw
from netwright.checks.training.evidence import TrainingEvidence, of_run


def rings(count: int = 700) -> tuple[Tensor, Tensor]:
    """The class is which of three shells the first two columns lie in; the others mean nothing."""
    x = torch.randn(count, 10, generator=torch.Generator().manual_seed(5))
    radius = x[:, :2].norm(dim=1)
    return x, (radius > 0.8).long() + (radius > 1.6).long()


def run(fault: str = "", epochs: int = 8, batch_size: int = 50, network: nn.Module | None = None) -> nw.Run:
    """A watched loop with a fault, adopted with the network, the loss and the rows that it should have trained with."""
    x, y = rings()
    train, valid = (x[:500], y[:500]), (x[500:], y[500:])
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(1)
        network = network or nn.Sequential(nn.Linear(10, 40), nn.Tanh(), nn.Linear(40, 3))
        optimizer = torch.optim.SGD(network.parameters(), lr=0.2, momentum=0.8)
        shuffled = train[1][torch.randperm(500)]
        with nw.watch(network, optimizer) as watch:
            for _ in range(epochs):
                for rows in torch.randperm(500).split(batch_size):
                    _step(fault, network, optimizer, train[0][rows], train[1][rows], shuffled[rows])
                if fault == "one step an epoch":
                    optimizer.step()
    return nw.adopt(network, nn.CrossEntropyLoss(), train, valid, watch=watch)


def _step(
    fault: str, network: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, other: Tensor
) -> None:
    optimizer.zero_grad(set_to_none=fault != "cleared to zero")
    outputs = network(x)
    match fault:
        case "other labels":
            loss = F.cross_entropy(outputs, other)
        case "renamed labels":
            loss = F.cross_entropy(outputs, (y + 1) % 3)
        case "labels of the next row":  # in a loss whose targets torch does not keep
            loss = (outputs.log_softmax(1) * -F.one_hot(y.roll(1), 3)).sum(1).mean()
        case "sum":
            loss = F.cross_entropy(outputs, y, reduction="sum")
        case "strong penalty":
            loss = F.cross_entropy(outputs, y) + 0.5 * sum(p.square().sum() for p in network.parameters())
        case _:
            loss = F.cross_entropy(outputs, y)
    loss.backward()
    if fault in ("cleared too early", "cleared to zero"):
        optimizer.zero_grad(set_to_none=fault == "cleared too early")
    if fault != "one step an epoch":
        optimizer.step()


def looped(fault: str = "", epochs: int = 8, batch_size: int = 50) -> TrainingEvidence:
    """What the loop shows."""
    return of_run(run(fault, epochs, batch_size))


CASES = {
    "NW310": (partial(looped, "one step an epoch"), looped),
    "NW319": (partial(looped, "labels of the next row", 20), looped),
}
