"""A training and all that it rests on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from netwright.records.batch import Examples
from netwright.records.finding import Report
from netwright.records.history import History
from netwright.records.note import Note
from netwright.records.recipe import Recipe
from netwright.records.schema import Schema
from netwright.records.source import UNSAID, Source
from netwright.records.task import Scores, Task
from netwright.records.watched import Watched


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
    build: Callable[[], nn.Module]  # an untrained network of the same seed
    history: History = field(default_factory=History)
    scores: Scores | None = None  # the test part, scored once
    baselines: tuple[tuple[str, Scores], ...] = ()  # simple models on the same test part
    folder: Path | None = None
    source: Source = UNSAID  # without the data: new rows are read alike, and the same rows can be read again
    sample: tuple[Tensor, ...] = ()  # inputs of a few training rows: to see sizes and strengths without the data
    notes: tuple[str, ...] = ()  # what was skipped, guessed or chosen, as told to the user
    watched: Watched = field(default_factory=Watched)  # layers, gradients and losses while it trained
    audit: Report | None = None  # what quick checks found in the data; None where they were left out
    diagnosis: Report | None = None  # what was found in the training; None where nobody looked
    treatment: Note | None = None  # how it came out of another run; None where it did not
    design: Callable[[Recipe], nn.Module] | None = None  # makes an engineer's own network for other settings
