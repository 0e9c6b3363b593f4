from copy import deepcopy
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.defenses import DEFENSES
from netwright.machine.randomness import seeded
from netwright.records.batch import Batch, Mix
from netwright.records.errors import RecipeError
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.records.task import Task
from netwright.tasks.classification import Classification
from netwright.tasks.multilabel import Multilabel
from netwright.tasks.regression import Regression
from netwright.training.adopt import adopt
from netwright.training.fit import Events, fit
from netwright.training.objective import build_objective, plain_objective

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
    found = plain_objective(task, Recipe().edit({**settings, "precision": "fp32"}))(network, batch)
    assert network.runs == 1
    own = objective(network, replace(batch, mix=None))
    other = objective(network, replace(batch, targets=(targets.roll(1, 0),), mix=None))
    assert found.shape == (ROWS,)
    assert torch.equal(found, share * own + (1 - share) * other)


def test_mixed_cross_entropy_is_that_of_the_mixed_target() -> None:
    network, share = Counting(3), _draw(ROWS, seed=2)
    batch = _mixed(CLASSES, share)
    found = plain_objective(CASES[0][0], Recipe(precision="fp32"))(network, batch)
    soft = share[:, None] * F.one_hot(CLASSES, 3) + (1 - share[:, None]) * F.one_hot(CLASSES.roll(1), 3)
    torch.testing.assert_close(found, F.cross_entropy(network(*batch.inputs), soft, reduction="none"))


def test_a_penalty_on_weights_is_added_once() -> None:
    batch = _mixed(CLASSES, _draw(ROWS, seed=2))
    network, task = Counting(3), CASES[0][0]
    plain, with_l1 = (plain_objective(task, Recipe(precision="fp32", l1=l1))(network, batch) for l1 in (0.0, 0.5))
    torch.testing.assert_close(with_l1 - plain, (0.5 * network.dense.weight.abs().sum()).expand(ROWS))


def test_parts_of_a_mixed_batch_keep_their_mixture() -> None:
    batch = _mixed(CLASSES, _draw(ROWS))
    head = batch.head(4)
    assert head.mix is not None and batch.mix is not None
    assert torch.equal(head.mix.share, batch.mix.share[:4])
    assert torch.equal(head.mix.targets[0], batch.mix.targets[0][:4])
    assert batch.to("meta").mix.targets[0].is_meta  # type: ignore[union-attr]


def _run(**settings: object) -> Run:
    x, y = _draw(40, 5), (_draw(40, seed=1) > 0.5).long()
    recipe = Recipe(precision="fp32", threads=1, epochs=2, batch_size=20).edit(settings)
    with seeded(0):
        network = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 2))
    return adopt(network, Classification(("a", "b")), (x, y), recipe=recipe, bounds=(0.0, 1.0))


def test_defenses_stand_between_arithmetic_and_penalty() -> None:
    run = _run(defense=("adversarial",), defense_eps=0.1, l1=0.5)
    batch = next(run.train.batches(20, seed=None))
    plain = run.task.losses(run.network, batch)
    with seeded(0):
        hard = build_objective(replace(run, recipe=run.recipe.edit({"l1": 0.0})))(run.network, batch)
    with seeded(0):
        penalized = build_objective(run)(run.network, batch)
    assert (hard > plain).all()
    penalty = sum(run.network[number].weight.abs().sum() for number in (0, 2))
    torch.testing.assert_close(penalized - hard, (0.5 * penalty).expand(20))


def test_several_defenses_follow_each_other_and_distillation_comes_first() -> None:
    run = _run(defense=("distillation", "adversarial", "noise"), defense_eps=0.05)
    batch = next(run.train.batches(20, seed=None))
    student = deepcopy(run.network)
    objective = build_objective(replace(run, teacher=run))
    assert objective(student, batch).abs().max() < 1e-6  # the teacher's own answers, wherever they are asked for
    nn.init.zeros_(student[2].weight)
    assert objective(student, batch).mean() > 1e-4
    with pytest.raises(RecipeError, match="distillation replaces the loss that noise made"):
        build_objective(_run(defense=("noise", "distillation")))


@pytest.mark.parametrize("defense", DEFENSES)
def test_hardened_training_resumes_bit_for_bit(defense: str, tmp_path: Path) -> None:
    run = _run(defense=(defense,), defense_eps=0.1)
    run = replace(run, teacher=run)
    folder = tmp_path / "run"
    folder.mkdir()
    events = fit(run, folder=folder, clock=count(0.0, 1.0).__next__)
    next(events)
    events.close()
    assert (folder / "resume.safetensors").exists()
    whole, resumed = (ended(fit(run, folder=where)) for where in (None, folder))
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name])


def ended(events: Events) -> Run:
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value
