"""Every defense fulfils its contract."""

import pytest
from torch import Tensor, nn

from netwright.defenses import DEFENSES
from netwright.machine.randomness import seeded
from netwright.records.batch import Batch
from netwright.records.task import Objective, Task
from netwright.records.threat import Hardening
from netwright.resolve import resolve
from netwright.testing.defenses import check_defense


@pytest.mark.parametrize("name", DEFENSES)
def test_every_defense_fulfils_its_contract(name: str) -> None:
    check_defense(resolve("defense", name, DEFENSES))


def in_evaluation(objective: Objective, task: Task, hardening: Hardening) -> Objective:
    def losses(network: nn.Module, batch: Batch) -> Tensor:
        network.eval()
        return objective(network, batch)

    return losses


def of_the_mean(objective: Objective, task: Task, hardening: Hardening) -> Objective:
    return lambda network, batch: objective(network, batch).mean()


def many_passes(objective: Objective, task: Task, hardening: Hardening) -> Objective:
    return lambda network, batch: sum((objective(network, batch) for _ in range(8)), start=0 * batch.inputs[0][:, 0])


def of_a_fixed_seed(objective: Objective, task: Task, hardening: Hardening) -> Objective:
    calls = list[int]()

    def losses(network: nn.Module, batch: Batch) -> Tensor:
        calls.append(0)
        with seeded(len(calls)):
            return objective(network, batch)

    return losses


@pytest.mark.parametrize(
    ("defense", "claim"),
    [
        (in_evaluation, "keeps its mode"),
        (of_the_mean, r"losses are \(B,\)"),
        (many_passes, "8 passes"),
        (of_a_fixed_seed, "the same seed"),
    ],
)
def test_a_broken_defense_is_named(defense: object, claim: str) -> None:
    with pytest.raises(AssertionError, match=claim):
        check_defense(defense)  # pyright: ignore[reportArgumentType]  one of the four above
