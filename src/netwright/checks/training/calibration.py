"""Whether predicted probabilities match observed frequencies."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from netwright.checks.evidence import Skip
from netwright.checks.training.evidence import TrainingEvidence
from netwright.checks.training.held_out import Numbers, Part, hits, parts
from netwright.checks.training.remedies import stop_early
from netwright.records.finding import Chart, Finding, Measure, Remedy
from netwright.records.recipe import Recipe
from netwright.statistics import Interval, without_bias
from netwright.training.calibrate import temperature_of

OFF = 0.03  # of calibration error: TRUST's bar, three answers in a hundred
BIN_ROWS, MOST_BINS = 20, 15  # the usual 15 bins, if each has enough rows for a mean
DRAWS = 400  # resamples: each end of a 95 % interval is about the tenth most extreme
AGREED = 0.99  # quantile of what calibrated answers with the same confidences show: one false alarm in a hundred
OTHER_SHARES = 0.1  # of the rows would have to change class, beyond chance in so few rows
MIXING = ("mixup", "cutmix")


@final
@dataclass(frozen=True, eq=False)
class Answers:
    """Rows sorted by confidence, in bins of equal size."""

    sure: Numbers  # (n,) probability of the answer, ascending
    right: Numbers  # (n,) 1 if it is right

    @property
    def bins(self) -> NDArray[np.int64]:
        """(n,) the bin of each row."""
        count = len(self.sure)
        return np.arange(count) * max(1, min(MOST_BINS, count // BIN_ROWS)) // count

    def means(self, values: Numbers) -> Numbers:
        """(bins,) of the values."""
        return np.bincount(self.bins, values) / np.bincount(self.bins)


def miscalibrated(evidence: TrainingEvidence) -> Iterator[Finding]:
    """miscalibrated

    The probabilities of the answers differ from the share of answers that are right.

    Why it matters: thresholds, cost-based decisions and the referral of doubtful rows to a person all rely on them.

    How it is decided: validation rows are sorted by confidence and cut into up to 15 bins (MOST_BINS) of 20 rows or
    more (BIN_ROWS). The calibration error is the mean distance between confidence and accuracy over the bins (Guo et
    al. 2017, arXiv:1706.04599). Few rows show an error even if there is none, so the error is corrected by what
    resampling adds to it (basic bootstrap, Efron and Tibshirani 1993). It must exceed what 99 % (AGREED) of calibrated
    answers with the same confidences would show, and the lower end of its corrected 95 % interval must be above 0.03
    (OFF). It is a warning if answers are overconfident. It is a note if they are underconfident, which costs a second
    look and no mistakes. It is also a note if the training itself changes the probabilities: label smoothing, class
    weights, another loss than the task's own, mixed rows, or other class shares than in the validation part
    (OTHER_SHARES). A temperature is fitted to each half of the rows and judged on the other.
    """
    if not evidence.classes:
        raise Skip("there are no classes")
    train, valid = evidence.once(parts)
    if valid.outputs.shape[1] != len(evidence.classes):
        raise Skip("the network does not give one output per class")
    answers = _answers(valid.outputs, hits(valid))
    error, seen = calibration_error(answers)
    if error.low <= OFF or seen <= (chance := _most_of_calibrated(answers)):
        return
    temperature = temperature_of(torch.tensor(valid.outputs), torch.tensor(valid.targets).long())
    left = _left_by_temperature(valid)
    timid = answers.sure.mean() < answers.right.mean()
    recipe = evidence.recipe
    declared = _declared(recipe) or _other_shares(train, valid, len(evidence.classes))
    yield Finding(
        "note" if timid or declared else "warning",
        f"answers are {answers.sure.mean():.1%} sure and {answers.right.mean():.1%} right; a temperature fitted to one "
        f"half of the validation rows changes the calibration error on the other from {left[0]:.3f} to {left[1]:.3f} "
        "and changes no answer" + (f"; the cause is {declared}" if declared else ""),
        (
            error.measure("calibration error", OFF),
            Measure("highest error of calibrated answers", chance),
            Measure("temperature", temperature, threshold=1.0),
        ),
        confidence=0.95,
        otherwise=("a validation part that differs from the training part.",),
        remedies=(
            Remedy(
                f"divide the logits by {temperature:.2f}: the temperature with the lowest log loss on validation rows.",
                effect=f"a calibration error of {left[1]:.3f}, measured on rows it was not fitted to",
                cost="none",
            ),
            Remedy("use less label smoothing.", {"label_smoothing": recipe.label_smoothing / 4})
            if timid
            else stop_early(recipe),
        ),
        charts=(_reliability(answers),),
    )


def _reliability(answers: Answers) -> Chart:
    right, sure = (tuple(answers.means(values)) for values in (answers.right, answers.sure))
    title = "how often answers are right, by how sure they are"
    x, y = "probability of the answer", "share that is right"
    return Chart("lines", title, x, y, ("right", "as sure"), (right, sure), sure)


def calibration_error(answers: Answers) -> tuple[Interval, float]:
    """The error, corrected for what few rows add to it, with its 95 % interval; and the error as measured."""
    gaps, bins = answers.right - answers.sure, answers.bins
    return without_bias(lambda rows: _error(bins[rows], gaps[rows]), len(gaps), DRAWS), _error(bins, gaps)


def _most_of_calibrated(answers: Answers) -> float:
    """The error that AGREED of calibrated answers with these confidences stay below."""
    drawn, bins, sure = np.random.default_rng(1), answers.bins, answers.sure
    return float(np.quantile([_error(bins, (drawn.random(len(sure)) < sure) - sure) for _ in range(DRAWS)], AGREED))


def _error(bins: NDArray[np.int64], gaps: Numbers) -> float:
    return float(np.abs(np.bincount(bins, gaps)).sum()) / len(gaps)


def _answers(outputs: Numbers, right: Numbers) -> Answers:
    sure = np.exp(outputs.max(1) - np.logaddexp.reduce(outputs, 1))
    order = np.argsort(sure, kind="stable")
    return Answers(sure[order], right[order])


def _left_by_temperature(valid: Part) -> tuple[float, float]:
    """The mean corrected error of both halves: as they are, and at the temperature fitted to the other half."""
    halves = np.arange(len(valid.targets)) % 2 == 0
    before, after = list[float](), list[float]()
    for half in (halves, ~halves):
        factor = temperature_of(torch.tensor(valid.outputs[~half]), torch.tensor(valid.targets[~half]).long())
        for scale, errors in ((1.0, before), (factor, after)):
            answers = _answers(valid.outputs[half] / scale, hits(valid)[half])
            errors.append(calibration_error(answers)[0].value)
    return sum(before) / 2, sum(after) / 2


def _declared(recipe: Recipe) -> str:
    """The setting of the recipe that makes the outputs differ from frequencies."""
    if recipe.label_smoothing > 0:
        return f"label_smoothing={recipe.label_smoothing:g}"
    if recipe.class_weights != "none":
        return f"class_weights={recipe.class_weights}"
    if recipe.loss not in ("auto", "cross_entropy"):
        return f"loss={recipe.loss}"
    return next((f"augment={name}" for name in recipe.augment if str(name).partition(":")[0] in MIXING), "")


def _other_shares(train: Part, valid: Part, classes: int) -> str:
    """Whether the class shares differ between training and validation rows, as after oversampling."""
    shares = [np.bincount(part.targets.astype(int), minlength=classes) / len(part.targets) for part in (train, valid)]
    by_chance = 0.4 * (classes / min(len(train.targets), len(valid.targets))) ** 0.5  # mean of a multinomial's
    is_other = np.abs(shares[0] - shares[1]).sum() / 2 > OTHER_SHARES + by_chance
    return "training with other class shares" if is_other else ""
