"""A run is loaded: its files are checked, then its network is built, then filled."""

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from netwright.blueprint import code_of_edits, code_of_source, load_recipe, load_schema, load_task
from netwright.files import AGAIN, read_shapes, read_tensors
from netwright.machine.bounded import BeyondBound, bounded
from netwright.models.guards import network_of
from netwright.records.errors import NetwrightError, RunError
from netwright.records.history import History
from netwright.records.recipe import DISTILLATION
from netwright.records.run import Run
from netwright.records.task import Task
from netwright.resolve import refuse_code
from netwright.run_folder.records import (
    ORIGIN,
    RESULTS,
    SAMPLE,
    WEIGHTS,
    is_whole,
    load_outcome,
    load_watched,
    origin,
    result_name,
)
from netwright.run_folder.seal import require_intact
from netwright.run_folder.writing import text_of
from netwright.tasks.own_loss import Loss, task_of_loss
from netwright.training.checkpoint import RESUME, read_history
from netwright.training.forms import rows_of
from netwright.training.weights import misfit, put

BUILDING, BESIDE = 8, 1 << 26  # memory for building a network, in sizes of its weights, and bytes: for initial values
SAMPLE_BYTES = 1 << 30  # of a sample: one row of any data; usually a megabyte


def load(
    folder: Path | str,
    *,
    network: nn.Module | None = None,
    task: Task | Loss | None = None,
    train: Any = None,  # Any: Examples, or an engineer's loader
    valid: Any = None,
    test: Any = None,
    allow_code: bool = False,
) -> Run:
    """Loads a complete run. The parts of the data are empty unless given: loaders as for `adopt`, or Examples.

    `task` is needed if the run was trained with the user's own loss. `network` is an untrained module, needed if the
    run was trained with the user's own (a copy gets the weights); others are rebuilt from schema, task and recipe.
    These name entries of netwright's tables; with `allow_code` they may name other code, which then runs. Raises
    RunError if the folder is missing, incomplete, damaged, of a newer version, or names other code.
    """
    folder = Path(folder)
    source, bounds = origin(folder).reading, origin(folder).bounds
    if not is_whole(folder):
        raise _unfinished(folder)
    outcome, results = load_outcome(folder)
    if not allow_code:
        refuse_code(folder / ORIGIN, code_of_source(source))
        for stage, result in results.items():
            refuse_code(folder / result_name(stage), code_of_edits(json.loads(text_of(result))))
    recipe = load_recipe(folder, allow_code=allow_code)
    schema = load_schema(folder, allow_code=allow_code)
    task = task_of_loss(load_task(folder, allow_code=allow_code) if task is None else task)
    history, watched = History(read_history(folder), outcome.ended), load_watched(folder)
    if network is None and not schema.inputs:
        raise RunError(f"the network of {folder} is the user's own", remedy="give it: load(folder, network=...).")
    sample = _load_sample(folder)
    require_intact(folder, optional=[result_name(stage) for stage in RESULTS])
    build = partial(network_of, task, schema, recipe) if network is None else partial(deepcopy, deepcopy(network))
    shapes, _ = read_shapes(folder / WEIGHTS)
    built = build() if network is not None else _built(folder, build, allow_code=allow_code)
    if problem := misfit(built, shapes):
        raise RunError(f"{folder / WEIGHTS} does not fit the network of its recipe: {problem}", remedy=AGAIN)
    tensors, _ = read_tensors(folder / WEIGHTS)
    put(built, tensors)
    run = Run(
        network=built.eval(),
        task=task,
        schema=schema,
        recipe=recipe,
        train=rows_of(built, task, train, "train loader"),
        valid=rows_of(built, task, valid, "validation loader"),
        test=rows_of(built, task, test, "test loader"),
        build=build,
        history=history,
        watched=watched,
        folder=folder,
        notes=outcome.notes,
        source=source,
        sample=sample,
        bounds=bounds,
        results=results,
    )
    return run if train is None else with_teacher(run, allow_code=allow_code)


def with_teacher(run: Run, *, allow_code: bool = False) -> Run:
    """The run with its teacher, read from its folder, if training it needs one. Raises RunError if that is gone."""
    if run.folder is None or run.teacher is not None or DISTILLATION not in run.recipe.defense:
        return run
    place = origin(run.folder).teacher
    if not place or not is_whole(Path(place)):
        where = f"is not at {place!r}" if place else "was never written"
        raise RunError(
            f"the teacher that {run.folder} learned from {where}", remedy="put it back there, or harden again."
        )
    network = None if run.schema.inputs else run.build()
    return replace(run, teacher=load(Path(place), network=network, task=run.task, allow_code=allow_code))


def _built(folder: Path, build: Callable[[], nn.Module], *, allow_code: bool) -> nn.Module:
    """The network, untrained. Raises RunError if it cannot be built or would be much larger than the weights."""
    weights = folder / WEIGHTS
    try:
        with bounded(BUILDING * weights.stat().st_size + BESIDE):
            return build()
    except BeyondBound:
        problem = f"it would take more than {BUILDING} times their memory"
    except NetwrightError as error:
        problem = error.problem
    except Exception as error:  # of sizes that a foreign file names, torch's layers may raise anything
        if allow_code:  # the network may be the user's own, with a fault to find
            raise
        problem = str(error).partition("\n")[0]
    raise RunError(f"{weights} does not fit the network of its recipe: {problem}", remedy=AGAIN)


def _unfinished(folder: Path) -> RunError:
    if (folder / RESUME).exists():
        remedy = "run the command that started it: training resumes from its last checkpoint."
        return RunError(f"training in {folder} was interrupted", remedy=remedy)
    return RunError(f"{folder} has no {WEIGHTS}: training never finished", remedy="train it again.")


def _load_sample(folder: Path) -> tuple[Tensor, ...]:
    path = folder / SAMPLE
    shapes, _ = read_shapes(path)
    names = [str(number) for number in range(len(shapes))]
    if shapes.keys() != set(names) or path.stat().st_size > SAMPLE_BYTES:
        raise RunError(f"{path} is not a sample of training rows", remedy=AGAIN)
    tensors, _ = read_tensors(path)
    return tuple(tensors[name] for name in names)
