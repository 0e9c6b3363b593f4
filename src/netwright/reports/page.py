"""A report as one HTML file for people: it needs no network, contains no script, and prints."""

import json
import shlex
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from netwright.checks.evidence import all_checks
from netwright.checks.evidence import page as rule_page
from netwright.files import replace_text
from netwright.records.escaped import escaped
from netwright.records.finding import SEVERITIES, SHOWN, Finding, Fix, Measure, Report
from netwright.records.result import Section
from netwright.reports.pictures import Pictures, as_uri
from netwright.reports.svg import bar, draw
from netwright.resolve import require, resolve

PICTURES = 12  # of one finding: two lines of a wide page
NAMES = 12  # columns or layers named
FIXES = 20  # of one finding in its folded table; `netwright fix` writes all to a file
LETTERS = 300  # of a name, a place or a cell: longer ones are cut
TAIL = 40  # letters of a place below a picture
EXTRA = "report"  # the extra that installs jinja2


def page(*sections: Section) -> str:
    """For each section: the verdict in one sentence, the findings with their evidence, and the checks that ran.

    Raises MissingPackage without jinja2.
    """
    jinja2 = require("jinja2", extra=EXTRA)
    markup = require("markupsafe", extra=EXTRA).Markup
    here = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(here),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "cut": _cut,
        "tail": _tail,
        "option": _option,
        "change": _change,
        "sure": _sure,
        "inline": markup,
    }
    environment.filters["bar"] = lambda measure: markup(bar(measure))
    environment.globals["interval"] = _interval
    style = (here / "page.css").read_text(encoding="utf-8")
    numbers = count(1)
    text = environment.get_template("page.html").render(
        title=sections[0].title,
        parts=[_part(section, numbers) for section in sections],
        style=markup(style),
        style_hash=b64encode(sha256(style.encode()).digest()).decode(),
        shown=SHOWN,
        names=NAMES,
        fixes_shown=FIXES,
    )
    return escaped(text)


def require_pages(path: str) -> None:
    """Raises MissingPackage if a page is asked for and jinja2 is missing: before the work, not after."""
    if path:
        require("jinja2", extra=EXTRA)


def written(sections: Sequence[Section], path: Path | str) -> tuple[str, ...]:
    """Writes a page if a file is named for it; returns the line that says so.

    The file appears when it is complete. Raises RunError if it cannot be written.
    """
    if not path:
        return ()
    replace_text(Path(path), page(*sections))
    return (f"page written to {path}",)


def verdict(report: Report) -> str:
    """The verdict of a report, in one sentence."""
    made = sum(not check.skipped for check in report.checks)
    left_out = len(report.checks) - made
    counts = Counter(finding.severity for finding in report.findings)
    aside = f"; {_plural(left_out, 'check')} could not run" if left_out else ""
    if not report.findings:
        return f"{_plural(made, 'check')} found nothing{aside}." if made else "No check could run."
    worst = min(report.findings, key=_gravity)
    first = f"{worst.title} ({worst.code})"
    if counts["error"]:
        return f"Do not trust the scores yet: {_plural(counts['error'], 'error')}, starting with {first}{aside}."
    if counts["warning"]:
        return f"{_plural(counts['warning'], 'warning')} but no error: start with {first}{aside}."
    return f"Nothing is wrong, and {_plural(counts['note'], 'note')} may be worth knowing{aside}."


def _gravity(finding: Finding) -> int:
    return SEVERITIES.index(finding.severity)


@dataclass(frozen=True)
class _Part:
    """A section with everything the page shows."""

    section: Section
    verdict: str
    worst: str
    cards: tuple["_Card", ...]
    charts: tuple[Any, ...]
    found: Counter[str]  # by code


def _part(section: Section, numbers: Iterator[int]) -> _Part:
    report = section.report
    return _Part(
        section,
        section.verdict or verdict(report),
        next((severity for severity in SEVERITIES if report.fails(severity)), "good"),
        tuple(_card(next(numbers), f, section.pictures) for f in sorted(report.findings, key=_gravity)),
        tuple((chart, draw(chart)) for chart in section.charts),
        Counter(finding.code for finding in report.findings),
    )


@dataclass(frozen=True)
class _Card:
    """A finding with everything the page shows."""

    number: int
    finding: Finding
    rule: tuple[str, ...]  # paragraphs
    charts: tuple[Any, ...]
    pictures: tuple[tuple[str, str, str], ...]  # data URI or empty, its place, what its fix would do
    fixes: str


def _card(number: int, finding: Finding, pictures: Pictures | None) -> _Card:
    checks = all_checks()
    actions = Counter(fix.action for fix in finding.fixes)
    return _Card(
        number,
        finding,
        _paragraphs(rule_page(resolve("check", finding.code, checks))) if finding.code in checks else (),
        tuple((chart, draw(chart)) for chart in finding.charts),
        () if pictures is None else tuple(_pictures(finding, pictures)),
        ", ".join(f"{count:,} {action}" for action, count in actions.items()),
    )


def _paragraphs(text: str) -> tuple[str, ...]:
    """Without the title and the source's line breaks."""
    return tuple(" ".join(paragraph.split()) for paragraph in text.split("\n\n")[1:])


def _pictures(finding: Finding, pictures: Pictures) -> Iterable[tuple[str, str, str]]:
    fixes = {fix.row: fix for fix in finding.fixes}
    for k, row in enumerate(finding.rows[:PICTURES]):
        picture = pictures(row)
        place = finding.places[k] if k < len(finding.places) else fixes[row].place if row in fixes else f"row {row:,}"
        yield "" if picture is None else as_uri(picture), place, _change(fixes[row]) if row in fixes else ""


def _change(fix: Fix) -> str:
    match fix.action:
        case "drop":
            return "drop"
        case "move":
            return f"move to {fix.new}"
        case _:
            return f"{fix.old or 'nothing'} → {fix.new}"


def _option(edit: Mapping[str, object]) -> str:
    """Changes to the recipe as command-line options."""
    return " ".join(f"--set {shlex.quote(f'{name}={_value(value)}')}" for name, value in edit.items())


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(value) if isinstance(value, bool | tuple | list) else str(value)


def _interval(measure: Measure) -> str:
    return "" if measure.low is None or measure.high is None else f" [{measure.low:.4g}, {measure.high:.4g}]"


def _sure(confidence: float) -> str:
    return f"{min(confidence, 0.99):.0%}" if confidence < 1 else "100%"


def _tail(place: str) -> str:
    """The end of a place, which distinguishes places in one folder."""
    return place if len(place) <= TAIL else f"…{place[-TAIL:]}"


def _cut(text: str, most: int = LETTERS) -> str:
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 2 :]}"


def _plural(count: int, word: str) -> str:
    return f"{count:,} {word}" + ("s" if count != 1 else "")
