"""What was found out about a network under attack."""

from dataclasses import dataclass
from math import isnan
from typing import final

from torch import Tensor

from netwright.records.batch import Batch
from netwright.records.escaped import in_lines, one_line
from netwright.records.finding import Chart, Finding, Measure, Report

NAMED = 44  # letters of an attack's name in a table
SIGNS_OF_MASKING = tuple(f"NW50{number}" for number in range(1, 10))


@final
@dataclass(frozen=True)
class Tried:
    """One attack on all rows that were right, or on those that earlier attacks left."""

    name: str  # a key of ATTACKS
    title: str
    result: Measure  # rows still right, or the mean harm; of an attack on rows that others left: under all so far
    is_after_others: bool
    seconds: float


@final
@dataclass(frozen=True)
class Level:
    """All attacks with one reach."""

    size: float
    tried: tuple[Tried, ...]
    union: Measure  # each row under the attack that harms it most
    targeted: tuple[Measure, ...]  # rows that got the wanted label
    smallest: Measure | None  # median size that beats a row; infinite if most rows were not beaten
    certified: tuple[Measure, ...] = ()  # rows that are right at any change up to a radius, in the Euclidean norm


@final
@dataclass(frozen=True)
class Example:
    """A row before and after an attack."""

    row: int
    place: str
    before: str  # the answer; empty if it does not fit a line
    after: str
    changes: tuple[tuple[str, str, str], ...]  # column, cell before, cell after


@final
@dataclass(frozen=True)
class Robustness:
    """Scores under attack, and whether they can be believed."""

    subject: str
    count: int  # rows
    of_rows: str  # which: "test rows"
    reach: str  # what the adversary can change, in words
    measure: str  # what the numbers are: "right answers", "change of the answer"
    is_share: bool  # of rows; else a mean
    clean: Measure
    levels: tuple[Level, ...]
    everyday: tuple[Measure, ...]  # scores under common corruptions
    curve: Chart | None  # by size
    examples: tuple[Example, ...]
    left_out: tuple[str, ...]  # what was not tried, and why
    report: Report  # signs that the attacks failed and not the adversary
    is_full: bool

    @property
    def doubts(self) -> tuple[Finding, ...]:
        """Signs that the true numbers are worse than those found."""
        return tuple(f for f in self.report.findings if f.code in SIGNS_OF_MASKING and f.severity != "note")

    @property
    def verdict(self) -> str:
        """What the adversary can do, in one sentence for each reach."""
        return " ".join(self._told(level) for level in self.levels)

    def result(self, name: str, level: int = 0) -> float:
        """What an attack left; NaN if it was not tried. "clean" and "union" are names too."""
        if name == "clean":
            return self.clean.value
        if name == "union":
            return self.levels[level].union.value
        return next((t.result.value for t in self.levels[level].tried if t.name == name), float("nan"))

    def _told(self, level: Level) -> str:
        at = f" at {level.size:g}" if len(self.levels) > 1 else ""
        if not self.is_share:
            return f"An adversary causes a {self.measure} of {level.union.value:.4g} on average{at}."
        value, low, high = (
            f"{100 * x:.0f}" for x in (level.union.value, level.union.low or 0.0, level.union.high or 0.0)
        )
        if self.doubts:
            reasons = ", ".join(finding.title for finding in self.doubts)
            return f"Upper bound{at}: {value} of 100 answers, unreliable: {reasons}."
        if self.is_full:
            return f"Robust accuracy{at}: {value} of 100 ({low} to {high})."
        return f"{value} of 100 answers stay right{at} ({low} to {high}) under every attack tried; --full tries more."

    def __str__(self) -> str:
        found = [f"\n\n{finding}" for finding in self.report.findings]
        return self.text() + "".join(found)

    def text(self) -> str:
        """All but the findings."""
        head = f"{self.subject}, {self.count:,} {self.of_rows}: {self.reach}"
        parts = [one_line(head), "", in_lines([self.verdict]), "", in_lines(self._table())]
        for example in self.examples:
            parts += ["", in_lines(_shown(example))]
        if self.left_out:
            parts += ["", in_lines(["not tried: " + "; ".join(self.left_out)])]
        return "\n".join(parts).rstrip()

    def _table(self) -> list[str]:
        """A line for each attack, a column for each reach."""
        wide = max([10, *(len(f"{level.size:g}") + 2 for level in self.levels)])
        head = f"{self.measure:<{NAMED}}" + "".join(f"{f'{level.size:g}':>{wide}}" for level in self.levels)
        lines = [head, self._line("no attack", [self.clean] * len(self.levels), wide)]
        for number, tried in enumerate(self.levels[0].tried):
            results = [level.tried[number].result if number < len(level.tried) else None for level in self.levels]
            title = f"{'then ' if tried.is_after_others else ''}{tried.title}"
            lines.append(self._line(title, results, wide))
        unions = [level.union for level in self.levels]
        between = "  ".join(self._between(union) for union in unions)
        lines.append(self._line("all together", unions, wide) + f"   {between}".rstrip())
        for number, wanted in enumerate(self.levels[0].targeted):
            lines.append(self._line(wanted.name, [level.targeted[number] for level in self.levels], wide))
        if any(level.smallest for level in self.levels):
            found = [level.smallest.value if level.smallest else float("nan") for level in self.levels]
            shown = "".join(
                f"{('-' if isnan(x) else 'none' if x == float('inf') else f'{x:.3g}'):>{wide}}" for x in found
            )
            lines.append(f"{'smallest change that beats a row, median':<{NAMED}}{shown}")
        for number, radius in enumerate(self.levels[0].certified):
            lines.append(self._line(radius.name, [level.certified[number] for level in self.levels], wide))
        if self.curve is not None:
            points = zip(self.curve.places, self.curve.values[0], strict=True)
            lines += ["", "by size: " + ", ".join(f"{size:g} {self._number(value)}" for size, value in points)]
        if self.everyday:
            told = ", ".join(f"{measure.name} {self._number(measure.value)}" for measure in self.everyday)
            lines += ["", f"everyday changes: {told}"]
        return lines

    def _line(self, title: str, results: "list[Measure] | list[Measure | None]", wide: int) -> str:
        cells = "".join(f"{'' if one is None else self._number(one.value):>{wide}}" for one in results)
        return f"{one_line(title)[: NAMED - 1]:<{NAMED}}{cells}".rstrip()

    def _number(self, value: float) -> str:
        return f"{100 * value:.1f}" if self.is_share else f"{value:.4g}"

    def _between(self, measure: Measure) -> str:
        if measure.low is None or measure.high is None:
            return ""
        return f"({self._number(measure.low)} to {self._number(measure.high)})"


@final
@dataclass(frozen=True, eq=False)
class Attacked:
    """What was found, with the rows before and after the attacks of the first size."""

    found: Robustness
    before: Batch
    after: Batch
    beaten: Tensor  # (N,) bool: right before and wrong after, or changed where answers are numbers


def _shown(example: Example) -> list[str]:
    becomes = f": {example.before} becomes {example.after}" if example.before else ""
    lines = [f"{example.place}{becomes}"]
    return [*lines, *(f"    {column}: {before} -> {after}" for column, before, after in example.changes)]
