"""Too much capacity, too little, or the limit of the data."""

from collections.abc import Iterator
from math import isfinite
from statistics import median

import numpy as np

from netwright.checks.evidence import Skip
from netwright.checks.training.evidence import TrainingEvidence
from netwright.checks.training.held_out import Numbers, Part, cross_entropy, hits, known_hits, parts, twins
from netwright.checks.training.progress import best, rungs
from netwright.checks.training.remedies import AUDIT_LABELS, drop_more, longer, stop_early, wider
from netwright.records.finding import Chart, Finding, Measure, Remedy
from netwright.statistics import Interval, mean, mean_difference, share

LEARNED = 0.8  # of the constant's loss on training rows: a network below has learned these rows
ROSE = 3.0  # times the noise of the validation curve
ROSE_SHARE = 0.05  # of its lowest value
GAP = 0.05  # of the way from chance to a perfect score
FALLING = 0.05  # of all that the validation loss fell, in the last fifth of the epochs
FIFTH = 0.2
TEMPERATURES = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
SHIFTS = 10  # steps of EM: class shares are then exact to a hundredth
ADVANTAGE = 0.05  # of the network's gain over a constant: a smaller lead of a simple model means nothing
RARE_ROWS = 10  # of a class in the validation part: fewer say nothing about its recall
RARE_RECALL = 0.5  # of the other classes' mean recall


def labels_without_signal(evidence: TrainingEvidence) -> Iterator[Finding]:
    """labels carry no signal

    The network learned its training rows, but nothing that holds for other rows.

    Why it matters: random labels, or labels that no longer match their rows, can be memorized but never predicted.

    How it is decided: the loss on training rows is below 0.8 (LEARNED) of the best constant answer's, but on validation
    rows the network is not better than that constant: the 95 % interval of the paired difference of losses includes
    zero. Or it did not learn these rows either, and no simple model is better than the constant on validation rows. If
    there are classes, so does the interval of its accuracy against the most frequent class. Deep networks can
    memorize random labels: Zhang et al. 2017, arXiv:1611.03530.
    """
    train, valid, chance_train, chance_valid = _against_chance(evidence)
    learned = train.losses.mean() <= LEARNED * chance_train.mean()
    simple = {} if learned else evidence.once(twins)
    if any(mean(simple["constant"] - losses).low > 0 for losses in simple.values()):
        return
    gain = mean(chance_valid - evidence.once(recalibrated))
    right = _above_majority(evidence, train, valid)
    if gain.low > 0 or (right is not None and right.low > 0):
        return
    yield Finding(
        "error",
        f"the loss is {train.losses.mean():.4g} on training rows and {valid.losses.mean():.4g} on validation rows, "
        f"where the best constant answer costs {chance_valid.mean():.4g}{'' if learned else ', as any simple model'}",
        (gain.measure("gain over the constant on validation rows", 0.0),),
        confidence=0.9 if learned else 0.8,
        otherwise=("too few rows to see a weak signal.",),
        remedies=(
            Remedy("compare some labels with their inputs by eye: they may have been shuffled separately."),
            AUDIT_LABELS,
            Remedy("look for columns that could predict the target."),
        ),
        charts=_curves(evidence),
    )


def overfitting(evidence: TrainingEvidence) -> Iterator[Finding]:
    """overfitting

    The network learns what is specific to its training rows: the training loss falls while the validation loss rises.

    Why it matters: the score on new rows is lower than it could be, and lower than the training score promises.

    How it is decided: there are two signs. One: the validation loss rises from its lowest value by three times (ROSE)
    the noise of its curve and by 5 % of it (ROSE_SHARE), while the training loss still falls. Two: accuracy is higher
    on training rows than on validation rows, and the lower end of the difference's 95 % interval is above 5 % (GAP) of
    the way from chance to perfect. The part of the difference that a linear model fitted to both parts shows too is not
    counted. It is a warning if the kept weights suffer, that is, if their gap is that large. It is a note if the best
    epoch was kept, or if the score holds although the loss rises.
    """
    train, valid = evidence.once(parts)
    gap = _gap(evidence, train, valid)
    losses = evidence.valid_losses
    rise = _rise(losses)
    at = losses.index(min(losses)) if losses else 0
    train_losses = [epoch.train_loss for epoch in evidence.history.epochs]
    has_risen = rise > 0 and bool(train_losses) and train_losses[-1] < train_losses[at]
    is_wide = gap.low > GAP
    if not (has_risen or is_wide):
        return
    measures = [gap.measure("gap between training and validation", GAP)]
    if has_risen:
        measures.append(Measure("rise of the validation loss", rise, threshold=ROSE_SHARE))
    told = [f"training rows score {gap.value:.1%} of the way to perfect higher than validation rows"] if is_wide else []
    told += [f"the validation loss rose by {rise:.0%} after epoch {at + 1}"] if has_risen else []
    recipe = evidence.recipe
    yield Finding(
        "warning" if is_wide else "note",
        "; ".join(told),
        tuple(measures),
        confidence=0.9,
        otherwise=("a validation part that is harder than the training part.",),
        remedies=(
            stop_early(recipe),
            Remedy("use more weight decay.", {"weight_decay": min(1.0, max(0.05, 5 * recipe.weight_decay))}),
            drop_more(recipe),
            Remedy("augment the training rows."),
            Remedy("use a narrower network.", {"width": max(8, recipe.width // 2)}),
            Remedy("use fewer layers.", {"depth": max(1, recipe.depth - 1)}),
            Remedy("add more rows."),
        ),
        charts=_curves(evidence, at + 1 if has_risen else 0),
    )


def underfitting(evidence: TrainingEvidence) -> Iterator[Finding]:
    """underfitting

    The network has learned less than the data offer.

    Why it matters: the score looks like the best possible, and is not.

    How it is decided: training and validation rows score alike (no gap as in `overfitting`), and one of two signs is
    present. One: a simple model (linear, nearest neighbors, boosted trees) has a lower loss on the validation rows, by
    5 % (ADVANTAGE) of what the network gained over a constant, and the paired 95 % interval is above that; logits are
    recalibrated first (TEMPERATURES and SHIFTS). Two: in the last fifth of the epochs the validation loss still fell by
    more than 5 % (FALLING) of its total fall, at a learning rate that had not come down.
    """
    train, valid = evidence.once(parts)
    if _gap(evidence, train, valid).low > GAP:
        return
    better = _better_twin(evidence)
    falling = _still_falling(evidence)
    if better is None and falling <= FALLING:
        return
    recipe = evidence.recipe
    told, measures = list[str](), list[Measure]()
    if better is not None:
        name, gain, least = better
        told.append(f"a {name} model's loss is lower by {gain.value:.4g}")
        measures.append(gain.measure("the simple model's advantage", least))
    if falling > FALLING:
        told.append(f"{falling:.0%} of the validation loss's fall came in the last fifth of the epochs")
        measures.append(Measure("fall in the last fifth", falling, threshold=FALLING))
    yield Finding(
        "warning",
        "; ".join(told),
        tuple(measures),
        confidence=0.85,
        remedies=(
            longer(recipe),
            wider(recipe, 2),
            Remedy("use more layers.", {"depth": min(1000, recipe.depth + 1)}),
            Remedy("regularize less.", {"dropout": recipe.dropout / 2, "weight_decay": recipe.weight_decay / 3}),
            Remedy("add more informative inputs."),
        ),
        charts=_curves(evidence),
    )


def falls_short(evidence: TrainingEvidence) -> str:
    """Evidence on validation rows that training fell short; empty if there is none.

    With it, a fault found earlier is a warning, else a note: training that looks strange often ends well.
    """
    try:
        train, valid = evidence.once(parts)
        gap, better = _gap(evidence, train, valid), _better_twin(evidence)
    except Skip:
        return ""
    if better is not None:
        return f"a {better[0]} model's loss on validation rows is lower by {better[1].value:.4g}"
    return f"training rows score {gap.value:.1%} of the way to perfect higher" if gap.low > GAP else ""


def limit_of_the_data(evidence: TrainingEvidence) -> Iterator[Finding]:
    """the limit of the data

    Neither more training nor another model would gain more from these columns and rows.

    Why it matters: it saves weeks of tuning. Only better inputs, cleaner labels or more rows can help.

    How it is decided: the network is better than the best constant; training and validation rows score alike; the
    validation loss no longer falls; no rate of the ladder beats the training; and the best simple model is neither
    better nor worse than the network (the paired 95 % interval of losses includes zero).
    """
    train, valid, _, chance = _against_chance(evidence)
    if mean(chance - valid.losses).low <= 0 or _gap(evidence, train, valid).low > 0:
        return
    if _still_falling(evidence) > FALLING:
        return
    losses = {name: value for name, value in evidence.once(twins).items() if name != "constant"}
    if not losses:
        return
    name = min(losses, key=lambda one: losses[one].mean())
    against = mean(losses[name] - valid.losses)
    top = best(evidence.once(rungs))
    if not (against.low <= 0 <= against.high) or (top is not None and top.end < train.losses.mean()):
        return
    yield Finding(
        "note",
        f"the best simple model ({name}) has a loss of {losses[name].mean():.4g}, the network of "
        f"{valid.losses.mean():.4g}; training and validation rows score alike",
        (against.measure("the network's advantage", 0.0),),
        confidence=0.8,
        remedies=(Remedy("look for better inputs, audit the labels, or merge classes that cannot be told apart."),),
    )


def validation_better(evidence: TrainingEvidence) -> Iterator[Finding]:
    """validation better than training

    Validation rows score better than training rows, both measured in evaluation mode.

    Why it matters: the validation part is easier than the training part, or the network was trained on its rows.

    How it is decided: the 95 % interval of the difference of mean losses excludes zero. Training losses in the history
    are not used: they include dropout, augmentation and weights from the middle of an epoch. Examples cut from rows,
    such as windows of a series, are not judged: their parts are of other times, and one time is easier than another.
    """
    if evidence.train.spans is not None:
        raise Skip("examples are cut from rows, and the parts are of times of which one can be easier")
    train, valid = evidence.once(parts)
    easier = mean_difference(train.losses, valid.losses)
    if easier.low > ROSE_SHARE * float(train.losses.mean()):
        yield Finding(
            "warning",
            f"the loss is {train.losses.mean():.4g} on training rows and {valid.losses.mean():.4g} on validation rows",
            (easier.measure("difference of losses", 0.0),),
            confidence=0.85,
            otherwise=("training rows that are harder: noise, oversampled hard classes.",),
            remedies=(
                Remedy("audit the parts for drift and shared duplicates."),
                Remedy("split the parts at random, or by group if rows belong together."),
            ),
        )


def imbalance_hurts(evidence: TrainingEvidence) -> Iterator[Finding]:
    """imbalance hurts

    Rows of rare classes are wrong far more often than others.

    Why it matters: the rare class is often the one that matters, and accuracy does not show it.

    How it is decided: on validation rows, the recall of a class is less than half (RARE_RECALL) of the other classes'
    mean recall, and the upper end of its 95 % interval (Wilson) is below that too. Only classes with ten rows
    (RARE_ROWS) or more, and at most half as many as the mean class, are judged.
    """
    if not (labels := evidence.classes):
        raise Skip("there are no classes")
    _, valid = evidence.once(parts)
    if not valid.outputs.shape[1]:
        raise Skip("the network does not give one output per class")
    right = hits(valid)
    counts = [int((valid.targets == k).sum()) for k in range(len(labels))]
    recalls = [float(right[valid.targets == k].mean()) if counts[k] else 0.0 for k in range(len(labels))]
    for k, label in enumerate(labels):
        others = [recalls[j] for j in range(len(labels)) if j != k and counts[j] >= RARE_ROWS]
        if counts[k] < RARE_ROWS or 2 * counts[k] * len(labels) > sum(counts) or not others:
            continue
        expected = RARE_RECALL * sum(others) / len(others)
        high = share(recalls[k] * counts[k], counts[k]).high
        if high < expected:
            yield Finding(
                "warning",
                f"{recalls[k]:.0%} of the rows of {label!r} are found, {expected / RARE_RECALL:.0%} of all others",
                (Measure(f"recall of {label}", recalls[k], 0.0, high, expected),),
                confidence=0.9,
                remedies=(
                    Remedy("weight the classes in the loss.", {"class_weights": "balanced"}),
                    Remedy("add more rows of this class."),
                    Remedy("lower the threshold for predicting this class."),
                ),
            )


def _against_chance(evidence: TrainingEvidence) -> tuple[Part, Part, Numbers, Numbers]:
    """Both parts, and the loss of the best constant for training rows on each."""
    train, valid = evidence.once(parts)
    if not train.targets.size or (not evidence.classes and train.outputs.shape[1] > 1):
        raise Skip("the loss of a constant answer is not known")
    if evidence.classes:
        shares = np.bincount(train.targets.astype(int), minlength=len(evidence.classes)) / len(train.targets)
        logs = -np.log(np.maximum(shares, 1e-6))
        return train, valid, logs[train.targets.astype(int)], logs[valid.targets.astype(int)]
    mean = train.targets.mean()
    return train, valid, (train.targets - mean) ** 2, (valid.targets - mean) ** 2


def _above_majority(evidence: TrainingEvidence, train: Part, valid: Part) -> Interval | None:
    if not evidence.classes or not valid.outputs.shape[1]:
        return None
    majority = np.bincount(train.targets.astype(int)).argmax()
    return mean(hits(valid) - (valid.targets == majority))


def _gap(evidence: TrainingEvidence, train: Part, valid: Part) -> Interval:
    """How much better training rows score, as a share of the way from chance to perfect."""
    _, _, _, chance = _against_chance(evidence)
    if evidence.classes and valid.outputs.shape[1]:
        shares = np.bincount(train.targets.astype(int)) / len(train.targets)
        base = float((shares**2).sum())  # accuracy of random answers with these shares
        gap = mean_difference(hits(train), hits(valid))
        scale = max(1 - base, 1e-9)
        if gap.low > GAP * scale:
            easy_train, easy_valid = evidence.once(known_hits)
            gap = mean_difference(hits(train) - easy_train, hits(valid) - easy_valid)
    else:
        gap, scale = mean_difference(valid.losses, train.losses), max(float(chance.mean()), 1e-12)
    return gap / scale


def _rise(losses: list[float]) -> float:
    """How much the validation loss rose from its lowest value to its last three; 0 if that is noise."""
    if len(losses) < 6 or not all(map(isfinite, losses)):
        return 0.0
    bends = [abs(a - 2 * b + c) for a, b, c in zip(losses, losses[1:], losses[2:], strict=False)]
    noise = median(bends) / 2.4  # second differences of white noise have sqrt(6) = 2.45 times its spread
    lowest, last = min(losses), median(losses[-3:])
    return (last - lowest) / lowest if last - lowest > max(ROSE * noise, ROSE_SHARE * abs(lowest)) else 0.0


def _still_falling(evidence: TrainingEvidence) -> float:
    """The share of the validation loss's fall that fell into the last fifth of the epochs; 0 if the rate came down."""
    epochs = [epoch for epoch in evidence.history.epochs if "loss" in epoch.valid]
    losses = [epoch.valid["loss"] for epoch in epochs]
    if len(losses) < 5 or epochs[-1].lr < 0.5 * max(epoch.lr for epoch in epochs):
        return 0.0
    before = losses[-1 - max(1, round(FIFTH * len(losses)))]
    fell = losses[0] - losses[-1]
    return (before - losses[-1]) / fell if fell > 0 and losses[-1] == min(losses) else 0.0


def _better_twin(evidence: TrainingEvidence) -> tuple[str, Interval, float] | None:
    """The simple model that beats the network most clearly, by how much, and the margin it needed."""
    try:
        simple = evidence.once(twins)
    except Skip:
        return None
    own = evidence.once(recalibrated)
    found = {name: mean(own - losses) for name, losses in simple.items() if name != "constant"}
    least = ADVANTAGE * max(0.0, float(simple["constant"].mean() - own.mean()))
    better = [(name, gain, least) for name, gain in found.items() if gain.low > least]
    return max(better, key=lambda one: one[1].low, default=None)


def recalibrated(evidence: TrainingEvidence) -> Numbers:
    """Losses on validation rows with logits scaled and shifted to fit these rows best.

    Overconfidence, underconfidence (as after label smoothing) or other class shares (as after class weights) is not a
    failure to learn. Guo et al. 2017, arXiv:1706.04599; the shifts by EM: Saerens et al. 2002.
    """
    _, valid = evidence.once(parts)
    if not evidence.classes or valid.outputs.shape[1] != len(evidence.classes):
        return valid.losses
    targets, count = valid.targets.astype(int), len(valid.targets)
    shares = np.maximum(np.bincount(targets, minlength=valid.outputs.shape[1]) / count, 0.5 / count)
    tried = [valid.losses]
    for temperature in TEMPERATURES:
        logits = valid.outputs / temperature
        for _ in range(SHIFTS):
            logits = logits - np.logaddexp.reduce(logits, 1, keepdims=True)
            logits += np.log(shares) - np.log(np.exp(logits).mean(0) + 1e-12)
        tried.append(cross_entropy(logits, targets))
    return min(tried, key=lambda losses: losses.mean())


def _curves(evidence: TrainingEvidence, mark: int = 0) -> tuple[Chart, ...]:
    epochs = [epoch for epoch in evidence.history.epochs if "loss" in epoch.valid]
    if not epochs:
        return ()
    lines = (tuple(e.train_loss for e in epochs), tuple(e.valid["loss"] for e in epochs))
    marks = ((float(mark), "lowest"),) if mark else ()
    places = tuple(float(e.epoch) for e in epochs)
    return (Chart("lines", "loss", "epoch", "loss", ("training", "validation"), lines, places, marks),)
