"""Loops in plain PyTorch that do something else than what is adopted, and their healthy twin: rings in ten columns."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

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


def in_order(*, is_sorted: bool) -> TrainingEvidence:
    """A loader that does not shuffle, of rows sorted by class or not; batch norm suffers from it."""
    x, y = rings()
    order = y[:500].argsort() if is_sorted else torch.arange(500)
    loader = DataLoader(TensorDataset(x[:500][order], y[:500][order]), 25)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(2)
        network = nn.Sequential(nn.Linear(10, 40), nn.BatchNorm1d(40), nn.ReLU(), nn.Linear(40, 3))
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
        with nw.watch(network, optimizer) as watch:
            for _ in range(10):
                for a, b in loader:
                    optimizer.zero_grad()
                    F.cross_entropy(network(a), b).backward()
                    optimizer.step()
    return of_run(nw.adopt(network, nn.CrossEntropyLoss(), loader, (x[500:], y[500:]), watch=watch))


def regression(times: float = 1.0, offset: float = 0.0, valid_times: float = 1.0) -> TrainingEvidence:
    """The product of two columns, on any scale; the validation inputs on one of their own."""
    x = torch.randn(600, 6, generator=torch.Generator().manual_seed(8)) + 2
    y = ((x[:, 0] * x[:, 1] + x[:, 2]) * times + offset)[:, None]
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(3)
        network = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 1))
        optimizer = torch.optim.RMSprop(network.parameters(), lr=2e-3)
        with nw.watch(network, optimizer) as watch:
            for _ in range(15):
                for rows in torch.randperm(400).split(40):
                    optimizer.zero_grad()
                    F.mse_loss(network(x[rows]), y[rows]).backward()
                    optimizer.step()
    valid = ((x[400:] - 2) * valid_times + 2 * valid_times, y[400:])
    return of_run(nw.adopt(network, nn.MSELoss(), (x[:400], y[:400]), valid, watch=watch))


CASES = {
    "NW310": (partial(looped, "one step an epoch"), looped),
    "NW319": (partial(looped, "labels of the next row", 20), looped),
    "NW325": (partial(in_order, is_sorted=True), partial(in_order, is_sorted=False)),
    "NW327": (partial(regression, 3e4, 5e5), regression),
    "NW328": (partial(regression, valid_times=0.1), regression),
}
