import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from netwright.checks.data.intervals import auroc, difference, share


def test_share_of_81_in_263_has_the_interval_that_newcombe_prints():
    found = share(81, 263)  # Newcombe 1998, table I, method 3
    assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=1e-4)


def test_difference_of_56_in_70_and_48_in_80_has_the_interval_that_newcombe_prints():
    found = difference(share(56, 70), share(48, 80))  # Newcombe 1998, table II, method 10
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_auroc_is_that_of_scikit_learn_with_ties():
    generator = np.random.default_rng(0)
    zeros, ones = generator.integers(0, 9, 40), generator.integers(2, 12, 30)
    expected = roc_auc_score(np.repeat([0, 1], [40, 30]), np.concatenate([zeros, ones]))
    assert auroc(zeros, ones).value == pytest.approx(expected)


def test_interval_of_auroc_covers_the_truth_in_95_of_100_draws():
    generator = np.random.default_rng(0)
    truth = 0.7602  # of normals one spread apart: Phi(1 / sqrt(2))
    found = [auroc(generator.normal(size=80), generator.normal(1, 1, 50)) for _ in range(400)]
    assert 0.92 < np.mean([f.low < truth < f.high for f in found]) < 0.98


def test_scores_that_do_not_overlap_have_an_interval_below_one():
    found = auroc(np.zeros(30), np.ones(30))
    assert (found.value, found.low, found.high) == (1.0, 0.9, 1.0)
