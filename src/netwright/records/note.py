"""A doctor's note: the findings, the remedies tried, those kept, and what they gained."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from netwright.records.escaped import in_lines
from netwright.records.proof import Gain
from netwright.records.task import Scores


@dataclass(frozen=True)
class Tried:
    """One change of the recipe or of the network, trained on all seeds and compared to the run without it."""

    code: str  # of the finding; "" for a change drawn at random
    advice: str
    edit: Mapping[str, object]
    gains: tuple[Gain, ...]  # the first is of answers, the last of losses; empty if nothing was trained
    is_kept: bool
    reason: str
    mends: tuple[str, ...] = ()  # edits of the network that made the change: keys of `netwright.planning:MENDS`

    def __str__(self) -> str:
        word = "kept" if self.is_kept else "rolled back" if self.gains else "not tried"
        verdict = f"{word}, {self.reason}"
        head = f"{self.code or 'random':<8}{self.advice.rstrip('.')}: {verdict}"
        return in_lines([head, *(f"        {gain}" for gain in self.gains)])


@dataclass(frozen=True)
class Note:
    """`print(note)` shows what a treatment tried and gained."""

    subject: str
    seeds: tuple[int, ...]
    found: tuple[str, ...]  # a line for each finding, including those that only a treated run showed
    tried: tuple[Tried, ...] = ()
    advised: tuple[str, ...] = ()  # left to a person: changes of data, of code, of an engineer's network
    changes: Mapping[str, object] = field(default_factory=dict[str, object])  # kept changes of the recipe
    mends: tuple[str, ...] = ()  # kept edits of an engineer's network: keys of `netwright.planning:MENDS`
    gains: tuple[Gain, ...] = ()  # of all kept changes together, compared to the original recipe
    controls: tuple[Tried, ...] = ()  # random changes, as many as remedies were trained; empty if none was kept
    before: Scores | None = None  # the test part, scored once for the original run
    after: Scores | None = None  # and once for the treated run; None if nothing was kept
    ended: str = ""  # why it ended early
    compared: str = ""  # what all trainings were, if the run's own was another

    @property
    def is_changed(self) -> bool:
        """Whether anything was kept."""
        return bool(self.changes or self.mends)

    def __str__(self) -> str:
        trained = sum(bool(tried.gains) for tried in self.tried)
        remedies = "1 remedy" if trained == 1 else f"{trained} remedies"
        head = f"{self.subject}: {remedies} tried, {len(self.seeds)} seeds each"
        lines = [head + (f"; {self.ended}" if self.ended else ""), *([self.compared] if self.compared else [])]
        lines += ["", "found:"]
        lines += [f"    {line}" for line in self.found or ("nothing to treat",)]
        lines += ["", *(line for tried in self.tried for line in str(tried).split("\n"))] if self.tried else []
        lines += ["", "left to you:", *(f"    {line}" for line in self.advised)] if self.advised else []
        if not self.is_changed:
            return in_lines([*lines, "", "nothing was kept: the run stays as it is"])
        kept = [edited(self.changes)] if self.changes else []
        kept += [f"the network mended: {', '.join(self.mends)}"] if self.mends else []
        lines += ["", f"kept: {'; '.join(kept)}", *(f"        {gain}" for gain in self.gains)]
        tried = [control for control in self.controls if control.gains]
        if tried:
            best = max(tried, key=lambda control: control.gains[0].value)
            count = len(self.controls)
            lines += [f"random changes instead, the best of {count}: {best.advice}", f"        {best.gains[0]}"]
        if self.before is not None and self.after is not None:
            old, new = self.before.metrics[0], self.after.metrics[0]
            lines.append(f"on the test part, scored once: {old.name} {old.value:.4g} before, {new.value:.4g} treated")
        return in_lines(lines)


def edited(changes: Mapping[str, object]) -> str:
    """`lr=0.0033, optimizer=adamw`."""
    return ", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in changes.items())
