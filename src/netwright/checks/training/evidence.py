"""What checks of a training look at, and the order in which they are made."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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
from netwright.training.objective import build_objective, with_mixes

T = TypeVar("T")

Retrain = Callable[[float, Sequence[int]], Sequence[Run]]
"""(share of the training rows, seeds) -> the training made again with as many steps: a run for each seed."""

PROBING = 0.1  # of the training's time may go into experiments on copies
PROBING_SECONDS = 1.0  # that they may take where that is more: nobody waits for it


@final
@dataclass(frozen=True, eq=False)
class TrainingEvidence:
    """A training that has ended, stopped or is under way. Checks change nothing of it: experiments take copies."""

    network: nn.Module  # with the weights that were kept
    objective: Objective  # (network, batch) -> (B,), as it was trained with
    train: Examples  # as training took them, augmentation included
    valid: Examples  # may be empty
    recipe: Recipe  # of an engineer's loop: what is known of it
    watched: Watched
    history: History
    task: Task | None = None  # None where only an objective is known: scores are then losses
    build: Callable[[], nn.Module] | None = None  # an untrained network of the same seed; None where it is not known
    run: Run | None = None  # the whole run, where there is one
    seconds: float = 0.0  # that the training took: experiments may take PROBING of it together
    is_over: bool = True  # False while it is still training: only what is sure already is told
    tell: Callable[[str], object] = lambda _note: None
    retrain: Retrain | None = None  # None where no trainings beyond PROBING were asked for
    known: dict[Callable[..., Any], Any] = field(default_factory=dict[Callable[..., Any], Any], repr=False)

    @property
    def loss(self) -> Objective:
        """What losses are measured by: the task's own, for smoothing, weights and penalties hide what was learned."""
        return self.objective if self.task is None else with_mixes(self.task, self.task.losses)

    @property
    def view(self) -> Labels | Numbers | None:
        """What the targets are, seen in one of them."""
        return self.once(_view)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes of which a row has one, with a logit for each; empty for other tasks."""
        return self.view.names if isinstance(self.view, Labels) and self.task and self.task.link == "softmax" else ()

    def positions(self, batch: Batch) -> NDArray[np.int64]:
        """The class of each row, for tasks with `classes`."""
        view = None if self.task is None else self.task.view(batch.targets)
        return view.positions if isinstance(view, Labels) else np.empty(0, np.int64)

    def forward(self, network: nn.Module, batch: Batch) -> Outputs:
        """A network's outputs, as the task asks for them."""
        return (of_inputs if self.task is None else self.task.forward)(network, batch)

    @property
    def valid_losses(self) -> list[float]:
        """Of the epochs that were scored on the validation part."""
        return [epoch.valid["loss"] for epoch in self.history.epochs if "loss" in epoch.valid]

    @property
    def batch(self) -> Batch:
        """As many training rows as training took at once."""
        return next(self.drawn(self.train, self.recipe.batch_size))

    def first(self) -> nn.Module:
        """The network with its first weights. Raises Skip if they are not known."""
        if self.build is None:
            raise Skip("the network's first weights are not known")
        return self.build().to(device_of(self.network))

    def drawn(self, part: Examples, size: int) -> Iterator[Batch]:
        """Batches of rows in an order drawn by the seed, as they are without augmentation, on the network's device.

        Files are often sorted by their target: the first rows would be of one class. Inputs of all batches have one
        shape, so that they can be put together.
        """
        device = device_of(self.network)
        return (batch.to(device) for batch in part.plain().uncut().batches(size, seed=self.recipe.seed))

    def once(self, compute: "Callable[[TrainingEvidence], T]") -> T:
        """`compute(self)`, remembered: an experiment that several checks ask for is made once."""
        if compute not in self.known:
            self.known[compute] = compute(self)
        return cast(T, self.known[compute])


def _view(evidence: TrainingEvidence) -> Labels | Numbers | None:
    return None if evidence.task is None else viewed(evidence.task, evidence.train.plain())


def of_run(run: Run, tell: Callable[[str], object] = lambda _note: None) -> TrainingEvidence:
    """What a run shows: one that was trained here, or an adopted network of which only the present is known."""
    return TrainingEvidence(
        network=run.network,
        objective=build_objective(run.task, run.recipe),
        train=run.train,
        valid=run.valid,
        recipe=run.recipe,
        watched=run.watched,
        history=run.history,
        task=None if run.task.is_opaque else run.task,
        build=run.build if knows_first_weights(run) else None,
        run=run,
        seconds=sum(epoch.seconds for epoch in run.history.epochs),
        tell=tell,
    )


def diagnose(
    evidence: TrainingEvidence,
    stages: Mapping[str, Mapping[str, str]],
    subject: str = "training",
    clock: Callable[[], float] = time.perf_counter,
) -> Report:
    """In the order of the stages; after a grave finding later checks are named as not made, with the reason."""
    findings, checks, stopped = list[Finding](), list[Checked](), ""
    for stage, table in stages.items():
        for code, path in table.items():
            found, checked = made(code, resolve("check", path, table), evidence, clock, skipped=stopped)
            findings += found
            checks.append(checked)
            if any(finding.severity == "error" for finding in found):
                stopped = f"{code} comes first, in the stage {stage}"
    return report(subject, len(evidence.train), findings, checks, evidence.train.locate)
