"""Whatever a journey diagnoses or prints is looked at for contradictions."""

from collections.abc import Iterator
from typing import Any

import pytest

from netwright.records.finding import Report
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.reports import text
from netwright.stages import runs

RATES = {"NW331", "NW332"}
OPPOSITES = ({"NW331", "NW332"}, {"NW342", "NW343"}, {"NW323", "NW345"}, {"NW319", "NW331"}, {"NW319", "NW332"})


def contradictions(report: Report, recipe: Recipe, *, is_recipes: bool) -> Iterator[str]:
    """Where a report disagrees with itself, or with its recipe, if the network is the recipe's."""
    codes = {finding.code for finding in report.findings}
    yield from (f"{' and '.join(sorted(two))} together" for two in OPPOSITES if two <= codes)
    settings = {setting.name: value for setting, value in recipe.values()}
    for finding in report.findings:
        for remedy in finding.remedies:
            if is_recipes and remedy.edit and all(settings.get(name) == value for name, value in remedy.edit.items()):
                yield f"{finding.code} advises what the recipe says: {remedy.advice}"
            if "keep" in remedy.edit and recipe.keep == "last" and "last" not in remedy.advice:
                yield f"{finding.code} does not say that the recipe keeps the last epoch: {remedy.advice}"
        ladder = next((chart for chart in finding.charts if chart.is_log and finding.code in RATES), None)
        if ladder is not None:
            own = dict(zip(ladder.places, ladder.values[0], strict=True)).get(ladder.marks[0][0])
            ends = [end for end in ladder.values[0] if end == end]
            if own is not None and own == min(ends) and "lost it" not in finding.summary:
                yield f"{finding.code}: the training's own rate did best in the ladder"
    for check in report.checks:
        if "simple models" in check.skipped and ("cannot" in check.skipped or "no simple models" in check.skipped):
            yield f"{check.code} is skipped though simple models are scored beside the network: {check.skipped}"


def summary_contradictions(run: Run, told: str) -> Iterator[str]:
    """Where the summary of a run disagrees with its scores or its diagnosis."""
    is_calm = "nothing serious" in told
    if is_calm and "A simple model is better" in told:
        yield "nothing serious, and a simple model is better"
    if is_calm and run.diagnosis is not None and run.diagnosis.fails("warning"):
        yield "nothing serious, and a diagnosis with findings"
    if "beats the simple models" in told and run.diagnosis is not None:
        grave = {"NW323", "NW346"} & {f.code for f in run.diagnosis.findings if f.severity == "error"}
        if grave:
            yield f"the network beats the simple models, and {grave}"


@pytest.fixture(autouse=True)
def no_contradictions(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails a journey that contradicts itself."""
    found = list[str]()
    diagnosed, summary = runs.diagnose, text.summary

    def diagnose(evidence: Any, *arguments: Any) -> Report:
        report = diagnosed(evidence, *arguments)
        is_recipes = evidence.run is not None and bool(evidence.run.schema.inputs)
        found.extend(contradictions(report, evidence.recipe, is_recipes=is_recipes))
        return report

    def summed(run: Run) -> str:
        told = summary(run)
        found.extend(summary_contradictions(run, told))
        return told

    monkeypatch.setattr(runs, "diagnose", diagnose)
    monkeypatch.setattr(text, "summary", summed)
    yield
    assert not found
