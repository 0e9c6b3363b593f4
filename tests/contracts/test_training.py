"""The contracts of optimizers and schedules, over every entry of their tables."""

from pathlib import Path

import pytest
from torch import nn
from torch.optim import SGD, Optimizer

from netwright.records.recipe import Recipe
from netwright.resolve import resolve
from netwright.testing.training import check_optimizer, check_schedule
from netwright.training import OPTIMIZERS, SCHEDULES


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_fulfils_its_contract(name: str, tmp_path: Path) -> None:
    check_optimizer(resolve("optimizer", name, OPTIMIZERS), tmp_path)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_fulfils_its_contract(name: str) -> None:
    check_schedule(resolve("schedule", name, SCHEDULES))


def test_contract_finds_an_optimizer_that_decays_biases(tmp_path: Path) -> None:
    def careless(network: nn.Module, recipe: Recipe) -> Optimizer:
        return SGD(network.parameters(), lr=recipe.lr * 10, momentum=0.9, weight_decay=recipe.weight_decay)

    with pytest.raises(AssertionError, match="decay moved"):
        check_optimizer(careless, tmp_path)


def test_contract_finds_an_optimizer_that_learns_nothing(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="steps took the loss from"):
        check_optimizer(lambda network, recipe: SGD(network.parameters(), lr=0.0), tmp_path)


def test_contract_finds_a_schedule_above_the_peak() -> None:
    with pytest.raises(AssertionError, match=r"are not in \(0, 1\]"):
        check_schedule(lambda step, steps, warmup: 2.0)


def test_contract_finds_a_schedule_with_two_peaks() -> None:
    with pytest.raises(AssertionError, match="more than one peak"):
        check_schedule(lambda step, steps, warmup: 1.0 if step % 2 else 0.5)
