"""How far answers are apart: against torch's own."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from netwright.defenses.divergence import divergence, require_link
from netwright.records.errors import RecipeError
from netwright.tasks.classification import Classification
from netwright.tasks.language_model import LanguageModel
from netwright.tasks.multilabel import Multilabel
from netwright.tasks.regression import Regression

CLASSES, LABELS = Classification(("a", "b", "c")), Multilabel(("a", "b", "c"))


def two() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 3, generator=generator), torch.randn(4, 3, generator=generator)


def test_for_classes_it_is_the_kullback_leibler_divergence_at_the_temperature() -> None:
    outputs, wanted = two()
    logs = [(one / 2.0).log_softmax(1) for one in (outputs, wanted)]
    expected = F.kl_div(*logs, reduction="none", log_target=True).sum(1)
    assert torch.allclose(divergence(CLASSES, outputs, wanted, 2.0), expected, atol=1e-6)


def test_for_labels_it_is_the_sum_over_them() -> None:
    outputs, wanted = two()
    p = wanted.sigmoid()
    expected = F.binary_cross_entropy_with_logits(outputs, p, reduction="none")
    expected = expected - F.binary_cross_entropy_with_logits(wanted, p, reduction="none")
    assert torch.allclose(divergence(LABELS, outputs, wanted), expected.sum(1), atol=1e-6)


def test_for_numbers_it_is_the_square_of_the_difference() -> None:
    task = Regression()
    assert divergence(task, torch.tensor([[1.0]]), torch.tensor([[3.0]])).tolist() == [4.0]


def test_each_member_is_compared_with_the_one_answer_or_with_its_own() -> None:
    outputs, wanted = two()
    members = torch.stack([outputs, wanted], 1)
    alone = divergence(CLASSES, outputs, wanted)
    assert torch.allclose(divergence(CLASSES, members, wanted), alone / 2, atol=1e-6)
    assert divergence(CLASSES, members, members).abs().max() < 1e-6


def test_equal_answers_have_none() -> None:
    outputs, _ = two()
    assert divergence(LABELS, outputs, outputs).abs().max() < 1e-6


def test_tasks_without_a_vector_of_outputs_are_refused() -> None:
    require_link(CLASSES, "trades")
    with pytest.raises(RecipeError, match="trades compares the answers"):
        require_link(LanguageModel(("a",)), "trades")
