"""Experiments on a training whose rows are mixed with others (mixup), and in its own arithmetic."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from netwright.checks.training.entering import unnormalized_inputs
from netwright.checks.training.evidence import TrainingEvidence, of_run
from netwright.checks.training.plan import penalty_dominates
from netwright.checks.training.progress import shown_batches
from netwright.data.examples import InMemory
from netwright.records.batch import Batch, Examples, Mix
from netwright.records.recipe import Recipe
from netwright.tasks.classification import Classification
from netwright.training.adopt import adopt
from netwright.training.probes import learned_by_heart

TASK = Classification(("a", "b"))


def swapped(batch: Batch, _generator: torch.Generator) -> Batch:
    """Nothing of each row's own target counts: only the other one."""
    return replace(batch, mix=Mix((1 - batch.targets[0],), torch.zeros(len(batch))))


def build() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Linear(3, 2)


def evidence(scale: float = 1.0, **settings: object) -> TrainingEvidence:
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0)) * scale
    y = (x[:, 0] > 0).long()
    recipe = Recipe(batch_size=64, precision="fp32", kernels="torch", compile="never").edit(settings)
    run = adopt(build(), TASK, (x, y), (x, y), recipe=recipe, build=build)
    assert isinstance(run.train, InMemory)
    return replace(of_run(replace(run, train=replace(run.train, change=swapped))), build=build)


def test_the_loss_of_mixed_rows_is_that_of_both_targets() -> None:
    seen = evidence()
    for batch in shown_batches(seen):
        expected = TASK.losses(seen.network, replace(batch, targets=(1 - batch.targets[0],)))
        assert torch.equal(seen.loss(seen.network, batch), expected)


class Whole(Examples):
    """A loader's own batches, of 64 rows whatever is asked for."""

    def __len__(self) -> int:
        return 64

    def batches(self, size: int, *, seed: int | None, start: int = 0) -> Iterator[Batch]:
        yield next(evidence().train.batches(64, seed=0))

    def locate(self, row: int) -> str:
        return f"row {row}"


def test_rows_learned_by_heart_stay_mixed() -> None:
    came = list[Batch]()

    def objective(network: nn.Module, batch: Batch) -> Tensor:
        came.append(batch)
        return TASK.losses(network, batch)

    learned_by_heart(build(), objective, TASK, Whole(), steps=1)
    assert came and all(batch.mix is not None and len(batch) == len(batch.mix.share) == 32 for batch in came)


def test_rows_with_standardized_inputs_stay_mixed() -> None:
    seen, came = evidence(scale=1000.0), list[Batch]()

    def objective(network: nn.Module, batch: Batch) -> Tensor:
        came.append(batch)
        return seen.loss(network, batch)

    assert list(unnormalized_inputs(replace(seen, objective=objective)))
    assert came and all(batch.mix is not None for batch in came)


class Wary(nn.Module):
    """Notes in which arithmetic it trained."""

    def __init__(self, seen: set[bool]) -> None:
        super().__init__()
        self.layer, self.seen = build(), seen

    def __deepcopy__(self, memo: dict[int, object]) -> "Wary":
        copy = Wary(self.seen)
        copy.load_state_dict(self.state_dict())
        return copy

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            self.seen.add(torch.is_autocast_enabled("cpu"))
        return self.layer(x)


def test_a_training_in_bf16_is_tried_without_its_penalty_in_bf16_too() -> None:
    seen, modes = evidence(precision="bf16", l1=1.0), set[bool]()
    list(penalty_dominates(replace(seen, network=Wary(modes), build=lambda: Wary(modes))))
    assert modes == {True}
