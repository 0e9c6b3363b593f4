"""A student of a teacher's softened answers."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from netwright.defenses.distillation import distillation
from netwright.defenses.divergence import divergence
from netwright.machine.randomness import seeded
from netwright.records.batch import Batch
from netwright.records.errors import RecipeError
from netwright.records.threat import Hardening, Threat
from netwright.tasks.classification import Classification

TASK = Classification(("a", "b"))
BATCH = Batch((torch.arange(6.0).view(3, 2) / 6,), (torch.zeros(3, dtype=torch.int64),), torch.arange(3))


def never(network: nn.Module, batch: Batch) -> Tensor:
    raise AssertionError("labels are not used")


def two() -> tuple[nn.Module, nn.Module]:
    with seeded(0):
        return nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)), nn.Linear(2, 2)


def test_it_is_the_distance_from_the_teacher_in_evaluation_at_the_temperature() -> None:
    teacher, student = two()
    hardening = Hardening(Threat((), 1.0), teacher, 4.0)
    found = distillation(never, TASK, hardening)(student, BATCH)
    expected = 16 * divergence(TASK, student(*BATCH.inputs), teacher[0](*BATCH.inputs), 4.0)  # pyright: ignore[reportIndexIssue]  a Sequential
    assert torch.allclose(found, expected)
    assert teacher.training


def test_the_teacher_does_not_learn_and_is_its_own_best_student() -> None:
    teacher, student = two()
    hardening = Hardening(Threat((), 1.0), teacher, 4.0)
    distillation(never, TASK, hardening)(student, BATCH).sum().backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert distillation(never, TASK, hardening)(teacher.eval(), BATCH).abs().max() < 1e-5


def test_without_a_teacher_it_says_who_has_one() -> None:
    with pytest.raises(RecipeError, match="needs a trained teacher") as error:
        distillation(never, TASK, replace(Hardening(Threat((), 1.0)), temperature=2.0))
    assert "harden" in error.value.remedy
