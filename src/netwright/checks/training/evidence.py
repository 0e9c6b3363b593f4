"""What checks of training examine, and the order in which they run."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast, final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from netwright.checks.evidence import Skip, made, report
from netwright.records.batch import Batch, Examples, Outputs
from netwright.records.finding import Checked, Finding, Report
from netwright.records.history import History
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.records.task import Labels, Numbers, Objective, Task, of_inputs, viewed
from netwright.records.watched import Watched
from netwright.resolve import resolve
from netwright.training.adopt import knows_first_weights
from netwright.training.evaluate import device_of
from netwright.training.objective import build_objective, plain_objective, with_mixes

T = TypeVar("T")

Retrain = Callable[[float, Sequence[int]], Sequence[Run]]
"""(share of the training rows, seeds) -> training repeated with as many steps: a run for each seed."""

PROBING = 0.1  # of the training's steps may go into experiments on copies
PROBING_WORK = 2e10  # operations that they may take if that is more: about a second of one core, on any machine


@final
@dataclass(frozen=True, eq=False)
class TrainingEvidence:
    """Training that has ended, was stopped or still runs. Checks change nothing of it: experiments use copies."""

    network: nn.Module  # with the kept weights
    objective: Objective  # (network, batch) -> (B,), as it was trained with
    train: Examples  # as training used them, with augmentation
    valid: Examples  # may be empty
    recipe: Recipe  # for an engineer's loop: what is known of it
    watched: Watched
    history: History
    task: Task | None = None  # None if only an objective is known: scores are then losses
    build: Callable[[], nn.Module] | None = None  # an untrained network of the same seed; None if unknown
    run: Run | None = None  # the whole run, if there is one
    is_over: bool = True  # False while it is still training: only what is already certain is reported
    tell: Callable[[str], object] = lambda _note: None
    retrain: Retrain | None = None  # None if no training beyond PROBING was asked for
    known: dict[Callable[..., Any], Any] = field(default_factory=dict[Callable[..., Any], Any], repr=False)

    @property
    def loss(self) -> Objective:
        """The task's own loss: smoothing, weights and penalties would hide what was learned."""
        return self.objective if self.task is None else with_mixes(self.task, self.task.losses)

    def with_recipe(self, recipe: Recipe) -> Objective:
        """The objective with other settings; as it was, if only an objective is known."""
        if self.task is None:
            return self.objective
        return (
            plain_objective(self.task, recipe)
            if self.run is None
            else build_objective(replace(self.run, recipe=recipe))
        )

    @property
    def view(self) -> Labels | Numbers | None:
        """The targets as labels or numbers, seen in one of them."""
        return self.once(_view)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, if a row has exactly one class and the network one logit per class; else empty."""
        return self.view.names if isinstance(self.view, Labels) and self.task and self.task.link == "softmax" else ()

    def positions(self, batch: Batch) -> NDArray[np.int64]:
        """The class of each row, for tasks with `classes`."""
        view = None if self.task is None else self.task.view(batch.targets)
        return view.positions if isinstance(view, Labels) else np.empty(0, np.int64)

    def forward(self, network: nn.Module, batch: Batch) -> Outputs:
        """A network's outputs, computed as the task requires."""
        return (of_inputs if self.task is None else self.task.forward)(network, batch)

    @property
    def valid_losses(self) -> list[float]:
        """Of the epochs with a validation score."""
        return [epoch.valid["loss"] for epoch in self.history.epochs if "loss" in epoch.valid]

    @property
    def batch(self) -> Batch:
        """As many training rows as one training batch has."""
        return next(self.drawn(self.train, self.recipe.batch_size))

    def first(self) -> nn.Module:
        """The network with its initial weights. Raises Skip if they are unknown."""
        if self.build is None:
            raise Skip("the network's initial weights are not known")
        return self.build().to(device_of(self.network))

    def drawn(self, part: Examples, size: int) -> Iterator[Batch]:
        """Batches of rows in an order drawn from the seed, without augmentation, on the network's device.

        Files are often sorted by their target: the first rows would have one class. Inputs of all batches have one
        shape, so they can be concatenated.
        """
        device = device_of(self.network)
        return (batch.to(device) for batch in part.plain().uncut().batches(size, seed=self.recipe.seed))

    def once(self, compute: "Callable[[TrainingEvidence], T]") -> T:
        """`compute(self)`, remembered: an experiment that several checks need runs once."""
        if compute not in self.known:
            self.known[compute] = compute(self)
        return cast(T, self.known[compute])


def _view(evidence: TrainingEvidence) -> Labels | Numbers | None:
    return None if evidence.task is None else viewed(evidence.task, evidence.train.plain())


def of_run(run: Run, tell: Callable[[str], object] = lambda _note: None) -> TrainingEvidence:
    """The evidence of a run: trained here, or an adopted network of which only the present state is known."""
    return TrainingEvidence(
        network=run.network,
        objective=build_objective(run),
        train=run.train,
        valid=run.valid,
        recipe=run.recipe,
        watched=run.watched,
        history=run.history,
        task=None if run.task.is_opaque else run.task,
        build=run.build if knows_first_weights(run) else None,
        run=run,
        tell=tell,
    )


def diagnose(
    evidence: TrainingEvidence,
    stages: Mapping[str, Mapping[str, str]],
    subject: str = "training",
    clock: Callable[[], float] = time.perf_counter,
) -> Report:
    """Runs the stages in order; after a serious finding later checks are skipped and listed as skipped, with the
    reason.
    """
    findings, checks, stopped = list[Finding](), list[Checked](), ""
    for stage, table in stages.items():
        for code, path in table.items():
            found, checked = made(code, resolve("check", path, table), evidence, clock, skipped=stopped)
            findings += [_without_what_holds(finding, evidence) for finding in found]
            checks.append(checked)
            if any(finding.severity == "error" for finding in found):
                stopped = f"skipped after {code} in stage {stage}"
    return report(subject, len(evidence.train), findings, checks, evidence.train.locate)


def _without_what_holds(finding: Finding, evidence: TrainingEvidence) -> Finding:
    """The finding without remedies that the recipe follows already; an engineer's own network may not follow it."""
    if evidence.run is None or not evidence.run.schema.inputs:
        return finding
    now = {setting.name: value for setting, value in evidence.recipe.values()}
    new = tuple(r for r in finding.remedies if not r.edit or any(now.get(k) != v for k, v in r.edit.items()))
    return replace(finding, remedies=new or finding.remedies)
