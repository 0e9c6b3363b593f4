"""One training of the zoo: carried out, judged, and where a repair is given mended."""

import time
from collections.abc import Callable
from typing import Any

import torch
from benchmarks.zoo.cases import Case
from benchmarks.zoo.scores import rules
from benchmarks.zoo.trainings import trained

from netwright.checks import TRAINING_STAGES
from netwright.checks.training.evidence import TrainingEvidence, diagnose
from netwright.records.finding import Finding
from netwright.records.run import Run
from netwright.training.evaluate import evaluate

Row = dict[str, Any]
Repair = Callable[[Run, Finding], Run]
"""A run and what was found first -> the run trained again, mended."""


def measure(case: Case, repair: Repair | None = None) -> Row:
    """Trains a case, asks the doctor, and where a repair is given scores what it brings."""
    torch.set_num_threads(1)
    began = time.perf_counter()
    evidence = trained(case.plan)
    middle = time.perf_counter()
    report = diagnose(evidence, TRAINING_STAGES)
    row: Row = {
        "name": case.name, "kind": case.kind, "what": case.what, "family": case.plan.family, "data": case.plan.data,
        "seed": case.plan.seed, "dose": case.dose, "code": case.code, "also": case.also, "fixes": case.fixes,
        "twin": case.twin, "is_tuning": case.is_tuning, "train_seconds": middle - began,
        "doctor_seconds": time.perf_counter() - middle, "held_out": _held_out(evidence), "rules": rules(),
        "findings": [
            {"code": f.code, "severity": f.severity, "summary": f.summary,
             "fixes": [sorted(r.edit) or ["code"] for r in f.remedies]}
            for f in report.findings
        ],
        "slowest": {c.code: round(c.seconds, 2) for c in sorted(report.checks, key=lambda c: -c.seconds)[:3]},
    }  # fmt: skip
    if repair is not None and report.findings and evidence.run is not None:
        mended = repair(evidence.run, report.findings[0])
        row["repaired"] = evaluate(mended.network, mended.task, mended.valid, mended.recipe).quick()
    return row


def _held_out(evidence: TrainingEvidence) -> dict[str, float]:
    """Scores on the validation part, of the weights that were kept; empty where they answer no numbers."""
    best = evidence.history.best
    return dict(best.valid) if best is not None else {}
