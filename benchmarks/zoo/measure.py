"""One training of the zoo: carried out, judged, and where a repair is given mended."""

import time
from typing import Any

import torch
from benchmarks.zoo.cases import Case
from benchmarks.zoo.plans import Plan
from benchmarks.zoo.repair import repaired
from benchmarks.zoo.scores import rules
from benchmarks.zoo.trainings import trained

from netwright.checks import TRAINING_STAGES
from netwright.checks.training.evidence import TrainingEvidence, diagnose

Row = dict[str, Any]


def measure(case: Case, twin: Plan | None = None) -> Row:
    """Trains a case and asks the doctor; a faulty one is treated too where its healthy twin is given."""
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
    if twin is not None and case.kind == "fault" and evidence.run is not None:
        row["repair"] = repaired(case, evidence.run, report, twin)
    return row


def _held_out(evidence: TrainingEvidence) -> dict[str, float]:
    """Scores on the validation part, of the weights that were kept; empty where they answer no numbers."""
    best = evidence.history.best
    return dict(best.valid) if best is not None else {}
