"""How a network compares with the simple models that were scored on the same rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from netwright.records.task import Metric, Scores


@final
@dataclass(frozen=True)
class Standing:
    """The watched metric of a network and of one simple model.

    A simple model within the network's 95 % interval counts as equally good: the rows cannot separate them.
    """

    name: str  # of the simple model
    ours: Metric
    theirs: Metric

    @property
    def is_ahead(self) -> bool:
        """Whether the network beats the simple model."""
        return self.is_higher and not self.is_close

    @property
    def is_higher(self) -> bool:
        """Whether the network has the better number, by chance or not."""
        sign = 1 if self.ours.higher_is_better else -1
        return sign * self.ours.value > sign * self.theirs.value

    @property
    def is_close(self) -> bool:
        """Whether the simple model's number is within the network's interval."""
        return self.ours.low <= self.theirs.value <= self.ours.high

    @property
    def named(self) -> str:
        """`boosted trees`, `the linear model`."""
        return self.name if self.name.endswith("s") else f"the {self.name} model"

    def __str__(self) -> str:
        return f"{self.ours.name} {self.ours.value:.4f} against {self.theirs.value:.4f} of {self.named}"


def standing(scores: Scores | None, baselines: Sequence[tuple[str, Scores]]) -> Standing | None:
    """Beside the best simple model; None if there is no score of either."""
    if scores is None or not baselines:
        return None
    ours = scores.metrics[0]
    sign = 1 if ours.higher_is_better else -1
    name, theirs = max(((name, s[ours.name]) for name, s in baselines), key=lambda pair: sign * pair[1].value)
    return Standing(name, ours, theirs)
