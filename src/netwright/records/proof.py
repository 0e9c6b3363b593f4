"""What fixing data gained: networks trained with and without the fixes, scored on the same untouched rows."""

from dataclasses import dataclass

from netwright.records.escaped import in_lines, one_line
from netwright.records.finding import Fix


@dataclass(frozen=True)
class Gain:
    """How much a change improved a metric: above 0 is better, whichever way the metric points."""

    metric: str
    before: float  # mean over seeds and held-out rows
    after: float
    value: float
    low: float  # 95 % interval of a paired bootstrap over rows and seeds together
    high: float
    count: int  # held-out rows that were scored with and without the change

    def __str__(self) -> str:
        interval = f"[{self.low:.4g}, {self.high:.4g}]"
        return f"{self.metric} {self.before:.4g} to {self.after:.4g}, better by {self.value:.4g} {interval}"


@dataclass(frozen=True)
class Proven:
    """One kind of fix, or all together."""

    code: str  # of the finding; "" for all together
    count: int  # fixes
    unused: int  # of them in validation and test rows, which are never changed for the proof
    gains: tuple[Gain, ...]  # the first decides; empty if nothing was trained
    is_kept: bool
    reason: str

    def __str__(self) -> str:
        verdict = f"{'kept' if self.is_kept else 'rolled back'}, {self.reason}"
        head = f"{self.code or 'all together'} ({self.count:,} {'fix' if self.count == 1 else 'fixes'}): {verdict}"
        return in_lines([head, *(f"        {gain}" for gain in self.gains)])


@dataclass(frozen=True)
class Proof:
    """`print(proof)` shows what each kind of fix gained, and which were rolled back."""

    subject: str
    count: int  # rows of the test part, none of them changed
    seeds: tuple[int, ...]
    groups: tuple[Proven, ...]
    together: Proven
    kept: tuple[Fix, ...]
    rolled_back: tuple[Fix, ...]

    def __str__(self) -> str:
        how = f"trained with and without fixes, {len(self.seeds)} seeds"
        head = f"{self.subject}: {how}, {self.count:,} test rows as they were"
        told = self.groups if len(self.groups) == 1 else (*self.groups, self.together)
        last = f"{len(self.kept):,} fixes kept, {len(self.rolled_back):,} rolled back"
        return "\n".join([one_line(head), *map(str, told), last])
