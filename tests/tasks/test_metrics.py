"""Our weighted metrics against scikit-learn's, with sample weights, and the bootstrap against known spreads."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from netwright import statistics
from netwright.records.batch import Batch
from netwright.records.errors import DataError
from netwright.tasks import metrics
from netwright.tasks.classification import Classification

GENERATOR = np.random.default_rng(0)
N, K = 200, 5
TARGETS = GENERATOR.integers(0, K, N)
SCORES = np.round(GENERATOR.normal(size=(N, K)) + 2 * np.eye(K)[TARGETS], 1)  # rounded: there are ties
ANSWERS = SCORES.argmax(1)
WEIGHTS = np.stack([np.ones(N), GENERATOR.integers(1, 4, N), GENERATOR.integers(0, 3, N)]).astype(float)
NUMBERS, GUESSES = GENERATOR.normal(1e4, 3, N), GENERATOR.normal(1e4, 3, N)


def _agrees(ours: metrics.Statistic, theirs) -> None:
    assert ours(WEIGHTS) == pytest.approx([theirs(weights) for weights in WEIGHTS], rel=1e-9)


def test_auc_and_average_precision_agree_with_scikit_learn_also_with_ties():
    positive, scores = TARGETS == 1, SCORES[:, 1]
    _agrees(metrics.auc(scores, positive), lambda w: sk.roc_auc_score(positive, scores, sample_weight=w))
    _agrees(
        metrics.average_precision(scores, positive),
        lambda w: sk.average_precision_score(positive, scores, sample_weight=w),
    )


def test_mean_auc_agrees_with_scikit_learn():
    truth = TARGETS[:, None] == np.arange(K)
    _agrees(metrics.mean_auc(SCORES, truth), lambda w: sk.roc_auc_score(truth, SCORES, sample_weight=w))


@pytest.mark.parametrize("few", [1, 64])
def test_f1_and_balanced_accuracy_agree_with_scikit_learn(few: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metrics, "FEW_GROUPS", few)  # both ways to sum by group
    _agrees(
        metrics.balanced_accuracy(TARGETS, ANSWERS, K),
        lambda w: sk.balanced_accuracy_score(TARGETS, ANSWERS, sample_weight=w),
    )
    _agrees(metrics.f1(TARGETS, ANSWERS, K), lambda w: sk.f1_score(TARGETS, ANSWERS, average="macro", sample_weight=w))
    two, given = TARGETS % 2, ANSWERS % 2
    _agrees(metrics.f1(two, given, 2, 0), lambda w: sk.f1_score(two, given, pos_label=0, sample_weight=w))


def test_errors_of_numbers_agree_with_scikit_learn():
    errors = np.abs(NUMBERS - GUESSES)
    _agrees(metrics.r2(NUMBERS, GUESSES), lambda w: sk.r2_score(NUMBERS, GUESSES, sample_weight=w))
    _agrees(metrics.mean_of(errors, "lower"), lambda w: sk.mean_absolute_error(NUMBERS, GUESSES, sample_weight=w))
    _agrees(metrics.root_mean_of(errors**2), lambda w: sk.root_mean_squared_error(NUMBERS, GUESSES, sample_weight=w))
    repeated = [np.repeat(errors, w.astype(int)) for w in WEIGHTS]
    assert metrics.median_of(errors)(WEIGHTS) == pytest.approx([np.median(rows) for rows in repeated])


def test_f1_of_several_labels_agrees_with_scikit_learn():
    truth, given = SCORES > 0.3, GENERATOR.random((N, K)) > 0.4
    _agrees(metrics.label_f1(truth, given), lambda w: sk.f1_score(truth, given, average="macro", sample_weight=w))


def test_calibration_error_agrees_with_torchmetrics():
    shares = np.exp(SCORES) / np.exp(SCORES).sum(1, keepdims=True)
    ours = metrics.calibration_error(shares.max(1), shares.argmax(1) == TARGETS)(np.ones((1, N)))[0]
    theirs = multiclass_calibration_error(torch.from_numpy(shares), torch.from_numpy(TARGETS), K, n_bins=15)
    assert ours == pytest.approx(float(theirs), abs=1e-6)


def test_confusion_agrees_with_scikit_learn():
    assert np.array_equal(metrics.confusion(TARGETS, ANSWERS, K), sk.confusion_matrix(TARGETS, ANSWERS))


def test_metrics_that_a_part_cannot_define_are_left_out():
    one_class = {"auc": metrics.auc(SCORES[:, 0], np.ones(N, dtype=bool)), "mean": metrics.mean_of(NUMBERS, "lower")}
    assert list(statistics.unweighted(one_class, N)) == ["mean"]
    assert metrics.r2(np.full(N, 1e4), GUESSES)(np.ones((1, N))) == pytest.approx([np.nan], nan_ok=True)


def test_interval_of_a_mean_has_the_width_of_the_normal_one():
    (metric,) = metrics.intervals(lambda rows: {"mae": metrics.mean_of(NUMBERS[rows], "lower")}, N)
    half = 1.96 * NUMBERS.std() / np.sqrt(N)
    assert (metric.low, metric.high) == pytest.approx((metric.value - half, metric.value + half), abs=0.1 * half)


def test_interval_of_a_large_part_is_resampled_on_some_of_its_rows(monkeypatch: pytest.MonkeyPatch):
    numbers = GENERATOR.normal(size=20_000)
    monkeypatch.setattr(statistics, "ROWS", 2_000)
    (metric,) = metrics.intervals(lambda rows: {"mae": metrics.mean_of(numbers[rows], "lower")}, len(numbers))
    half = 1.96 * numbers.std() / np.sqrt(len(numbers))
    assert metric.value == pytest.approx(numbers.mean())
    assert (metric.low, metric.high) == pytest.approx((metric.value - half, metric.value + half), abs=0.15 * half)


def test_intervals_depend_on_the_seed_alone():
    build = lambda rows: {"mae": metrics.mean_of(NUMBERS[rows], "lower")}  # noqa: E731 # the same function thrice
    assert metrics.intervals(build, N) == metrics.intervals(build, N)
    assert metrics.intervals(build, N, seed=1) != metrics.intervals(build, N)


def test_calibration_error_of_a_calibrated_network_lies_in_its_interval():
    shares = GENERATOR.dirichlet(np.ones(3), 300)
    drawn = (GENERATOR.random((300, 1)) > shares.cumsum(1)).sum(1)
    score = Classification(("a", "b", "c")).score()
    score.add(torch.from_numpy(np.log(shares)), Batch((), (torch.from_numpy(drawn),), torch.arange(300)))
    metric = score.result()["calibration_error"]
    assert 0 <= metric.low <= metric.value <= metric.high


def test_perfect_answers_have_no_spread():
    score = Classification(("a", "b")).score()
    targets = torch.tensor([0, 1] * 20)
    score.add(20.0 * torch.nn.functional.one_hot(targets, 2), Batch((), (targets,), torch.arange(40)))
    for name in ("accuracy", "balanced_accuracy", "f1", "auc", "average_precision"):
        metric = score.result()[name]
        assert (metric.low, metric.value, metric.high) == (1.0, 1.0, 1.0)


def test_a_score_without_rows_is_refused():
    with pytest.raises(DataError, match="there are no rows to score"):
        Classification(("a", "b")).score().result()


def test_a_metric_knows_which_way_is_better_whatever_its_name():
    (own,) = metrics.intervals(lambda rows: {"my_loss": metrics.mean_of(NUMBERS[rows], "higher")}, N)
    assert own.higher_is_better
    score = _scored(Classification(("a", "b")), torch.randn(40, 2), torch.tensor([0, 1] * 20))
    lower = {metric.name for metric in score.result().metrics if not metric.higher_is_better}
    assert lower == {"log_loss", "calibration_error"}


def test_what_is_dear_is_computed_once_at_the_end():
    asked = list[str]()

    def measure(name: str):
        def statistics_of(numbers: metrics.Array) -> dict[str, metrics.Statistic]:
            asked.append(name)
            return {name: metrics.mean_of(numbers, "higher")}

        return statistics_of

    score = metrics.Kept(lambda outputs, batch: (outputs,), measure("quick"), measure("dear"))
    score.add(torch.arange(4.0), Batch((), (), torch.arange(4)))
    assert score.quick()["quick"] == 1.5 and asked == ["quick"]
    assert [metric.name for metric in score.result().metrics] == ["quick", "dear"]


def test_bleu_is_resampled_as_a_function_of_what_rows_add():
    generator = np.random.default_rng(1)
    matched, total = generator.integers(1, 9, (50, 4)), generator.integers(9, 12, (50, 4))  # n-grams of four lengths
    bleu = metrics.of_sums(np.hstack([matched, total]), lambda s: np.exp(np.log(s[:, :4] / s[:, 4:]).mean(1)), "higher")
    drawn = generator.integers(0, 50, 50)
    corpus = np.exp(np.log(matched[drawn].sum(0) / total[drawn].sum(0)).mean())
    assert bleu(np.bincount(drawn, minlength=50)[None].astype(float)) == pytest.approx(corpus)


def test_precision_of_boxes_is_resampled_by_picture():
    generator = np.random.default_rng(2)
    owners = np.sort(generator.integers(0, 30, 200))  # the picture of each box
    scores, hits = generator.random(200), generator.random(200) > 0.4
    boxes = metrics.of_items(metrics.average_precision(scores, hits), owners)
    drawn = generator.integers(0, 30, 30)
    again = np.concatenate([np.flatnonzero(owners == picture) for picture in drawn])
    expected = sk.average_precision_score(hits[again], scores[again])
    assert boxes(np.bincount(drawn, minlength=30)[None].astype(float)) == pytest.approx(expected)


def test_windows_of_one_series_are_resampled_together():
    groups = torch.arange(30).repeat_interleave(40)
    targets = torch.randint(0, 2, (30,), generator=torch.Generator().manual_seed(0)).repeat_interleave(40)
    guesses = torch.nn.functional.one_hot(torch.where(groups < 20, targets, 1 - targets), 2).float()
    score = _scored(Classification(("a", "b")), guesses, targets)
    whole, single = score.result(groups)["accuracy"], score.result()["accuracy"]
    half = 1.96 * np.sqrt(2 / 9 / 30)  # of a share of two thirds of 30 series
    assert whole.high - whole.low == pytest.approx(2 * half, rel=0.15)
    assert single.high - single.low < 0.2 * (whole.high - whole.low)


def _scored(task: Classification, outputs: torch.Tensor, targets: torch.Tensor):
    score = task.score()
    score.add(outputs, Batch((), (targets,), torch.arange(len(targets))))
    return score


def test_metrics_depend_on_the_proportions_of_the_weights_alone():
    truth = TARGETS[:, None] == np.arange(K)
    shares = GENERATOR.random(N)
    for statistic in (
        metrics.auc(SCORES[:, 1], truth[:, 1]),
        metrics.average_precision(SCORES[:, 1], truth[:, 1]),
        metrics.r2(NUMBERS, GUESSES),
        metrics.f1(TARGETS, ANSWERS, K),
        metrics.label_f1(truth, SCORES > 0.3),
        metrics.calibration_error(shares, TARGETS == ANSWERS),
        metrics.median_of(NUMBERS),
    ):
        assert statistic(WEIGHTS / 1024) == pytest.approx(statistic(WEIGHTS), rel=1e-12)


def test_auc_of_equal_scores_is_one_half():
    assert metrics.auc(np.zeros(5), np.array([True, False, True, False, False]))(np.ones((1, 5))).tolist() == [0.5]


def test_auc_without_ties_counts_the_pairs_in_order():
    scores, positive = np.array([0.1, 0.4, 0.3, 0.9, 0.5]), np.array([False, True, False, True, False])
    assert metrics.auc(scores, positive)(np.ones((1, 5))).tolist() == [5 / 6]


def test_average_precision_is_the_mean_precision_at_the_positive_rows():
    scores, positive = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False])
    assert metrics.average_precision(scores, positive)(np.ones((1, 4))) == pytest.approx([(1 + 2 / 3) / 2])


def test_median_lies_between_the_two_in_the_middle():
    median = metrics.median_of(np.array([7.0, 1.0, 3.0, 2.0]))
    weights = np.array([[1, 1, 1, 1], [1, 1, 0, 1], [3, 1, 1, 1], [0, 0, 0, 2]], float)
    assert median(weights).tolist() == [2.5, 2.0, 5.0, 2.0]


def test_ratios_of_sums_are_undefined_only_if_the_divisor_is_zero():
    ones = np.ones((1, 2))
    assert metrics.ratio_of(np.array([1.0, 2.0]), np.array([4.0, 2.0]), "lower")(ones).tolist() == [0.5]
    assert metrics.ratio_of(np.array([1.0, 2.0]), np.array([-4.0, -2.0]), "lower")(ones).tolist() == [-0.5]
    assert np.isnan(metrics.ratio_of(np.array([1.0, 2.0]), np.array([-4.0, 4.0]), "lower")(ones)).all()
    table, below = np.array([[1.0, 5.0, 1.0], [2.0, 5.0, 0.0]]), np.array([[4.0, 0.0, 1.0], [2.0, 0.0, 1.0]])
    assert metrics.mean_ratio_of(table, below, "higher")(ones).tolist() == [0.5]  # of 1/2 and 1/2; the second left out


@pytest.mark.parametrize("few", [1, 64])
def test_classes_that_no_row_has_are_left_out_of_the_mean(few: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metrics, "FEW_GROUPS", few)
    targets, answers = np.array([1, 1, 4, 4, 4]), np.array([1, 4, 4, 4, 2])
    assert metrics.balanced_accuracy(targets, answers, 6)(np.ones((1, 5))) == pytest.approx([(1 / 2 + 2 / 3) / 2])
    assert metrics.f1(targets, answers, 6)(np.ones((1, 5))) == pytest.approx([(2 / 3 + 0 + 4 / 6) / 3])
    assert metrics.f1(targets, answers, 6, 0)(np.ones((1, 5))).tolist() == [0]
    sums = metrics.group_sums(targets, 6, np.arange(5.0))(np.array([[1.0, 2, 1, 1, 1]]))
    assert sums.tolist() == [[0, 2, 0, 0, 9, 0]]


def test_confusion_has_a_row_and_a_column_for_each_class():
    assert metrics.confusion([0, 1, 1], np.array([0, 0, 1]), 3) == ((1, 0, 0), (1, 1, 0), (0, 0, 0))


def test_calibration_error_is_the_weighted_gap_of_fifteen_bins():
    confidence = np.array([1.0, 0.95, 0.5, 0.51, 1 / 15, 0.065])
    right = np.array([True, False, True, True, False, True])
    gaps = abs(1.95 - 1) + abs(1.01 - 2) + abs(1 / 15 - 0) + abs(0.065 - 1)
    assert metrics.calibration_error(confidence, right)(np.ones((1, 6))) == pytest.approx([gaps / 6])


def test_only_sums_of_absolute_values_are_biased_by_resampling():
    assert metrics.calibration_error(np.array([0.5]), np.array([True])).is_biased
    assert not metrics.mean_of(NUMBERS, "lower").is_biased
    biased = metrics.calibration_error(GENERATOR.random(N), TARGETS == ANSWERS)
    assert not metrics.of_items(metrics.mean_of(NUMBERS, "lower"), np.arange(N)).is_biased
    assert metrics.of_items(biased, np.arange(N)).is_biased


def test_rows_of_many_columns_are_resampled_less_often(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(statistics, "WORK", 400 * N)  # 400 resamples of one number, 200 of two
    build = lambda rows: {"mae": metrics.mean_of(NUMBERS[rows], "lower")}  # noqa: E731 # the same function thrice
    assert metrics.intervals(build, N) == metrics.intervals(build, N, columns=1, seed=0)
    assert metrics.intervals(build, N) != metrics.intervals(build, N, columns=2)
    kept = (lambda outputs, batch: (outputs,), lambda numbers: {"mae": metrics.mean_of(numbers, "lower")})
    widths = []
    for score in (metrics.Kept(*kept), metrics.Kept(*kept, columns=1), metrics.Kept(*kept, columns=2)):
        score.add(torch.from_numpy(NUMBERS), Batch((), (), torch.arange(N)))
        widths.append(score.result()["mae"])
    assert widths[0] == widths[1] != widths[2]


def test_the_loss_is_a_metric_only_if_there_is_no_other():
    def scored(*names: str) -> metrics.Kept:
        score = metrics.Kept(lambda o, b: (o,), lambda x: {name: metrics.mean_of(x, "lower") for name in names})
        score.add(torch.arange(4.0), Batch((), (), torch.arange(4)))
        return score

    assert [metric.name for metric in scored("loss").result().metrics] == ["loss"]
    assert [metric.name for metric in scored("loss", "mae", "mse").result().metrics] == ["mae", "mse"]
    assert scored("loss").quick() == {"loss": 1.5}
    assert np.isnan(scored("mae").quick()["loss"])
    assert scored("mae").result().count == 4


def test_a_statistic_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        metrics.mean_of(NUMBERS, "lower").better = "higher"


def test_sums_by_group_are_the_same_for_many_rows_and_for_many_groups(monkeypatch: pytest.MonkeyPatch):
    few = metrics.group_sums(TARGETS, K, NUMBERS)(WEIGHTS)
    monkeypatch.setattr(metrics, "FEW_GROUPS", 1)
    sorted_ones = metrics.group_sums(TARGETS, K, NUMBERS)(WEIGHTS)
    monkeypatch.setattr(metrics, "MANY_ROWS", 1)
    assert few == pytest.approx(sorted_ones, rel=1e-12)
    assert metrics.group_sums(TARGETS, K, NUMBERS)(WEIGHTS) == pytest.approx(few, rel=1e-12)
