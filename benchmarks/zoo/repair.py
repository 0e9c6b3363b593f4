"""What treating a faulty training brings, scored on rows that nothing was decided by, beside chance and plain defaults.

The validation rows are cut in two: one half is the treatment's, the other one only scores. All trainings come in
SEEDS pairs: the faulty one, the treated one and the healthy twin start from the same seeds.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from benchmarks.zoo.cases import Case
from benchmarks.zoo.plans import Plan
from benchmarks.zoo.trainings import carried_out, run_of, trained

from netwright.checks import TRAINING_STAGES
from netwright.checks.training.evidence import diagnose, of_run
from netwright.data.examples import adopted
from netwright.planning.edits import Edits, random_change, variant
from netwright.planning.paired import Measures, gain, stacked
from netwright.planning.treat import BALANCED, measured, treat_run
from netwright.records.batch import Examples
from netwright.records.errors import NetwrightError
from netwright.records.finding import Finding, Report
from netwright.records.run import Run
from netwright.tasks.classification import Classification

SEEDS = 3
ALIKE = 0.95  # of the healthy twin's score: as good as healthy
DECIDING, SCORING = 0, 1  # halves of the validation rows
WORST = 100.0  # what a loss that is no number counts
MOST_RANDOM = 4  # random changes for one treatment: the budget of most of them
DEFAULTS: Mapping[str, object] = {"init": "he", "optimizer": "adamw", "lr": 1e-3, "normalization": "layer", "clip": 1.0}
"""What a careful person takes without looking: He's weights, AdamW, a normalization, clipping."""

# What stands in an engineer's own code or data, and how it looks once the engineer took it back.
CODE = {"inside": "", "end": "", "change": "", "permuted": False, "wrong": 0.0}
# Findings whose place is said by what they are: the loop, the loader, the data. All others have to name a layer.
PLACED = ("NW311", "NW314", "NW316", "NW317", "NW321", "NW322", "NW323", "NW345")


@dataclass(frozen=True)
class Score:
    """One way of training the case, against the faulty one and the healthy twin."""

    value: float  # accuracy (of classes that are rare: mean recall), or the share of variance explained
    is_better: bool  # R1: better than the faulty one, the 95 % interval of paired seeds and rows above zero
    is_healthy: bool  # R2: ALIKE of the twin's value
    is_worse: bool  # harm: the interval lies below zero


@dataclass(frozen=True)
class Repaired:
    """What came of a case."""

    how: str  # treated, by hand, or nothing where no remedy was kept
    edits: str
    is_gone: bool  # R0: the planted code is no longer told
    faulty: float
    twin: float
    does_harm: bool  # whether the healthy twin is better than the faulty training beyond chance
    score: Score
    random: Score
    defaults: Score
    trainings: int
    error: str = ""


def repaired(case: Case, run: Run, report: Report, twin: Plan) -> dict[str, Any]:
    """The case treated, as a row's entry: `run` is its training, `report` what the doctor says of it."""
    bench = _Bench(case.plan, twin)
    plan, how, edits, is_gone, trainings, error = case.plan, "nothing", Edits(), False, 0, ""
    if is_by_hand(case, report.findings):
        plan, how, trainings = taken_back(case.plan), "by hand", 1
        evidence = trained(plan)
        report = diagnose(evidence, TRAINING_STAGES)
        run, is_gone = evidence.run or run, not _is_told(case, report)
    if not plan.loop and report.findings:
        try:
            treated, note = treat_run(
                replace(run, valid=half(run, DECIDING)),
                report,
                codes=(),
                seeds=bench.seeds,
                judge=_judged,
                tell=lambda _: None,
                controls=False,
            )
        except NetwrightError as problem:
            error = f"{type(problem).__name__}: {problem.problem}"
        else:
            trainings += SEEDS * (1 + sum(bool(tried.gains) for tried in note.tried)) if note.tried else 0
            if edits := Edits(note.changes, note.mends):
                how = "treated" if how == "nothing" else how
                is_gone = treated.diagnosis is not None and not _is_told(case, treated.diagnosis)
    return asdict(
        Repaired(
            how=how,
            edits=", ".join([*(f"{name}={value}" for name, value in edits.recipe.items()), *edits.mends]),
            is_gone=is_gone,
            faulty=bench.faulty,
            twin=bench.twin,
            does_harm=bench.does_harm,
            score=bench.score(plan, edits),
            random=bench.score(case.plan, bench.best_random(min(MOST_RANDOM, max(1, trainings // SEEDS - 1)))),
            defaults=bench.score(case.plan, Edits(DEFAULTS)),
            trainings=trainings,
            error=error,
        )
    )


def is_by_hand(case: Case, findings: Sequence[Finding]) -> bool:
    """Whether what is told first is the planted fault, its place in code or data, and an edit for a person."""
    if not findings or not findings[0].remedies or taken_back(case.plan) == case.plan:
        return False
    first, remedy = findings[0], findings[0].remedies[0]
    is_placed = first.code in PLACED or bool(first.layers)
    return first.code in (case.code, *case.also) and not remedy.edit and not remedy.mend and is_placed


def taken_back(plan: Plan) -> Plan:
    """The plan without what stands in code and data; a fault of the recipe stays."""
    changes = {**CODE, "loop": "careful" if plan.loop else "", "loader": "plain" if plan.loader else ""}
    return plan.edit(changes)


class _Bench:
    """The faulty trainings and the healthy ones, against which everything else is held."""

    def __init__(self, plan: Plan, twin: Plan) -> None:
        self.plan = plan
        self.seeds = range(plan.seed, plan.seed + SEEDS)
        self.before = self._measures(plan, Edits(), SCORING)
        self.faulty = _value(self.before, run_of(plan), SCORING)
        healthy = self._measures(twin, Edits(), SCORING)
        self.twin = _value(healthy, run_of(twin), SCORING)
        is_paired = all(healthy[name].values.shape == self.before[name].values.shape for name in healthy)
        self.does_harm = self._is_better(healthy) if is_paired else self.faulty < ALIKE * self.twin

    def score(self, plan: Plan, edits: Edits) -> Score:
        """Of the plan trained with these edits."""
        if plan == self.plan and not edits:
            return Score(self.faulty, is_better=False, is_healthy=self.faulty >= ALIKE * self.twin, is_worse=False)
        after = self._measures(plan, edits, SCORING)
        value = _value(after, run_of(plan), SCORING)
        name = _answers(self.before)
        is_worse = gain(name, self.before[name], after[name], self.seeds[0]).high < 0
        return Score(value, self._is_better(after), value >= ALIKE * self.twin, is_worse)

    def best_random(self, count: int) -> Edits:
        """The best of some random changes, on the treatment's half of the rows."""
        run, generator = run_of(self.plan), np.random.default_rng(self.plan.seed)
        drawn = [Edits(random_change(generator, run)) for _ in range(count)]
        values = dict[float, Edits]()
        for one in drawn:
            with suppress(NetwrightError):  # muon, for example, has nothing to update in some networks
                values[_value(self._measures(self.plan, one, DECIDING), run, DECIDING)] = one
        return values[max(values)] if values else Edits()

    def _is_better(self, after: Measures) -> bool:
        """Than the faulty trainings: in answers, or in losses where answers are not worse."""
        names = _answers(self.before), "loss"
        answers, losses = (gain(name, self.before[name], after[name], self.seeds[0]) for name in names)
        return answers.low > 0 or (losses.low > 0 and answers.value >= 0)

    def _measures(self, plan: Plan, edits: Edits, part: int) -> Measures:
        """Of trainings whose weights are kept by the deciding half."""
        run = run_of(plan)
        run = replace(run, valid=half(run, DECIDING))
        trainings = [carried_out(variant(run, edits, seed), plan) for seed in self.seeds]
        found = [measured(replace(done, valid=half(run_of(plan), part))) for done in trainings]
        bounded = [
            {n: replace(x, values=np.nan_to_num(x.values, nan=WORST).clip(max=WORST)) for n, x in one.items()}
            for one in found
        ]
        return stacked(bounded)


def half(run: Run, part: int) -> Examples:
    """Every other validation row."""
    batch = next(run.valid.batches(len(run.valid), seed=None))
    return adopted((batch.inputs[0][part::2], batch.targets[0][part::2]))


def _answers(measures: Measures) -> str:
    """The measure that says how good answers are: where classes are uneven, each counts the same."""
    return BALANCED if BALANCED in measures else next(iter(measures))


def _value(measures: Measures, run: Run, part: int) -> float:
    """Mean recall of the classes, or the share of variance explained; over all seeds."""
    targets = next(half(run, part).batches(len(run.valid), seed=None)).targets[0]
    found = next(iter(measures.values())).values.mean(0)  # right answers; of numbers the squared errors
    if isinstance(run.task, Classification):
        return float(np.mean([found[(targets == k).numpy()].mean() for k in targets.unique()]))
    return float(1 - found.mean() / targets.double().var(correction=0))


def _judged(run: Run, without: Collection[str]) -> Report:
    stages = {
        stage: {c: path for c, path in table.items() if c not in without} for stage, table in TRAINING_STAGES.items()
    }
    return diagnose(of_run(run), stages)


def _is_told(case: Case, report: Report) -> bool:
    return any(finding.code in (case.code, *case.also) and finding.severity != "note" for finding in report.findings)
