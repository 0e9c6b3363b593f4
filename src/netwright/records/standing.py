"""How a network compares with the simple models that were scored on the same rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from netwright.records.task import Metric, Scores


@final
@dataclass(frozen=True)
class Standing:
    """The watched metric of a network and of one simple model.

    They count as equally good if the paired difference may be chance; without one, if the simple model is within the
    network's 95 % interval: the rows cannot separate them.
    """

    name: str  # of the simple model
    ours: Metric
    theirs: Metric
    lead: Metric | None = None  # by how much the network is better, paired
    is_trivial: bool = False  # whether the simple model knows nothing

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
        """Whether the rows cannot separate the two."""
        if self.lead is not None:
            return self.lead.low <= 0 <= self.lead.high
        return self.ours.low <= self.theirs.value <= self.ours.high

    @property
    def named(self) -> str:
        """`boosted trees`, `the linear model`."""
        return self.name if self.name.endswith("s") else f"the {self.name} model"

    @property
    def by(self) -> str:
        """`0.0029 (0.0006 to 0.0052)`: the difference in favor of the better one; empty if it is not paired."""
        if (lead := self.lead) is None:
            return ""
        low, high = (lead.low, lead.high) if lead.value >= 0 else (-lead.high, -lead.low)
        return f"{abs(lead.value):.4f} ({low:.4f} to {high:.4f})"

    def __str__(self) -> str:
        return f"{self.ours.name} {self.ours.value:.4f} against {self.theirs.value:.4f} of {self.named}"


def standing(
    scores: Scores | None, baselines: Sequence[tuple[str, Scores]], trivial: Sequence[str] = ()
) -> Standing | None:
    """Beside a trivial model that the network does not beat, else the best simple model; None if nothing was scored."""
    if scores is None or not baselines:
        return None
    ours = scores.metrics[0]
    for name, theirs in baselines:
        one = Standing(name, ours, theirs[ours.name], theirs.lead, is_trivial=True)
        if name in trivial and not one.is_ahead:
            return one
    sign = 1 if ours.higher_is_better else -1
    name, best = max(baselines, key=lambda pair: sign * pair[1][ours.name].value)
    return Standing(name, ours, best[ours.name], best.lead)
