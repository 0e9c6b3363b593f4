"""Scores against closed forms, and what planted errors say against the truth."""

import numpy as np
import pytest

from netwright.checks.data.label_scores import (
    WRONG,
    calibrated,
    disagreement,
    judged,
    margin,
    noise,
    noise_matrix,
    self_confidence,
    tempered,
)

ROWS, CLASSES = 2000, 4


def _world(matrix: np.ndarray, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chances of a right model of noisy labels, the labels, and the true classes."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(ROWS, CLASSES)) * 4
    truth = np.exp(logits - logits.max(1, keepdims=True))
    truth /= truth.sum(1, keepdims=True)
    true = (generator.random((ROWS, 1)) > truth.cumsum(1)).sum(1).clip(max=CLASSES - 1)
    given = (generator.random((ROWS, 1)) > matrix[true].cumsum(1)).sum(1).clip(max=CLASSES - 1)
    chances = np.maximum(truth @ matrix, 1e-6)
    return chances / chances.sum(1, keepdims=True), given, true


def _one_way(rate: float) -> np.ndarray:
    """Class 0 is given as 1 in `rate` of its rows; nothing else is wrong."""
    matrix = np.eye(CLASSES)
    matrix[0, :2] = 1 - rate, rate
    return matrix


def test_self_confidence_and_margin_are_those_of_the_given_label():
    chances = np.array([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1]])
    given = np.array([0, 2])
    assert self_confidence(chances, given) == pytest.approx([0.3, 0.9])
    assert margin(chances, given) == pytest.approx([-0.5, 0.6])


def test_noise_matrix_of_the_surest_rows_is_near_the_true_one():
    matrix = _one_way(0.3)
    chances, given, _ = _world(matrix)
    assert np.abs(noise_matrix(chances, given) - matrix).max() < 0.09  # 2 standard errors of 100 anchors: 0.09


def test_posterior_finds_the_true_class_where_the_label_is_wrong():
    matrix = _one_way(0.45)
    chances, given, true = _world(matrix)
    found = noise(chances, given).posterior(given).argmax(1)
    assert (found == true).mean() > (given == true).mean() + 0.05


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_as_many_labels_are_wrong_as_is_claimed(rate: float):
    matrix = np.full((CLASSES, CLASSES), rate / (CLASSES - 1))
    np.fill_diagonal(matrix, 1 - rate)
    chances, given, true = _world(matrix)
    found = judged(chances, given)
    flagged = found.is_wrong >= WRONG
    assert flagged.sum() > 25
    assert found.is_wrong[flagged].mean() == pytest.approx((given != true)[flagged].mean(), abs=0.1)
    assert found.rate == pytest.approx(rate, abs=0.03)


def test_few_right_labels_are_flagged():
    chances, given, _ = _world(np.eye(CLASSES))
    assert (judged(chances, given).is_wrong >= WRONG).mean() < 0.02


def test_calibration_of_a_score_that_tells_all_is_certain_and_of_one_that_tells_nothing_is_the_rate():
    own = np.concatenate([np.zeros(900), np.ones(100)])
    weights = np.full(1000, 1 / 1000)
    rate, is_wrong = calibrated(own, np.ones(1000), weights, 0.5)
    assert rate == pytest.approx(0.11)  # 100 of 1000, and the standard error of that count, 10
    assert is_wrong[900:].min() > 0.9 and is_wrong[:900].max() < 0.02
    noisy = np.random.default_rng(0).random(1000)
    _, is_wrong = calibrated(noisy, np.random.default_rng(1).random(1000), weights, 0.1)
    assert is_wrong.mean() == pytest.approx(0.1, abs=0.01)


def test_too_sure_chances_are_flattened():
    chances, given, _ = _world(np.eye(CLASSES))
    sharp = chances**3 / (chances**3).sum(1, keepdims=True)
    assert np.abs(tempered(sharp, given) - chances).mean() < np.abs(sharp - chances).mean() / 2


def test_same_seed_gives_the_same_judgement():
    chances, given, _ = _world(_one_way(0.2))
    assert np.array_equal(judged(chances, given, seed=3).is_wrong, judged(chances, given, seed=3).is_wrong)


def test_neighbors_vote_by_the_labels_of_rows_with_like_answers_and_never_on_themselves() -> None:
    chances = np.repeat([[0.9, 0.1], [0.1, 0.9]], 30, axis=0)
    given = np.repeat([0, 1], 30)
    given[0] = 1  # one wrong label among the first thirty
    own = disagreement(chances, given, given)
    assert own[0] == 1.0
    assert own[1:30].max() == pytest.approx(1 / 20) and own[30:].max() == 0.0
    assert disagreement(chances, given, np.zeros(60, np.int64))[0] == 0.0
