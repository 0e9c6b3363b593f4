"""Scores against closed forms, and what planted errors say against the truth."""

import numpy as np
import pytest

from netwright.checks.data.label_scores import (
    WRONG,
    Noise,
    calibrated,
    even_noise,
    judged,
    paired_noise,
    self_confidence,
    sharpened,
)
from netwright.simple_models import kernel
from netwright.simple_models.wanted import Wanted

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


def _weak(accuracy: float, *, rows: int = ROWS, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Chances of a model that is right so often and knows how sure it is, and right labels."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(rows, CLASSES))
    scale = next(s for s in np.geomspace(0.5, 80, 200) if sharpened(np.exp(logits), float(s)).max(1).mean() > accuracy)
    chances = sharpened(np.exp(logits), float(scale))
    return chances, (generator.random((rows, 1)) > chances.cumsum(1)).sum(1).clip(max=CLASSES - 1)


def _spoiled(given: np.ndarray, rate: float, seed: int = 1) -> np.ndarray:
    """Labels with another one, evenly, in so many rows."""
    generator = np.random.default_rng(seed)
    other = (given + generator.integers(1, CLASSES, len(given))) % CLASSES
    return np.where(generator.random(len(given)) < rate, other, given)


def _learned(chances: np.ndarray, given: np.ndarray) -> np.ndarray:
    """What a model says that learned from these labels: it becomes less sure by as much as they fit it worse."""
    rows = np.arange(len(given))
    tried = [sharpened(chances, float(exponent)) for exponent in np.geomspace(0.1, 1.5, 30)]
    return max(tried, key=lambda found: float(np.log(found[rows, given] + 1e-9).sum()))


def _out_of_fold(given_as: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chances of a kernel model on four clouds, of labels drawn by a noise matrix, and the true classes."""
    generator = np.random.default_rng(0)
    true = np.arange(1200) % CLASSES
    x = (generator.normal(size=(1200, 2)) + 5 * np.array([[0, 0], [1, 0], [0, 1], [1, 1]])[true]).astype(np.float32)
    given = (generator.random((1200, 1)) > given_as[true].cumsum(1)).sum(1).clip(max=CLASSES - 1)
    chances = np.empty((1200, CLASSES))
    for fold in range(3):
        held = np.arange(1200) // CLASSES % 3 == fold
        answer = kernel.fit(x[~held], Wanted.classes(given[~held], CLASSES))
        assert answer is not None
        chances[held] = answer(x[held]).exp().numpy()
    return np.maximum(chances, 1e-6), given, true


def test_self_confidence_is_that_of_the_given_label():
    chances = np.array([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1]])
    assert self_confidence(chances, np.array([0, 2])) == pytest.approx([0.3, 0.9])


def test_posterior_follows_bayes():
    noise = Noise(np.array([[0.9, 0.1], [0.0, 1.0]]), 1.0)
    found = noise.posterior(np.array([[0.6, 0.4], [0.6, 0.4]]), np.array([0, 1]))
    assert found == pytest.approx(np.array([[1, 0], [0.06 / 0.46, 0.4 / 0.46]]))


@pytest.mark.parametrize("accuracy", [0.6, 0.8, 0.95])
def test_a_model_that_is_often_wrong_invents_no_wrong_labels(accuracy: float):
    """Whatever its sharpness: networks are too sure or too unsure."""
    chances, given = _weak(accuracy)
    for exponent in (0.6, 1.0, 1.6):
        found = judged(sharpened(chances, exponent), given)
        assert (found.is_wrong >= WRONG).mean() <= 0.005
        assert found.right == pytest.approx(accuracy, abs=0.03)


@pytest.mark.parametrize("accuracy", [0.6, 0.8, 0.95])
@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_the_share_of_wrong_labels_shows_whatever_the_model_s_own_errors(accuracy: float, rate: float):
    chances, true = _weak(accuracy, rows=6000)
    given = _spoiled(true, rate)
    found = even_noise(_learned(chances, given), given)
    assert found is not None
    assert 0.4 * rate < 1 - found.matrix[0, 0] < 1.1 * rate  # the low end of an interval: nothing is invented


def test_a_matrix_of_pairs_is_found_by_a_strong_model_and_not_invented_by_a_weak_one():
    chances, given, _ = _out_of_fold(_one_way(0.3))
    found = paired_noise(chances, given)
    assert found is not None
    assert 0.1 < found.matrix[0, 1] < 0.3  # part of it is thought to be confusion
    assert found.matrix[1, 0] < 0.02 and found.matrix[2:].diagonal(2).min() > 0.95
    assert paired_noise(*_weak(0.7)) is None


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_as_many_labels_are_wrong_as_is_claimed(rate: float):
    matrix = np.full((CLASSES, CLASSES), rate / (CLASSES - 1))
    np.fill_diagonal(matrix, 1 - rate)
    chances, given, true = _out_of_fold(matrix)
    found = judged(chances, given)
    flagged = found.is_wrong >= WRONG
    assert flagged.sum() > 25
    assert found.is_wrong[flagged].mean() == pytest.approx((given != true)[flagged].mean(), abs=0.1)
    assert found.rate == pytest.approx(rate, abs=0.03)
    assert not found.is_too_weak


def test_a_model_that_is_right_in_two_of_three_rows_cannot_judge():
    assert judged(*_weak(0.66)).is_too_weak
    chances, true = _weak(0.66)
    given = _spoiled(true, 0.1)
    assert judged(_learned(chances, given), given).is_too_weak


def test_wrong_labels_do_not_make_a_strong_model_look_weak():
    chances, true = _weak(0.95)
    given = _spoiled(true, 0.3)
    found = judged(_learned(chances, given), given)
    assert not found.is_too_weak
    assert found.right == pytest.approx(0.95, abs=0.04)


def _rare(seed: int, *, rows: int = 2000, share: float = 0.14) -> tuple[np.ndarray, np.ndarray]:
    """A calibrated model of two classes, sure of most rows, and their true labels; class 1 is rare."""
    generator = np.random.default_rng(seed)
    answers = generator.random(rows) < share
    doubts = 10 ** generator.uniform(-5, -0.7, rows)
    chances = np.where(answers[:, None] == [False, True], 1 - doubts[:, None], doubts[:, None])
    return chances, (answers ^ (generator.random(rows) < doubts)).astype(np.int64)


def test_hard_rows_of_one_class_are_not_wrong_labels():
    """Customers who leave without a sign look like those who stay: labels contradict answers in one direction."""
    for seed in range(5):
        chances, given = _rare(seed)
        hidden = np.random.default_rng(seed + 100).random(len(given)) < 0.1
        chances[hidden & (given == 1)] = chances[given == 0][0]
        assert even_noise(chances, given) is None and paired_noise(chances, given) is None
        assert judged(chances, given).is_wrong.max() == 0
    found = list[bool]()
    for seed in range(10):
        chances, given = _rare(seed)
        flipped = np.random.default_rng(seed + 200).random(len(given)) < 0.05  # in both directions
        found.append(even_noise(chances, np.where(flipped, 1 - given, given)) is not None)
    assert sum(found) >= 9


def test_flipped_labels_do_not_make_a_model_of_a_rare_class_look_strong():
    """It finds a third of the rare class: right in 92 % of the true labels, the frequent class alone in 88 %."""
    generator = np.random.default_rng(0)
    true = (generator.random(3000) < 0.12).astype(np.int64)
    answers = true * (generator.random(3000) < 0.33)
    doubts = np.where(answers, 10 ** generator.uniform(-5, -2, 3000), 10 ** generator.uniform(-1.3, -0.8, 3000))
    chances = np.where(answers[:, None] == [0, 1], 1 - doubts[:, None], doubts[:, None])
    given = np.where(generator.random(3000) < 0.2, 1 - true, true)
    found = judged(chances, given)
    assert found.rate > 0.1
    assert found.largest > np.bincount(given).max() / 3000 + 0.05
    assert found.is_too_weak


def test_few_right_labels_are_flagged():
    chances, given, _ = _world(np.eye(CLASSES))
    assert (judged(chances, given).is_wrong >= WRONG).mean() < 0.02


def test_one_class_alone_is_not_doubted():
    assert judged(np.ones((50, 1)), np.zeros(50, np.int64)).is_wrong.max() == 0


def test_calibration_of_a_score_that_tells_all_is_certain_and_of_one_that_tells_nothing_is_the_rate():
    own = np.concatenate([np.zeros(900), np.ones(100)])
    weights = np.full(1000, 1 / 1000)
    rate, is_wrong = calibrated(own, np.ones(1000), weights, 0.5)
    assert rate == pytest.approx(0.11)  # 100 of 1000, and the standard error of that count, 10
    assert is_wrong[900:].min() > 0.9 and is_wrong[:900].max() < 0.02
    noisy = np.random.default_rng(0).random(1000)
    _, is_wrong = calibrated(noisy, np.random.default_rng(1).random(1000), weights, 0.1)
    assert is_wrong.mean() == pytest.approx(0.1, abs=0.01)


def test_same_seed_gives_the_same_judgement():
    chances, given, _ = _world(_one_way(0.2))
    assert np.array_equal(judged(chances, given, seed=3).is_wrong, judged(chances, given, seed=3).is_wrong)
