"""A run's result as text: the verdict against simple models first, then the scores with their intervals."""

import time

from netwright.data.cache import Cache, megabytes
from netwright.explanations.weights import Learned
from netwright.records.escaped import in_lines, one_line
from netwright.records.finding import Report
from netwright.records.history import History
from netwright.records.run import Run
from netwright.records.standing import Standing, standing
from netwright.records.task import Scores
from netwright.training.epochs import AT_START

MOST_CLASSES = 12  # a larger confusion matrix does not fit a terminal


def summary(run: Run) -> str:
    """The verdict, the table of scores and baselines, what is wrong with the training, and the run's folder."""
    if run.scores is None:
        return "There is no test part: nothing was scored."
    parts = [verdict(run), "", scores_table(run.scores, run.baselines)]
    if run.diagnosis is not None:
        parts += ["", one_line(health(run.diagnosis, is_beaten=_is_beaten(run)))]
    if run.folder is not None:
        parts += ["", one_line(f"run folder: {run.folder}")]
    return "\n".join(parts)


def ending(history: History, metric: str) -> str:
    """Why training ended and which epoch's weights were kept."""
    best = history.best
    if history.ended.endswith(AT_START) or (best is not None and metric not in best.valid):
        return history.ended  # it already says what was kept
    kept = f"kept epoch {best.epoch} with {metric} {best.valid[metric]:.4f}" if best else "the last weights were kept"
    return f"{history.ended}; {kept}" if history.ended else kept


def verdict(run: Run) -> str:
    """Whether the network beats every simple model on the watched metric; then what its scores mean in plain words."""
    found = standing(run.scores, run.baselines, run.task.trivial)
    told = "No simple model was scored." if found is None else _told(found)
    if run.scores is None:
        return told
    constant = dict(run.baselines).get("constant")
    return in_lines([told, run.task.plainly(run.scores, f"{run.schema.things} it never saw", constant)]).rstrip()


def _told(found: Standing) -> str:
    by = f", by {found.by}" if found.by else ""
    if found.is_ahead:
        return f"The network beats the simple models: {found}{by}."
    if found.is_trivial and found.is_close:
        reason = f"; {found.by} may be chance" if found.by else ""
        return f"The network is no better than the {found.name}: it has {found}{reason}."
    name = f"{found.named[:1].upper()}{found.named[1:]} {'are' if found.named == found.name else 'is'}"
    if found.is_close and found.by:
        return f"{name} about as good: the network has {found}; {found.by} may be chance."
    if found.is_higher:
        return f"{name} about as good: the network has {found}, within its 95 % interval."
    return f"{name} {'as good' if found.is_close else 'better'}: the network has {found}{by}."


def health(report: Report, *, is_beaten: bool = False) -> str:
    """One line on what is wrong with the training; `is_beaten` by a simple model, which is serious by itself."""
    made = sum(not check.skipped for check in report.checks)
    worse = [f"{finding.code} {finding.title}" for finding in report.findings if finding.severity != "note"]
    told = ", ".join(worse) or ("no reason why a simple model is better" if is_beaten else "nothing serious")
    return f"{made} quick checks of the training found {told}; netwright diagnose runs all checks"


def _is_beaten(run: Run) -> bool:
    """Whether a simple model's score is above the network's interval."""
    found = standing(run.scores, run.baselines)
    return found is not None and not (found.is_ahead or found.is_higher or found.is_close)


def cache_table(cache: Cache) -> str:
    """Where decoded files are kept, and a line for each cached column."""
    lines = [f"{cache.folder}: {megabytes(cache.bytes)} of at most {megabytes(cache.limit)}"]
    for entry in cache.entries:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used)) if entry.used else "unfinished"
        shape = " x ".join(f"{side:,}" for side in entry.shape)
        lines.append(f"{megabytes(entry.bytes):>10}  {used:<16}  {shape:<24}  {entry.files}")
    return in_lines(lines)


def weights_table(learned: Learned) -> str:
    """Signs and sizes of every layer's weights, then the columns that move the first dense layer most."""
    columns = [f"{_SIGNS[c.direction]}{one_line(c.column)}" for c in learned.connections]
    wide = max((20, *(len(name) + 2 for name in (*(layer.name for layer in learned.layers), *columns))))
    lines = [f"{'weights':<{wide}}{'shape':<18}{'positive':>9}{'negative':>9}{'near 0':>8}{'std':>9}"]
    for layer in learned.layers:
        shape = " x ".join(map(str, layer.shape))
        shares = f"{layer.positive:>9.1%}{layer.negative:>9.1%}{layer.near_zero:>8.1%}"
        lines.append(f"{layer.name:<{wide}}{shape:<18}{shares}{layer.std:>9.4f}")
    if learned.connections:
        lines += ["", f"{'strongest columns':<{wide}}{'unit':<18}{'strength':>9}"]
        lines += [
            f"{column:<{wide}}{c.unit:<18}{c.strength:>9.4f}"
            for column, c in zip(columns, learned.connections, strict=True)
        ]
    return in_lines(lines)


_SIGNS = {1: "+ ", -1: "- ", 0: "  "}  # the unit rises or falls with the column


def scores_table(scores: Scores, baselines: tuple[tuple[str, Scores], ...] = ()) -> str:
    """One line for each metric: value, 95 % interval, and the baselines' values; then the confusion matrix."""
    head = f"{'on ' + format(scores.count, ',') + ' test rows':<22}{'score':>10}   {'95 % interval':<21}"
    wide = [max(12, len(name) + 2) for name, _ in baselines]
    lines = [head + "".join(f"{name:>{width}}" for width, (name, _) in zip(wide, baselines, strict=True))]
    for metric in scores.metrics:
        interval = f"[{_number(metric.low)}, {_number(metric.high)}]"
        line = f"{metric.name:<22}{_number(metric.value):>10}   {interval:<21}"
        values = (_number(theirs[metric.name].value) for _, theirs in baselines)
        lines.append(line + "".join(f"{value:>{width}}" for width, value in zip(wide, values, strict=True)))
    drawn = f"all are of {scores.sampled:,} of these rows, drawn at random"
    return in_lines([*(line.rstrip() for line in lines), *([drawn] if scores.sampled else []), *_confusion(scores)])


def _number(value: float) -> str:
    """Four significant digits or more, no exponents in the usual range."""
    return f"{value:.4f}" if abs(value) < 100 else f"{value:,.1f}"


def _confusion(scores: Scores) -> list[str]:
    if not 2 <= len(scores.labels) <= MOST_CLASSES or not scores.confusion:
        return []
    labels = [one_line(label) for label in scores.labels]
    largest = max(max(row) for row in scores.confusion)
    wide = max(6, len(f"{largest:,}") + 1, *(len(label[:12]) + 2 for label in labels))
    head = f"{'true / predicted':<18}" + "".join(f"{label[:12]:>{wide}}" for label in labels)
    rows = zip(labels, scores.confusion, strict=True)
    return ["", head, *(f"{label[:16]:<18}" + "".join(f"{n:>{wide},}" for n in row) for label, row in rows)]
