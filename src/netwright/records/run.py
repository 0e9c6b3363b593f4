"""A trained network, with everything it was made from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from netwright.records.batch import Examples
from netwright.records.finding import Report
from netwright.records.hardened import Hardened
from netwright.records.history import History
from netwright.records.note import Note
from netwright.records.recipe import Recipe
from netwright.records.rolled import Rolled
from netwright.records.schema import Schema
from netwright.records.source import UNSAID, Source
from netwright.records.task import Scores, Task
from netwright.records.watched import Loop, Watched

OF_THE_DATA = ("audit", "baselines")  # results that stay true if the same rows are trained again


@dataclass(frozen=True)
class Run:
    """Fields only; stages are functions from runs to runs or to reports."""

    network: nn.Module
    task: Task
    schema: Schema
    recipe: Recipe
    train: Examples
    valid: Examples
    test: Examples
    build: Callable[[], nn.Module]  # an untrained network with the same seed
    history: History = field(default_factory=History)
    folder: Path | None = None
    source: Source = UNSAID  # without the data: new rows are read the same way, and the same rows can be read again
    bounds: tuple[float, float] | None = None  # least and greatest value of an engineer's own inputs, if known
    sample: tuple[Tensor, ...] = ()  # inputs of a few training rows: shows shapes and scales without the data
    notes: tuple[str, ...] = ()  # what was skipped, guessed or chosen, as reported to the user
    watched: Watched = field(default_factory=Watched)  # layers, gradients and losses while it trained
    loop: Loop | None = None  # an engineer's own loop, if it was watched
    design: Callable[[Recipe], nn.Module] | None = None  # makes an engineer's own network for other settings
    bounds: tuple[float, float] | None = None  # least and greatest value of an engineer's float inputs, if known
    teacher: "Run | None" = None  # the run whose answers distillation learns
    results: Mapping[str, Any] = field(default_factory=dict[str, Any])  # by stage; Any: each has its own record

    @property
    def scores(self) -> Scores | None:
        """The test part, scored once."""
        return self.results.get("scores")

    @property
    def baselines(self) -> tuple[tuple[str, Scores], ...]:
        """Simple models on the same test part."""
        return self.results.get("baselines", ())

    @property
    def origins(self) -> Rolled | None:
        """The same training at earlier times, each scored on what came next; None if it was not asked for."""
        return self.results.get("origins")

    @property
    def audit(self) -> Report | None:
        """What quick checks found in the data; None if they were skipped."""
        return self.results.get("audit")

    @property
    def diagnosis(self) -> Report | None:
        """What was found in training; None if it was not diagnosed."""
        return self.results.get("diagnosis")

    @property
    def treatment(self) -> Note | None:
        """How this run was made from another; None if it was not."""
        return self.results.get("treatment")

    @property
    def hardening(self) -> Hardened | None:
        """What it was compared with when it was chosen; None if it was not hardened, or another was better."""
        return self.results.get("hardening")


def with_result(run: Run, stage: str, result: Any) -> Run:  # Any: each stage has its own record
    """The run with a stage's result, which replaces an older one."""
    return replace(run, results={**run.results, stage: result})


def fresh(run: Run) -> Run:
    """The run without results of training; results of the data stay."""
    results = {stage: result for stage, result in run.results.items() if stage in OF_THE_DATA}
    return replace(run, history=History(), watched=Watched(), loop=None, folder=None, results=results)
