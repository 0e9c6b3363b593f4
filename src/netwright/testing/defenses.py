"""The contract of a defense."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from random import getstate
from typing import Final

import torch
from torch import Tensor, nn

from netwright.attacks.ways import ways_between
from netwright.machine.randomness import seeded
from netwright.models.modes import evaluating
from netwright.records.batch import Batch
from netwright.records.task import Objective, Task
from netwright.records.threat import Hardening, Threat
from netwright.tasks.classification import Classification
from netwright.training.weights import copied, named

Defense = Callable[[Objective, Task, Hardening], Objective]

TASK: Final = Classification(("below", "above"))
ROWS = 64
BOUND = 3.0  # of the inputs
STEPS = 60  # of Adam: enough for any network to learn a line
LEARNED = 0.9  # share of right answers on rows that a line divides


def check_defense(defense: Defense) -> None:
    """A loss for each row; network, modes and statistics as promised; the same seed gives the same; training learns.

    Raises AssertionError with a sentence that says what is broken.
    """
    batch, network = _batch(), _network()
    objective = defense(_plain, TASK, _hardening(batch))
    _check_losses(objective, network, batch)
    _check_stillness(objective, network, batch)
    _check_chance(objective, network, batch)
    _check_learning(objective, network, batch)


def _check_losses(objective: Objective, network: nn.Module, batch: Batch) -> None:
    losses = objective(network, batch)
    _claim(losses.shape == (len(batch),), f"losses are (B,), not {tuple(losses.shape)}")
    _claim(bool(losses.isfinite().all()), "losses are finite")
    losses.mean().backward()
    without = [name for name, p in network.named_parameters() if p.grad is None]
    _claim(not without, f"every weight has a gradient, but {without} have none")
    network.zero_grad()


def _check_stillness(objective: Objective, network: nn.Module, batch: Batch) -> None:
    """Each module keeps its own mode; in evaluation mode nothing changes; in training only what training changes."""
    network.train()
    network[1].eval()  # pyright: ignore[reportIndexIssue]  a Sequential
    modes, inputs = [m.training for m in network.modules()], [x.clone() for x in batch.inputs]
    before = copied(network)
    objective(network, batch)
    _claim([m.training for m in network.modules()] == modes, "every module keeps its mode")
    _claim(_same(named(network), before), "a frozen layer keeps its statistics, and weights stay")
    _claim(all(map(torch.equal, batch.inputs, inputs)), "the batch stays as it was")
    _claim(all(p.grad is None for p in network.parameters()), "no gradient is left in the weights")
    network.train()
    objective(network, batch)
    passes = int(named(network)["1.num_batches_tracked"] - before["1.num_batches_tracked"])
    _claim(passes <= MOST_PASSES, f"statistics are of rows in training, not of an attack: {passes} passes")


MOST_PASSES = 3  # in training mode: rows as they are, and twice for a comparison


def _check_chance(objective: Objective, network: nn.Module, batch: Batch) -> None:
    """All chance is torch's own generator: `fit` seeds it for each step, so that training resumes."""
    found = list[Tensor]()
    outside = getstate()
    for _ in range(2):
        with seeded(1):
            found.append(objective(deepcopy(network), batch))
    _claim(torch.equal(*found), "the same seed gives the same losses")
    _claim(getstate() == outside, "Python's own generator stays")


def _check_learning(objective: Objective, network: nn.Module, batch: Batch) -> None:
    with seeded(0):
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
        for _ in range(STEPS):
            optimizer.zero_grad()
            objective(network, batch).mean().backward()
            optimizer.step()
    with evaluating(network):
        right = float((network(*batch.inputs).argmax(1) == batch.targets[0]).float().mean())
    _claim(right >= LEARNED, f"training learns: {right:.0%} of the rows are right")


def _plain(network: nn.Module, batch: Batch) -> Tensor:
    return TASK.losses(network, batch)


def _batch() -> Batch:
    """Points on both sides of a line."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(ROWS, 2, generator=generator) * 2 * BOUND - BOUND
    return Batch((x,), ((x.sum(1) > 0).long(),), torch.arange(ROWS))


def _network() -> nn.Module:
    with seeded(0):
        return nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 2))


def _hardening(batch: Batch) -> Hardening:
    """A small reach, and a teacher that knows the line."""
    teacher = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        teacher.weight.copy_(torch.tensor([[-2.0, -2.0], [2.0, 2.0]]))
    return Hardening(Threat(ways_between(batch.inputs, -BOUND, BOUND), 0.03), teacher, 2.0)


def _same(now: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(tensor, before[name]) for name, tensor in now.items())


def _claim(holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)
