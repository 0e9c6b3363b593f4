from math import log

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from netwright.records.errors import RecipeError
from netwright.records.recipe import Recipe
from netwright.tasks.losses import (
    binary,
    choose_loss,
    class_weights,
    cross_entropy,
    focal,
    huber,
    mae,
    mse,
    over_members,
    quantile,
)

LOGITS = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
CLASSES = torch.tensor([0, 1, 2, 2, 1, 0])


def test_cross_entropy_is_torchs():
    assert torch.equal(cross_entropy(LOGITS, CLASSES), F.cross_entropy(LOGITS, CLASSES, reduction="none"))


def test_smoothed_cross_entropy_is_that_of_the_smoothed_target():
    soft = 0.9 * F.one_hot(CLASSES, 3) + 0.1 / 3
    expected = -(soft * LOGITS.log_softmax(1)).sum(1)
    torch.testing.assert_close(cross_entropy(LOGITS, CLASSES, smoothing=0.1), expected)


def test_focal_loss_is_the_papers():
    right = LOGITS.softmax(1)[range(6), CLASSES]
    torch.testing.assert_close(focal(LOGITS, CLASSES), -((1 - right) ** 2) * right.log())


def test_binary_loss_is_the_mean_over_labels_and_smoothing_draws_to_one_half():
    targets = torch.tensor([[1.0, 0.0, 1.0]]).expand(6, 3)
    expected = F.binary_cross_entropy_with_logits(LOGITS, targets, reduction="none").mean(1)
    torch.testing.assert_close(binary(LOGITS, targets), expected)
    half = binary(LOGITS, targets, smoothing=1.0)
    torch.testing.assert_close(
        half, F.binary_cross_entropy_with_logits(LOGITS, targets * 0 + 0.5, reduction="none").mean(1)
    )


def test_losses_of_numbers_have_their_closed_forms():
    answers, targets = torch.tensor([1.0, 3.0]), torch.tensor([1.5, 1.0])
    assert mse(answers, targets).tolist() == [0.25, 4.0]
    assert mae(answers, targets).tolist() == [0.5, 2.0]
    assert huber(answers, targets).tolist() == [0.125, 1.5]
    assert quantile(answers, targets).tolist() == [0.25, 1.0]


def test_quantile_loss_is_least_at_the_quantile():
    targets = torch.arange(101.0)
    losses = [float(quantile(torch.full((101,), float(q)), targets, share=0.9).mean()) for q in range(101)]
    assert int(np.argmin(losses)) == 90


def test_members_losses_are_averaged_and_not_their_answers():
    members = torch.stack([LOGITS, LOGITS.flip(1)], dim=1)
    expected = (cross_entropy(LOGITS, CLASSES) + cross_entropy(LOGITS.flip(1), CLASSES)) / 2
    torch.testing.assert_close(over_members(cross_entropy, members, CLASSES), expected)
    torch.testing.assert_close(over_members(cross_entropy, LOGITS, CLASSES), cross_entropy(LOGITS, CLASSES))


def test_balanced_weights_have_mean_one_over_the_training_rows_and_empty_classes_weigh_nothing():
    counts = (10, 30, 0, 60)
    weights = class_weights(Recipe(class_weights="balanced"), counts, "classification")
    assert weights is not None
    assert weights.tolist() == pytest.approx([100 / 30, 100 / 90, 0.0, 100 / 180])
    assert float(weights @ torch.tensor(counts, dtype=torch.float32)) / 100 == pytest.approx(1.0)
    assert class_weights(Recipe(), counts, "classification") is None


def test_balanced_weights_without_counts_are_refused():
    with pytest.raises(RecipeError) as caught:
        class_weights(Recipe(class_weights="balanced"), (), "classification")
    assert caught.value.problem == (
        "class_weights=balanced needs the rows of each class, but classification does not know them"
    )


def test_a_loss_that_does_not_suit_is_refused_with_those_that_do():
    with pytest.raises(RecipeError) as caught:
        choose_loss(Recipe(loss="mse"), ("cross_entropy", "focal"), "classification")
    assert str(caught.value) == (
        "the loss 'mse' does not suit classification\n  fix: choose from cross_entropy, focal."
    )


def test_smoothing_of_numbers_is_refused():
    with pytest.raises(RecipeError) as caught:
        choose_loss(Recipe(label_smoothing=0.1), ("mse",), "regression")
    assert str(caught.value) == "the loss 'mse' has no label smoothing\n  fix: set label_smoothing=0."


def test_a_loss_of_ones_own_is_taken_by_its_import_path():
    loss = choose_loss(Recipe(loss="netwright.tasks.losses:mae"), ("mse",), "regression")
    assert loss is mae


def test_even_logits_cost_the_logarithm_of_the_classes():
    assert cross_entropy(torch.zeros(1, 7), torch.tensor([3])).item() == pytest.approx(log(7))
