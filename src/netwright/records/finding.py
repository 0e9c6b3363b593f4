"""What checks find: evidence in numbers, the rows, the confidence, and what to do about it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from netwright.records.escaped import in_lines, one_line

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")  # the worst first
Action = Literal["drop", "relabel", "move", "impute"]
SHOWN = 5  # places of rows in a text


@dataclass(frozen=True)
class Measure:
    """A number that a check used, with its 95 % interval and the deciding threshold, if it has them."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    threshold: float | None = None

    def __str__(self) -> str:
        interval = "" if self.low is None or self.high is None else f" [{self.low:.4g}, {self.high:.4g}]"
        against = "" if self.threshold is None else f" (threshold {self.threshold:.4g})"
        return f"{self.name} {self.value:.4g}{interval}{against}"


@dataclass(frozen=True)
class Chart:
    """Evidence to draw, as numbers: lines over x, bars by name, or a map of values (rows by columns)."""

    kind: Literal["lines", "bars", "map"]
    title: str
    x: str  # label of the axis, with its unit
    y: str
    names: tuple[str, ...]  # of the lines, the bars, or the map's rows
    values: tuple[tuple[float, ...], ...]  # a row for each name; NaN for nothing
    places: tuple[float, ...] = ()  # x of a line's points or a map's columns
    marks: tuple[tuple[float, str], ...] = ()  # x where the problem shows, and a word
    is_log: bool = False


@dataclass(frozen=True)
class Remedy:
    """What a person can do, as an imperative. `edit` holds changes of the Recipe that a program can try; `mend` an edit
    of an engineer's own network, as a key of `netwright.planning:MENDS`."""

    advice: str
    edit: Mapping[str, object] = field(default_factory=dict[str, object])
    effect: str = ""  # what to expect of it
    cost: str = ""  # in time or in rows
    mend: str = ""


@dataclass(frozen=True)
class Fix:
    """A proposed change of one row. When applied, the cell must still be `old`: `str` of the cell, "" if missing."""

    row: int  # of the data as read
    place: str  # from `locate`: "people.csv, line 12"
    action: Action
    column: str = ""  # relabel, impute: whose cell; move: empty
    old: str = ""  # move: the row's present part; drop, move: not compared if empty
    new: str = ""  # relabel, impute: the new cell; move: train, valid or test
    code: str = ""  # of the finding, filled in with it
    confidence: float = 1.0  # probability that the row is wrong as the finding says
    part: str = ""  # train, valid or test: where the audit's split has the row; filled in with it
    apply: bool = True  # what the audit advises; a person decides


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing."""

    code: str = field(default="", kw_only=True)  # its key in the table of checks, filled in there
    severity: Severity  # error: scores would mislead; warning: it costs score; note: worth knowing
    title: str = field(default="", kw_only=True)  # as a doctor would say it: "label errors"; of its check if empty
    summary: str  # one sentence with the numbers
    measures: tuple[Measure, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()  # numbers of the affected rows, the worst first
    places: tuple[str, ...] = ()  # where the first of them are; filled in for all checks in one place
    expected: Measure | None = None  # how many of the rows should be truly wrong
    confidence: float = 1.0  # probability that the finding is true
    otherwise: tuple[str, ...] = ()  # what else could explain it
    remedies: tuple[Remedy, ...] = ()  # in the order to try them
    fixes: tuple[Fix, ...] = ()
    layers: tuple[str, ...] = ()  # qualified names of modules or parameters
    charts: tuple[Chart, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.severity:<8}{self.code}  {self.title}: {self.summary}"]
        sure = "" if self.confidence >= 1 else f"{self.confidence:.0%} sure; "
        facts = "; ".join(map(str, self.measures))
        if sure or facts:
            lines.append(f"        {sure}{facts}".rstrip("; "))
        if self.places:
            more = len(self.rows) - len(self.places[:SHOWN])
            lines.append(f"        at {_places(self.places[:SHOWN])}" + (f" and {more:,} more" if more > 0 else ""))
        lines += [f"        or: {text}" for text in self.otherwise]
        return in_lines([*lines, *(f"        fix: {remedy.advice}" for remedy in self.remedies)])


@dataclass(frozen=True)
class Checked:
    """A check that ran, or why it was skipped."""

    code: str
    title: str
    seconds: float
    skipped: str = ""


@dataclass(frozen=True)
class Report:
    """All findings, the worst first. `print(report)` shows them."""

    subject: str  # what was checked: a path
    count: int  # rows
    findings: tuple[Finding, ...]
    checks: tuple[Checked, ...]
    notes: tuple[str, ...] = ()

    @property
    def fixes(self) -> tuple[Fix, ...]:
        """All proposed changes. If a row has several, those of the worse finding come first."""
        return tuple(fix for finding in self.findings for fix in finding.fixes)

    def fails(self, severity: Severity) -> bool:
        """Whether a finding is this severe or worse."""
        worst = SEVERITIES[: SEVERITIES.index(severity) + 1]
        return any(finding.severity in worst for finding in self.findings)

    def __str__(self) -> str:
        counts = Counter(finding.severity for finding in self.findings)
        told = ", ".join(_plural(counts[severity], severity) for severity in SEVERITIES if counts[severity])
        made = [check for check in self.checks if not check.skipped]
        head = f"{self.subject}, {self.count:,} rows, {len(made)} checks: {told or 'nothing found'}"
        skipped = dict[str, list[str]]()
        for check in self.checks:
            if check.skipped:
                skipped.setdefault(check.skipped, []).append(check.title)
        left_out = [f"not checked: {', '.join(titles)} ({reason})" for reason, titles in skipped.items()]
        found = (f"\n\n{finding}" for finding in self.findings)
        return "".join([one_line(head), *found, f"\n\n{in_lines(left_out)}" if left_out else ""])


def _places(places: tuple[str, ...]) -> str:
    """Names the file once if all places are lines of it: "people.csv, line 3, line 7"."""
    file, comma, _ = places[0].rpartition(", ")
    if not comma or any(place.rpartition(", ")[0] != file for place in places):
        return ", ".join(places)
    return f"{file}, {', '.join(place.rpartition(', ')[2] for place in places)}"


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" + ("s" if count > 1 else "")
