"""From rows of the zoo to the page: recall, false alarms and causes, with Wilson's 95 % intervals."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from benchmarks.speed.measure import table

import netwright.checks
import netwright.checks.training
from netwright import statistics

Row = dict[str, Any]
LOUD = ("error", "warning")


@cache
def rules() -> str:
    """A hash of all checks of trainings and of their order: another threshold is another hash."""
    sources = [Path(netwright.checks.__file__ or ""), *sorted(Path(netwright.checks.training.__path__[0]).glob("*.py"))]
    return sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


def is_loud(row: Row) -> bool:
    """Whether anything is told that a person would act on."""
    return any(finding["severity"] in LOUD for finding in row["findings"])


def is_found(row: Row) -> bool:
    """Whether the faulty training is told to be one: loudly, or its cause as a note where little is lost by it."""
    return is_loud(row) or is_named(row, len(row["findings"]))


def is_named(row: Row, first: int) -> bool:
    """Whether the planted cause is among the first findings."""
    return any(finding["code"] in (row["code"], *row["also"]) for finding in row["findings"][:first])


def is_mended(row: Row) -> bool:
    """Whether the first finding's first remedies hold one that mends the planted fault."""
    offered = [set(fix) for finding in row["findings"][:1] for fix in finding["fixes"]]
    return any(fix & set(row["fixes"]) for fix in offered)


def page(rows: Sequence[Row]) -> str:
    """Markdown: both parts, and what they are made of."""
    parts = [("tuning", [r for r in rows if r["is_tuning"]]), ("held out", [r for r in rows if not r["is_tuning"]])]
    told = [_part(name, part) for name, part in parts if part]
    told += [_repairs(name, some) for name, part in parts if (some := [r for r in part if "repair" in r])]
    return "\n\n".join([f"Rule table {rules()}, {len(rows)} trainings.", *told, _missed(rows)])


def _part(name: str, rows: Sequence[Row]) -> str:
    faults, healthy = [r for r in rows if r["kind"] == "fault"], [r for r in rows if r["kind"] != "fault"]
    head = ("", "n", "recall %", "loudly %", "cause first %", "among three %", "a fix that mends %")
    measures: tuple[Callable[[Row], bool], ...] = (
        is_found, is_loud, lambda r: is_named(r, 1), lambda r: is_named(r, 3), is_mended,
    )  # fmt: skip

    def line(label: str, some: Sequence[Row]) -> list[object]:
        return [label, len(some), *(share(map(measure, some)) for measure in measures)]

    lines = [line("all", faults)]
    lines += [line(f, [r for r in faults if r["family"] == f]) for f in dict.fromkeys(r["family"] for r in faults)]
    lines += [line(w, [r for r in faults if r["what"] == w]) for w in sorted({r["what"] for r in faults})]
    kinds = [("all healthy", healthy), ("twins", [r for r in healthy if r["kind"] == "twin"]),
             ("odd", [r for r in healthy if r["kind"] == "control"])]  # fmt: skip
    kinds += [(f, [r for r in healthy if r["family"] == f]) for f in dict.fromkeys(r["family"] for r in healthy)]
    alarms = [[label, len(some), share(map(is_loud, some))] for label, some in kinds if some]
    cost = median(r["doctor_seconds"] for r in rows), median(r["train_seconds"] for r in rows)
    return "\n\n".join([
        f"### {name}",
        table(head, lines),
        table(("healthy", "n", "flagged %"), alarms),
        f"The doctor takes {cost[0]:.2f} s, the training {cost[1]:.2f} s (medians).",
    ])  # fmt: skip


def _repairs(name: str, rows: Sequence[Row]) -> str:
    """What treatments brought; a row is a faulty training. R1 is of those that are worse than their healthy twin."""
    head = (
        "",
        "n",
        "R0 %",
        "R1 %",
        "R1 of all %",
        "R2 %",
        "harm %",
        "random R1 %",
        "random R2 %",
        "defaults R1 %",
        "defaults R2 %",
    )
    found = [row["repair"] for row in rows]

    def line(label: str, some: Sequence[Row]) -> list[object]:
        scores = [(r["score"], r["random"], r["defaults"]) for r in some]
        return [
            label, len(some), share(r["is_gone"] for r in some),
            share(r["score"]["is_better"] for r in some if r["does_harm"]),
            share(own["is_better"] for own, _, _ in scores),
            share(own["is_healthy"] for own, _, _ in scores), share(own["is_worse"] for own, _, _ in scores),
            share(other["is_better"] for _, other, _ in scores), share(other["is_healthy"] for _, other, _ in scores),
            share(other["is_better"] for _, _, other in scores), share(other["is_healthy"] for _, _, other in scores),
        ]  # fmt: skip

    families = dict.fromkeys(row["family"] for row in rows)
    lines = [line("all", found)]
    lines += [line(how, [r for r in found if r["how"] == how]) for how in ("treated", "by hand", "nothing")]
    lines += [line(f, [row["repair"] for row in rows if row["family"] == f]) for f in families]
    lines += [line(w, [row["repair"] for row in rows if row["what"] == w]) for w in sorted({r["what"] for r in rows})]
    trainings = median(r["trainings"] for r in found)
    ahead = np.array([float(r["score"]["is_healthy"]) - float(r["random"]["is_healthy"]) for r in found])
    error = statistics.NORMAL * ahead.std() / len(ahead) ** 0.5
    left = [
        f"- {row['name']}: {r['how']} {r['edits']} {r['error']}: {r['faulty']:.3f} to {r['score']['value']:.3f}, "
        f"twin {r['twin']:.3f}" + ("" if r["score"]["is_better"] else ", not better beyond chance")
        for row in rows
        if not (r := row["repair"])["score"]["is_healthy"] or (r["does_harm"] and not r["score"]["is_better"])
    ]
    return "\n\n".join([
        f"### Repaired, {name}",
        table(head, lines),
        f"R2 above random repair: {100 * ahead.mean():.1f} points [{100 * (ahead.mean() - error):.0f}, "
        f"{100 * (ahead.mean() + error):.0f}]. A treatment takes {trainings:.0f} trainings (median).",
        "\n".join(["Not repaired:", "", *left]),
    ])  # fmt: skip


def share(hits: Iterable[bool]) -> str:
    """Percent with the interval."""
    values = list(hits)
    found = statistics.share(sum(values), len(values))
    return f"{100 * found.value:.1f} [{100 * found.low:.0f}, {100 * found.high:.0f}]" if values else ""


def _missed(rows: Sequence[Row]) -> str:
    """The trainings that were not judged rightly, one a line."""
    wrong = [
        f"- {row['name']}: {said(row) or 'nothing'}" + (f" (expected {row['code']})" if row["code"] else "")
        for row in rows
        if (is_loud(row) if row["kind"] != "fault" else not is_named(row, 1))
    ]
    return "\n".join(["### Not judged rightly", "", *wrong])


def said(row: Row) -> str:
    """The codes, the worst first; notes in brackets."""
    return " ".join(f["code"] if f["severity"] in LOUD else f"({f['code']})" for f in row["findings"])
