"""Quickly trained networks for measuring: a few hundred steps each, many at once if they can be stacked."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from math import ceil

from torch import nn

from netwright.data.examples import augmented
from netwright.data.prepare import Prepared
from netwright.machine.device import device
from netwright.models.guards import builder
from netwright.planning.choose import choose
from netwright.records.batch import Examples
from netwright.records.errors import NetwrightError
from netwright.records.history import Progress
from netwright.records.recipe import Recipe
from netwright.records.run import Run, fresh
from netwright.training.evaluate import device_of
from netwright.training.population import population

STEPS = 600  # steps of each training: in the settings' own epochs, or in as many as make these


def quick_runs(
    prepared: Prepared, settings: Mapping[str, object], seeds: Sequence[int], tell: Callable[[Progress], object]
) -> list[Run]:
    """A trained run per seed, with the chosen settings but fewer steps and one member; given settings win.

    `tell` hears the progress of runs trained one by one. Raises the error of the first that failed.
    """
    rows = len(prepared.train)
    recipe, _ = choose(prepared.schema, prepared.task, rows, settings)
    epochs = min(recipe.epochs, ceil(STEPS / ceil(rows / recipe.batch_size)))
    recipe = recipe.edit({"epochs": epochs, "members": 1}).edit(settings)
    return trained([untrained(prepared, recipe.edit({"seed": seed})) for seed in seeds], tell)


def untrained(prepared: Prepared, recipe: Recipe) -> Run:
    """The recipe's network for prepared data, on its device, with initial weights."""
    build = builder(prepared.task, prepared.schema, recipe, prepared.train)
    return Run(
        network=build().to(device(recipe.device)),
        task=prepared.task,
        schema=prepared.schema,
        recipe=recipe,
        train=augmented(prepared.train, prepared.schema, recipe.augment, prepared.task),
        valid=prepared.valid,
        test=prepared.test,
        build=build,
    )


def anew(run: Run, recipe: Recipe, train: Examples, build: Callable[[], nn.Module] | None = None) -> Run:
    """A run before training, with other settings and training rows; `build` makes an engineer's own network."""
    build = build or builder(run.task, run.schema, recipe, train)
    network = build().to(device_of(run.network))
    return replace(fresh(run), network=network, recipe=recipe, train=train, build=build)


def trained(runs: Sequence[Run], tell: Callable[[Progress], object]) -> list[Run]:
    """The trained runs; raises the error of the first that failed."""
    done = list[Run]()
    for outcome in attempted(runs, tell):
        if isinstance(outcome, NetwrightError):
            raise outcome
        done.append(outcome)
    return done


def attempted(runs: Sequence[Run], tell: Callable[[Progress], object]) -> tuple[Run | NetwrightError, ...]:
    """The trained runs, or the errors of those that failed."""
    with closing(population(runs)) as events:
        while True:
            try:
                _, event = next(events)
            except StopIteration as end:
                return end.value
            if isinstance(event, Progress):
                tell(event)
