"""What several ways to harden a network are worth."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from netwright.records.escaped import in_lines, one_line

NONE = "none"  # the name of the network as it was
COLUMNS = ("clean", "noise", "fgsm", "pgd", "all")
HEADS = {"clean": "clean", "noise": "noise", "fgsm": "FGSM", "pgd": "PGD", "all": "all", "wanted": "wanted",
         "radius": "radius", "cost": "cost"}  # fmt: skip


@final
@dataclass(frozen=True)
class Defended:
    """A network under attack."""

    name: str  # a key of METHODS, or NONE
    title: str
    results: Mapping[str, float | None]  # by column, as HEADS says; None if it was not measured
    between: tuple[float, float] = (0.0, 0.0)  # 95 % interval of "all"
    doubts: tuple[str, ...] = ()  # signs that attacks failed and not the adversary
    is_lesson: bool = False
    folder: str = ""


@final
@dataclass(frozen=True)
class Hardened:
    """`print(hardened)` shows the network as it was, and after each way to harden it."""

    subject: str
    count: int  # rows attacked
    of_rows: str  # which: "test rows"
    reach: str  # of the adversary, in words
    measure: str  # what the numbers are: "right answers", "change of the answer"
    is_share: bool  # of rows: more is better; else a mean harm, and less is better
    rows: tuple[Defended, ...]  # the first is the network as it was
    best: str  # the cheapest of the defenses that hold best against all attacks, within chance; "" if all are lessons

    def __str__(self) -> str:
        head = f"{self.subject}, {self.count:,} {self.of_rows}, {self.measure}: {self.reach}"
        lines = [head, "", self._line("", {name: head for name, head in HEADS.items() if self._has(name)})]
        for row in self.rows:
            mark = "  <- best" if row.name == self.best else "  a lesson" if row.is_lesson else ""
            cells = {name: self._cell(name, row.results.get(name)) for name in HEADS if self._has(name)}
            low, high = (self._cell("all", end) for end in row.between)
            lines.append(f"{self._line(row.title, cells)}   ({low} to {high}){mark}")
        lines += ["", *self._remarks()]
        return one_line(lines[0]) + "\n" + in_lines(lines[1:])

    def _has(self, column: str) -> bool:
        return any(row.results.get(column) is not None for row in self.rows)

    def _line(self, title: str, cells: Mapping[str, str]) -> str:
        return f"{one_line(title)[:39]:<40}" + "".join(f"{cell:>8}" for cell in cells.values())

    def _cell(self, column: str, value: float | None) -> str:
        if value is None:
            return "-"
        if column == "cost":
            return f"{value:.1f} x"
        is_share = column == "wanted" or (self.is_share and column != "radius")
        return f"{100 * value:.1f}" if is_share else f"{value:.3g}"

    def _remarks(self) -> list[str]:
        """What a person should know about the table."""
        found = [
            "all: each row under the attack that harms it most; its 95 % interval is in brackets.",
            "cost: training time over that of the network.",
        ]
        if self._has("wanted"):
            found.append("wanted: rows that get the label after their own, if an adversary wants that one.")
        if self._has("radius"):
            found.append("radius: mean Euclidean norm, in shares of the range, below which nothing changes an answer.")
        for row in self.rows:
            if row.doubts:
                found.append(f"{row.title}: an upper bound, unreliable: {', '.join(row.doubts)}.")
        if any(row.is_lesson for row in self.rows):
            found.append("A lesson hides gradients: attacks fail and adversaries do not. It is never chosen.")
        chosen = next((row for row in self.rows if row.name == self.best), None)
        if chosen is not None and not self._is_better(chosen, self.rows[0]):
            found.append("No defense here is better than none.")
        return found

    def _is_better(self, one: Defended, other: Defended) -> bool:
        a, b = one.results.get("all"), other.results.get("all")
        return a is not None and b is not None and (a > b if self.is_share else a < b)
