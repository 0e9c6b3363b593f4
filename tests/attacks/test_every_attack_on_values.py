"""What holds for each attack on values, whatever the task and the inputs."""

from dataclasses import replace

import pytest
import torch
from tests.attacks import museum
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.attacks import ATTACKS
from netwright.attacks.problem import judged
from netwright.attacks.space import Space
from netwright.records.batch import Batch
from netwright.records.errors import DataError
from netwright.records.task import Task
from netwright.records.threat import FIXED, Norm, Threat, Way
from netwright.resolve import resolve
from netwright.tasks.classification import Classification
from netwright.tasks.multilabel import Multilabel
from netwright.tasks.regression import Regression
from netwright.tasks.segmentation import Segmentation

ROWS = 6
ON_VALUES = sorted({*ATTACKS} - {"swaps", "mixed"})
SHORT = {"square": {"queries": 40}, "decision": {"queries": 60}, "noise": {"tries": 10}, "minimal": {"steps": 20}}
LABELS = torch.zeros(ROWS, dtype=torch.int64)


class Pair(nn.Module):
    """Numbers, of which some are missing, and a category."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers, self.category = nn.Linear(4, 3), nn.Embedding(4, 3)

    def forward(self, x: Tensor, category: Tensor) -> Tensor:
        return self.numbers(x.nan_to_num(0.0)) + self.category(category)


def flat(width: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width))


def of(inputs: tuple[Tensor, ...], target: Tensor) -> Batch:
    return Batch(inputs, (target,), torch.arange(ROWS))


def cases() -> dict[str, tuple[nn.Module, Batch, Task, tuple[Way, ...]]]:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        pictures, numbers = torch.rand(ROWS, 1, 8, 8), torch.randn(ROWS, 4)
        categories, masks = torch.randint(0, 4, (ROWS,)), torch.randint(0, 2, (ROWS, 8, 8)).to(torch.uint8)
        several = (torch.rand(ROWS, 3) > 0.5).float()
        two, three = Classification(("a", "b")), Classification(("a", "b", "c"))
        holed = numbers.clone()
        holed[0, 1] = torch.nan
        grey, eight = Way(torch.tensor(1.0), 0.0, 1.0), Way(torch.tensor(8.0), 0.0, 255.0)
        table = Way(torch.tensor([1.0, 1.0, 0.0, 1.0]), -3.0, 3.0, torch.tensor([False, False, True, False]))
        return {
            "whole pictures": (flat(2), of(((pictures * 255).to(torch.uint8),), LABELS), two, (eight,)),
            "three labels": (flat(3), of((pictures,), LABELS), three, (grey,)),
            "random": (museum.Noisy(flat(10)), of((pictures,), LABELS), museum.DIGITS, (grey,)),
            "several labels": (flat(3), of((pictures,), several), Multilabel(("a", "b", "c")), (grey,)),
            "pixels": (nn.Conv2d(1, 2, 1), of((pictures,), masks), Segmentation((0, 1), (8, 8)), (grey,)),
            "a table": (Pair(), of((holed, categories), LABELS), three, (table, FIXED)),
            "nothing moves": (Pair(), of((holed, categories), LABELS), three, (FIXED, FIXED)),
            "numbers": (
                nn.Linear(4, 1),
                of((numbers,), torch.zeros(ROWS)),
                Regression(),
                (replace(table, step=0.0),),
            ),
        }


CASES = cases()


@pytest.mark.parametrize("norm", ["inf", "2"])
@pytest.mark.parametrize("name", ON_VALUES)
@pytest.mark.parametrize("case", CASES)
def test_points_are_in_reach_and_do_no_less_harm_than_the_row_itself(case: str, name: str, norm: Norm):
    network, batch, task, ways = CASES[case]
    network, threat = network.eval(), Threat(ways, 1.0, norm)
    moved = attacked(name, network, batch, task, threat)
    space, at = Space(batch, threat), torch.zeros(ROWS, 0)
    for x, y, way in zip(batch.inputs, moved.inputs, ways, strict=True):
        assert y.shape == x.shape
        assert torch.equal(x.isnan(), y.isnan())
        if way.unit is None:
            assert torch.equal(x.nan_to_num(), y.nan_to_num())
            continue
        change = ((y - x) / way.unit.clamp(min=1e-9).expand_as(y)).nan_to_num(0.0)
        at = torch.cat([at, change.flatten(1)], 1)
    assert (space.length(at) <= 1.0001).all() or not at.shape[1]
    assert ((at <= space.upper + 1e-4) & (at >= space.lower - 1e-4)).all()
    if case != "random":
        before, after = (judged(network, batch, rows, task, threat) for rows in (space.put(space.zeros()), moved))
        assert (after >= before).all()


@pytest.mark.parametrize("name", ON_VALUES)
def test_no_rows_are_no_work(name: str):
    network, batch, task, ways = CASES["three labels"]
    none = batch.pick(torch.tensor([], dtype=torch.int64))
    assert len(attacked(name, network.eval(), none, task, Threat(ways, 1.0))) == 0


@pytest.mark.parametrize("name", ON_VALUES)
def test_a_wanted_label_is_all_that_counts(name: str):
    network, batch, task, ways = CASES["three labels"]
    goal = torch.full((ROWS,), 2)
    moved = attacked(name, network.eval(), batch, task, Threat(ways, 1.0, goal=goal))
    answers = network(moved.inputs[0]).argmax(1)
    unmoved = (moved.inputs[0] == batch.inputs[0]).flatten(1).all(1)
    assert ((answers == 2) | unmoved).all()
    assert F.one_hot(answers, 3)[:, 2].sum() >= F.one_hot(network(batch.inputs[0]).argmax(1), 3)[:, 2].sum()


def attacked(name: str, network: nn.Module, batch: Batch, task: Task, threat: Threat) -> Batch:
    """After an attack; an attack that says that it does not suit the task is skipped."""
    options = {"surrogates": [network]} if name == "transfer" else SHORT.get(name, {})
    try:
        return resolve("attack", name, ATTACKS)(network, batch, task, threat, **options)
    except DataError as error:
        pytest.skip(error.problem)
