"""How good a training is at several times: scores on what came after each."""

from dataclasses import dataclass
from typing import final

from netwright.records.escaped import in_lines, one_line
from netwright.records.standing import standing
from netwright.records.task import Scores


@final
@dataclass(frozen=True)
class Period:
    """A training on all that was known before a time, scored on what came next."""

    first: str  # the time of the first step that is predicted
    last: str
    train: int  # examples
    scores: Scores
    baselines: tuple[tuple[str, Scores], ...]


@final
@dataclass(frozen=True)
class Rolled:
    """`print(rolled)` shows a line for each period, the earliest first, and in how many the network was ahead."""

    periods: tuple[Period, ...]
    trivial: tuple[str, ...] = ()  # simple models that know nothing

    def __str__(self) -> str:
        name = self.periods[0].scores.metrics[0].name
        lines = [f"{'trained until':<22}{'scored until':<22}{name:>10}   {'95 % interval':<21}best simple model"]
        values, ahead = list[float](), 0
        for period in self.periods:
            metric, found = period.scores.metrics[0], standing(period.scores, period.baselines)
            values.append(metric.value)
            ahead += found is not None and found.is_ahead
            simple = "" if found is None else f"{found.theirs.value:.4f} {found.name}"
            between = f"[{metric.low:.4f}, {metric.high:.4f}]"
            line = (
                f"{one_line(period.first):<22}{one_line(period.last):<22}{metric.value:>10.4f}   {between:<21}{simple}"
            )
            lines.append(line.rstrip())
        mean = sum(values) / len(values)
        lines.append(
            f"{name} over {len(values)} trainings: {mean:.4f}, from {min(values):.4f} to {max(values):.4f}; "
            f"ahead of every simple model beyond chance in {ahead} of {len(values)}"
        )
        return in_lines(lines)
