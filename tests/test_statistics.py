import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from netwright import statistics
from netwright.statistics import (
    Interval,
    auroc,
    bootstrap,
    difference,
    least_share,
    mean,
    mean_difference,
    share,
    student,
)


def test_share_of_81_in_263_has_the_interval_that_newcombe_prints():
    found = share(81, 263)  # Newcombe 1998, table I, method 3
    assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=1e-4)


def test_the_least_share_is_the_bound_of_clopper_and_pearson():
    assert least_share(0, 10, 0.05) == 0.0
    assert least_share(10, 10, 0.05) == pytest.approx(0.05**0.1)
    assert least_share(8, 10, 0.025) == pytest.approx(0.4439, abs=1e-4)  # the usual 95 % interval of 8 of 10


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


@pytest.mark.parametrize(("hits", "count"), [(0, 12), (3, 20), (400, 500), (7, 7)])
def test_share_is_wilsons_interval_of_scipy(hits: int, count: int):
    theirs = stats.binomtest(hits, count).proportion_ci(method="wilson")
    assert (share(hits, count).low, share(hits, count).high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_a_share_of_nothing_can_be_anything():
    assert share(0, 0) == Interval(0.0, 0.0, 1.0)


def test_few_hits_are_as_likely_as_scipy_says():
    assert statistics.at_most(3, 40, 0.2) == pytest.approx(stats.binom.cdf(3, 40, 0.2))


def test_expected_events_spread_as_a_sum_of_coins_and_as_their_chances_are_unsure():
    found = statistics.expected(np.full(100, 0.5), 0.0)
    assert (found.value, found.high - 50) == pytest.approx((50, statistics.NORMAL * 5))
    assert statistics.expected(np.ones(10), 0.2).high == pytest.approx(10 + statistics.NORMAL * 2)


def test_mean_and_difference_of_means_have_normal_intervals():
    a, b = np.array([1.0, 2.0, 3.0, 6.0]), np.array([0.0, 1.0, 5.0])
    expected = stats.norm.interval(0.95, a.mean(), stats.sem(a))
    assert (mean(a).low, mean(a).high) == pytest.approx(expected)
    gap, error = mean_difference(a, b), np.hypot(stats.sem(a), stats.sem(b))
    assert (gap.value, gap.high - gap.value) == pytest.approx((1.0, stats.norm.ppf(0.975) * error))
    assert mean(a[:1]).high == np.inf


def test_few_values_have_students_interval():
    few = np.array([0.1, 0.4, 0.3, 0.2, 0.6])
    expected = stats.t.interval(0.95, 4, few.mean(), stats.sem(few))
    assert (student(few).low, student(few).high) == pytest.approx(expected)
    wide = student(few, overlap=1 / 3)  # Nadeau and Bengio 2003: 1/n + 1/3 in place of 1/n
    assert (wide.high - wide.value) / (expected[1] - few.mean()) == pytest.approx(np.sqrt(1 + 5 / 3))


def test_gain_over_seeds_joins_rows_and_seeds():
    generator = np.random.default_rng(0)
    before, after = 1 + generator.normal(size=(3, 200)), generator.normal(size=(3, 200))
    found = statistics.gain_over_seeds(before, after)
    rows = mean(before.mean(0) - after.mean(0))
    pooled = np.sqrt((before.mean(1).var(ddof=1) + after.mean(1).var(ddof=1)) / 3)
    half = np.hypot(rows.high - rows.value, stats.t.ppf(0.975, 4) * pooled)
    assert (found.value, found.low) == pytest.approx((rows.value, rows.value - half))


def test_spread_over_seeds_is_that_of_the_seeds_without_that_of_the_rows():
    generator = np.random.default_rng(0)
    rows, seeds = generator.normal(size=500), np.array([0.0, 0.1, 0.2, 0.3])
    found = statistics.spread_over_seeds(seeds[:, None] + rows)
    ends = 3 / stats.chi2.ppf((0.975, 0.025), 3)
    assert found.value == pytest.approx(seeds.std(ddof=1))
    assert (found.low, found.high) == pytest.approx(tuple(found.value * np.sqrt(ends)))
    noise = statistics.spread_over_seeds(generator.normal(size=(3, 50)))
    assert noise.low == 0


def test_pigeonhole_knows_that_seeds_differ():
    generator = np.random.default_rng(0)
    alike = generator.normal(1, 1, (5, 400))
    apart = alike + generator.normal(0, 1, (5, 1))
    narrow, wide = statistics.pigeonhole(alike), statistics.pigeonhole(apart)
    assert narrow.low < 1 < narrow.high and wide.high - wide.low > 4 * (narrow.high - narrow.low)
    assert statistics.pigeonhole(alike) == narrow


def test_mean_over_pairs_has_the_spread_of_pairs_and_of_their_rows():
    generator = np.random.default_rng(0)
    gaps = [generator.normal(0.3, 1, 400) for _ in range(30)]
    found = statistics.mean_over_pairs(gaps)
    means = np.array([gap.mean() for gap in gaps])
    half = statistics.NORMAL * np.sqrt(means.var() / 30 + 1 / 400 / 30)
    assert (found.value, found.high - found.value) == pytest.approx((means.mean(), half), rel=0.1)


def test_a_sum_of_absolute_values_loses_what_resampling_adds():
    numbers = np.random.default_rng(0).normal(size=(400, 200))  # 200 means that are 0
    found = statistics.without_bias(lambda rows: float(np.abs(numbers[rows].mean(0)).mean()), 400, draws=200)
    assert found.value / np.abs(numbers.mean(0)).mean() == pytest.approx(2 - np.sqrt(2), rel=0.1)  # of normal ones
    assert found.low < found.value < found.high


def test_windows_of_a_series_resampled_by_group_have_the_interval_of_independent_rows():
    groups = np.repeat(np.arange(100), 50)
    level = np.random.default_rng(0).normal(size=100)
    numbers = level[groups]

    def build(rows: np.ndarray) -> dict[str, statistics.Weighted]:
        return {"mean": lambda weights: weights @ numbers[rows] / weights.sum(1)}

    whole, single = (bootstrap(build, 5000, groups=by)["mean"] for by in (groups, None))
    half = statistics.NORMAL * level.std() / 10
    assert whole.high - whole.low == pytest.approx(2 * half, rel=0.15)
    assert single.high - single.low < 0.2 * (whole.high - whole.low)


def test_many_rows_in_groups_are_resampled_on_some_of_the_groups(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(statistics, "ROWS", 2_000)
    groups = np.repeat(np.arange(1000), 10)
    numbers = np.random.default_rng(0).normal(size=1000)[groups]
    found = bootstrap(lambda rows: {"mean": lambda w: w @ numbers[rows] / w.sum(1)}, 10_000, groups=groups)["mean"]
    assert found.high - found.low == pytest.approx(2 * statistics.NORMAL * numbers.std() / np.sqrt(1000), rel=0.15)


def test_an_interval_is_written_with_its_ends():
    assert f"{Interval(-0.0213, -0.0341, -0.0081):+.3f}" == "-0.021 [-0.034, -0.008]"
    assert str(Interval(0.5, 0.25, 0.75).measure("share", 0.1)) == "share 0.5 [0.25, 0.75] (threshold 0.1)"
