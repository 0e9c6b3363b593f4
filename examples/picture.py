"""Draws the picture at the top of the README: what an audit, a training and a treatment found in the demo's data.

    python examples/picture.py docs/picture.svg

Every number in it comes from the runs that this script makes, in about two minutes on two cores.
"""

import sys
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from demo_data import write_cancer, write_damaged, write_digits

import netwright as nw
from netwright.records.task import Metric

WIDTH, HEIGHT, PANEL = 960, 250, 300
INK, PALE, GOOD, BAD = "#1f2937", "#9ca3af", "#0f766e", "#b45309"
STYLE = "font-family:system-ui,-apple-system,'Segoe UI',sans-serif"

Bar = tuple[str, float, float, float, str]
"""Name, value, ends of the 95 % interval, color."""


def main(path: Path) -> None:
    """Makes the three runs and writes the picture."""
    with TemporaryDirectory() as folder:
        data = Path(folder)
        write_digits(data / "digits")
        write_cancer(data / "cancer.csv")
        write_damaged(data / "damaged.csv", data / "cancer.csv")
        parts = [_audit(data), _training(data), _treatment(data)]
    shapes = "".join(f'<g transform="translate({10 + n * (PANEL + 15)} 10)">{part}</g>' for n, part in enumerate(parts))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" style="{STYLE}">'
    path.write_text(f"{head}{shapes}</svg>\n", encoding="utf-8")


def _audit(data: Path) -> str:
    """How many of the rows that are called wrong really are."""
    report = nw.audit(data / "damaged.csv", target="diagnosis")
    found = next(finding for finding in report.findings if finding.code == "NW110")
    before, after = (pl.read_csv(data / name)["diagnosis"] for name in ("cancer.csv", "damaged.csv"))
    exchanged = {row for row in range(len(before)) if before[row] != after[row]}
    right = len(exchanged.intersection(found.rows))
    words = [
        f"{len(exchanged)} diagnoses were exchanged on purpose;",
        f"{len(found.rows)} rows are called wrong, {right} rightly.",
        f"{len(report.findings)} findings in all, with rows and fixes.",
    ]
    dots = "".join(
        f'<rect x="{12 + n % 10 * 27}" y="{122 + n // 10 * 30}" width="21" height="21" rx="4" '
        f'fill="{GOOD if row in exchanged else BAD}"/>'
        for n, row in enumerate(found.rows)
    )
    return _panel("netwright audit", "which rows are wrong?", words, dots)


def _training(data: Path) -> str:
    """The network beside the simple models."""
    run = nw.train(data / "digits", settings={"seed": 0})
    assert run.scores is not None
    bars = [("network", *_interval(run.scores["accuracy"]), GOOD)]
    bars += [(name, *_interval(scores["accuracy"]), PALE) for name, scores in reversed(run.baselines)]
    words = [f"accuracy on {run.scores.count} pictures it never saw,", "with 95 % intervals, beside simple models."]
    return _panel("netwright train", "is the network worth it?", words, _bars(bars))


def _treatment(data: Path) -> str:
    """A learning rate that is too low: found, changed, proven."""
    run = nw.train(data / "cancer.csv", target="diagnosis", settings={"lr": 1e-5})
    report = nw.diagnose(run)
    treatment = nw.treat(run, report=report)
    before, after = run.scores, treatment.run.scores
    assert before is not None and after is not None
    words = [f"{report.findings[0].code}: {report.findings[0].title}.", "The remedy is kept only if it is better on"]
    words += ["paired seeds, beyond chance. Log loss:"]
    bars = [
        ("before", *_interval(before["log_loss"]), BAD),
        ("treated", *_interval(after["log_loss"]), GOOD),
    ]
    return _panel("netwright treat", "what is wrong, and does the fix help?", words, _bars(bars))


def _interval(metric: Metric) -> tuple[float, float, float]:
    return metric.value, metric.low, metric.high


def _panel(command: str, question: str, words: Sequence[str], drawing: str) -> str:
    lines = [(26, 15, 600, INK, command), (46, 13, 400, PALE, question)]
    lines += [(68 + 17 * n, 13, 400, INK, text) for n, text in enumerate(words)]
    frame = f'<rect width="{PANEL}" height="{HEIGHT - 20}" rx="8" fill="#ffffff" stroke="#e5e7eb"/>'
    return frame + "".join(_text(12, *line) for line in lines) + drawing


def _bars(bars: Sequence[Bar]) -> str:
    return "".join(part for n, bar in enumerate(bars) for part in _bar(130 + 36 * n, bar))


def _bar(y: int, bar: Bar) -> Iterator[str]:
    name, value, low, high, color = bar
    start, scale = 12, 200
    yield _text(start, y - 5, 12, 400, INK, name)
    yield f'<rect x="{start}" y="{y}" width="{value * scale:.1f}" height="14" rx="3" fill="{color}"/>'
    left, right = start + low * scale, start + high * scale
    yield f'<path d="M{left:.1f} {y + 7}H{right:.1f}" stroke="{INK}" stroke-width="2"/>'
    yield _text(start + scale + 8, y + 11, 12, 400, INK, f"{value:.3f}")


def _text(x: float, y: float, size: int, weight: int, color: str, text: str) -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{color}">{escape(text)}</text>'


if __name__ == "__main__":
    main(Path(sys.argv[1]))
