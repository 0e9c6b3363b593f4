from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.records.batch import Batch, Mix
from netwright.records.recipe import Recipe
from netwright.records.task import Task
from netwright.tasks.classification import Classification
from netwright.tasks.multilabel import Multilabel
from netwright.tasks.regression import Regression
from netwright.training.objective import build_objective

ROWS = 16


def _draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


class Counting(nn.Module):
    """A dense layer that counts how often it runs; with members their answers stand side by side."""

    def __init__(self, outputs: int, members: int = 1) -> None:
        super().__init__()
        self.dense, self.members, self.runs = nn.Linear(5, outputs * members), members, 0

    def forward(self, x: Tensor) -> Tensor:
        self.runs += 1
        found = self.dense(x)
        return found if self.members == 1 else found.unflatten(1, (self.members, -1))


CLASSES, LABELS = (_draw(ROWS) * 3).long(), (_draw(ROWS, 4) > 0.5).float()
CASES: list[tuple[Task, int, Tensor, dict[str, object]]] = [
    *((Classification(("a", "b", "c"), (8, 4, 4)), 3, CLASSES, {"loss": loss, "label_smoothing": s, "class_weights": w})
      for loss in ("cross_entropy", "focal") for s in (0.0, 0.1) for w in ("none", "balanced")),
    *((Multilabel(tuple("abcd")), 4, LABELS, {"label_smoothing": s}) for s in (0.0, 0.1)),
    *((Regression(0.0, 1.0, 0.0, 1.0), 1, _draw(ROWS), {"loss": loss}) for loss in ("mse", "mae", "huber", "quantile")),
]  # fmt: skip


def _mixed(targets: Tensor, share: Tensor) -> Batch:
    return Batch((_draw(ROWS, 5, seed=1),), (targets,), torch.arange(ROWS), Mix((targets.roll(1, 0),), share))


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize(("task", "outputs", "targets", "settings"), CASES)
def test_mixed_loss_is_exactly_the_mixture_of_both_losses(
    task: Task, outputs: int, targets: Tensor, settings: dict[str, object], members: int
) -> None:
    objective = task.objective(Recipe().edit(settings))
    network, share = Counting(outputs, members), _draw(ROWS, seed=2)
    batch = _mixed(targets, share)
    found = build_objective(task, Recipe().edit({**settings, "precision": "fp32"}))(network, batch)
    assert network.runs == 1
    own = objective(network, replace(batch, mix=None))
    other = objective(network, replace(batch, targets=(targets.roll(1, 0),), mix=None))
    assert found.shape == (ROWS,)
    assert torch.equal(found, share * own + (1 - share) * other)


def test_mixed_cross_entropy_is_that_of_the_mixed_target() -> None:
    network, share = Counting(3), _draw(ROWS, seed=2)
    batch = _mixed(CLASSES, share)
    found = build_objective(CASES[0][0], Recipe(precision="fp32"))(network, batch)
    soft = share[:, None] * F.one_hot(CLASSES, 3) + (1 - share[:, None]) * F.one_hot(CLASSES.roll(1), 3)
    torch.testing.assert_close(found, F.cross_entropy(network(*batch.inputs), soft, reduction="none"))


def test_a_penalty_on_weights_is_added_once() -> None:
    batch = _mixed(CLASSES, _draw(ROWS, seed=2))
    network, task = Counting(3), CASES[0][0]
    plain, with_l1 = (build_objective(task, Recipe(precision="fp32", l1=l1))(network, batch) for l1 in (0.0, 0.5))
    torch.testing.assert_close(with_l1 - plain, (0.5 * network.dense.weight.abs().sum()).expand(ROWS))


def test_parts_of_a_mixed_batch_keep_their_mixture() -> None:
    batch = _mixed(CLASSES, _draw(ROWS))
    head = batch.head(4)
    assert head.mix is not None and batch.mix is not None
    assert torch.equal(head.mix.share, batch.mix.share[:4])
    assert torch.equal(head.mix.targets[0], batch.mix.targets[0][:4])
    assert batch.to("meta").mix.targets[0].is_meta  # type: ignore[union-attr]
