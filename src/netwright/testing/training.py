"""The contract of optimizers and schedules."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.machine.fused import UpdateRule
from netwright.records.recipe import Recipe
from netwright.training import checkpoint
from netwright.training.checkpoint import Position
from netwright.training.optimizer import decayed
from netwright.training.schedule import Schedule
from netwright.training.weights import copied, named

Rule = Callable[[nn.Module, Recipe], UpdateRule]

ROUNDING = 1e-9  # of a few float64 operations on numbers around 1
STEPS = 40  # enough for every rule to halve the loss of the small problem at its rate
HALF = 0.5
RECIPE = Recipe(lr=0.01, weight_decay=0.01)


def check_schedule(schedule: Schedule) -> None:
    """Factors are between 0 and 1, reach the peak, rise during warmup, never rise afterwards; any length works."""
    for steps in (1, 2, 7, 100, 1000):
        for warmup in (0.0, 0.05, 0.5, 0.9):
            factors = [schedule(step, steps, warmup) for step in range(steps)]
            where = f"of {steps} steps with warmup {warmup}"
            _expect(all(0 < f <= 1 + ROUNDING for f in factors), f"factors {where} are not in (0, 1]: {factors[:3]}")
            top = factors.index(max(factors))
            rises = all(a <= b + ROUNDING for a, b in pairwise(factors[: top + 1]))
            falls = all(a >= b - ROUNDING for a, b in pairwise(factors[top:]))
            _expect(rises and falls, f"the factors {where} have more than one peak")
            if steps >= 100:
                _expect(factors[top] > 1 - 2 / steps, f"the highest factor {where} is {factors[top]}, not 1")
                _expect(
                    top + 1 >= warmup * steps - 1, f"the factor {where} peaks at step {top}, before the warmup ends"
                )


def check_optimizer(rule: Rule, folder: Path) -> None:
    """It learns; equal starts give equal weights; only weight matrices decay; its state survives a checkpoint.

    `folder` is empty and writable.
    """
    network, losses = _train(rule, STEPS)
    _expect(losses[-1] < HALF * losses[0], f"{STEPS} steps took the loss from {losses[0]:.3f} to {losses[-1]:.3f} only")
    again, _ = _train(rule, STEPS)
    _expect(_same(network, named(again)), "two trainings from the same start gave different weights")
    _check_decay(rule)
    _check_rates(rule)
    _check_resuming(rule, folder)


def _check_decay(rule: Rule) -> None:
    network = _network()
    before = copied(network)
    optimizer = rule(network, Recipe(weight_decay=0.1, lr=0.1))
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    moved = {name for name, tensor in named(network).items() if not torch.equal(tensor, before[name])}
    expected = set(decayed(network))
    _expect(moved == expected, f"without gradients decay moved {sorted(moved)}, and not {sorted(expected)}")


def _check_rates(rule: Rule) -> None:
    network = _network()
    before = copied(network)
    optimizer = rule(network, Recipe())
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    _step(network, optimizer)
    _expect(_same(network, before), "weights moved at a learning rate of 0")


def _check_resuming(rule: Rule, folder: Path) -> None:
    network = _network()
    optimizer = rule(network, RECIPE)
    for _ in range(3):
        _step(network, optimizer)
    checkpoint.save(folder, Position(), {"network": named(network)}, optimizer)
    saved = checkpoint.load(folder)
    _expect(saved is not None, "there is no checkpoint after saving one")
    copy = _network()
    copy.load_state_dict(network.state_dict())
    resumed = rule(copy, RECIPE)
    if saved is not None:
        checkpoint.restore_optimizer(resumed, saved)
    for _ in range(3):
        _step(network, optimizer)
        _step(copy, resumed)
    _expect(_same(network, named(copy)), "steps after a checkpoint differ from steps without one")


def _train(rule: Rule, steps: int) -> tuple[nn.Module, list[float]]:
    network = _network()
    optimizer = rule(network, RECIPE)
    return network, [_step(network, optimizer) for _ in range(steps)]


def _step(network: nn.Module, optimizer: UpdateRule) -> float:
    """One step on eight rows that any network of this size can memorize."""
    rows = torch.arange(8)
    optimizer.zero_grad()
    loss = F.cross_entropy(network(rows), rows % 2)
    loss.backward()
    optimizer.step()
    return loss.item()


def _network() -> nn.Module:
    """An embedding, three dense layers and a norm, always with the same weights."""
    network = nn.Sequential(
        nn.Embedding(8, 16),
        nn.Linear(16, 16),
        nn.LayerNorm(16),
        nn.Tanh(),
        nn.Linear(16, 16),
        nn.Tanh(),
        nn.Linear(16, 2),
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 4)
    return network


def _same(network: nn.Module, tensors: dict[str, Tensor]) -> bool:
    return all(torch.equal(tensor, tensors[name]) for name, tensor in named(network).items())


def _expect(holds: bool, claim: str) -> None:
    if not holds:
        raise AssertionError(claim)
