import numpy as np
import torch

from netwright.simple_models.kernel import _left_out, _Space, fit
from netwright.simple_models.wanted import Wanted


def rings(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two rings around each other, which no line separates."""
    generator = np.random.default_rng(seed)
    ring = np.arange(count) % 2
    angle, radius = generator.uniform(0, 2 * np.pi, count), 1 + 2 * ring + generator.normal(size=count) * 0.2
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).astype(np.float32), ring


def test_classes_that_no_line_separates_are_told_apart() -> None:
    x, ring = rings(300)
    held, truth = rings(200, 1)
    answer = fit(x, Wanted.classes(ring, 2))
    assert answer is not None
    assert (answer(held).argmax(1).numpy() == truth).mean() > 0.97


def test_probabilities_are_as_sure_as_answers_are_right() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(800, 3)).astype(np.float32)
    y = (generator.random(800) < 1 / (1 + np.exp(-2 * x[:, 0]))).astype(np.int64)
    answer = fit(x[:500], Wanted.classes(y[:500], 2))
    assert answer is not None
    chances = answer(x[500:]).exp()
    right = (chances.argmax(1).numpy() == y[500:]).mean()
    assert abs(float(chances.max(1).values.mean()) - right) < 0.06  # two standard errors of 300 rows are 0.05


def test_what_is_answered_for_a_row_that_is_left_out_is_what_a_fit_without_it_answers() -> None:
    x, _ = rings(40)
    targets = x[:, :1].astype(np.float64) ** 2
    mean = targets.mean(0)
    rows = _Space.of(x, np.random.default_rng(0))(x).astype(np.float64)
    values, vectors = np.linalg.eigh(rows.T @ rows)
    turned = rows @ vectors
    found = _left_out(turned, values, turned.T @ (targets - mean), targets, mean, 0.1)
    kept = np.arange(1, 40)
    penalty = 0.1 * np.eye(rows.shape[1])
    weights = np.linalg.solve(rows[kept].T @ rows[kept] + penalty, rows[kept].T @ (targets[kept] - mean))
    assert np.allclose(found[0], rows[0] @ weights + mean, atol=1e-4)


def test_more_rows_than_landmarks_are_learned_from() -> None:
    x, ring = rings(2500)
    answer = fit(x, Wanted.classes(ring, 2))
    assert answer is not None
    assert (answer(x[:500]).argmax(1).numpy() == ring[:500]).mean() > 0.97


def test_numbers_are_answered_in_their_units() -> None:
    x, _ = rings(300)
    y = 1000 + 50 * (x**2).sum(1).astype(np.float64)
    answer = fit(x, Wanted.numbers(y))
    assert answer is not None
    assert float((answer(x)[:, 0] - torch.from_numpy(y)).abs().median()) < 10
