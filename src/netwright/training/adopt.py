"""An engineer's own network and loaders as a run; nothing else of theirs changes."""

import inspect
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from math import ceil
from typing import Any, cast

import torch
from torch import nn

from netwright.data.examples import adopted, empty, first_of
from netwright.machine.randomness import seeded
from netwright.models.modes import unwrapped
from netwright.records.errors import NetworkError
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.records.schema import Schema
from netwright.records.task import Task
from netwright.tasks.own_loss import Loss
from netwright.training.forms import require_network, understood
from netwright.training.watch import Watching
from netwright.training.weights import misfit, named, shapes_of

Build = Callable[[], nn.Module] | Callable[[Recipe], nn.Module]
"""Builds the untrained network: always the same, or from a recipe."""


def adopt(
    network: nn.Module,
    task: Task | Loss,
    train_loader: Iterable[Any],  # Any: batches as `as_batch` takes them
    valid_loader: Iterable[Any] | None = None,
    *,
    test_loader: Iterable[Any] | None = None,
    recipe: Recipe | None = None,
    build: Build | None = None,
    watch: Watching | None = None,
    bounds: tuple[float, float] | None = None,
) -> Run:
    """A run from an existing network and loaders; stages leave both unchanged.

    A loader is anything that yields batches and can be read again: (x, y), ([x1, x2], y), a dict, a Batch. The run has
    its batch size. Fastest is a tuple (x, y) of tensors or arrays with all rows instead of a loader: its batches are
    gathered on the tensors' device. The schema is empty: the meaning of the inputs is unknown.

    Instead of a task, you can give the training loss: `nn.CrossEntropyLoss()`, `F.mse_loss`, a function
    (outputs, targets) -> loss. `build` makes the network as it was before any training; diagnosis needs it if the
    network is already trained. It may take the recipe and follow its network settings (width, depth, activation,
    normalization, dropout, init), so that a treatment can try others; torch's generator is then seeded by the recipe.
    `recipe` says what is known of the training: lr, optimizer, epochs. `watch` is the recorder of the training, from
    `with nw.watch(network, optimizer) as watch:`; it replaces `build` and `recipe`, and knows the losses. `bounds` are
    the least and the greatest value that float inputs can have: attacks and defenses need them.

    Raises DataError for loaders without batches, NetworkError if the outputs do not fit the task or `build` returns a
    different network.
    """
    require_network(network)
    network = unwrapped(network)
    settings = recipe or (Recipe() if watch is None else Recipe().edit(watch.settings()))
    first = first_of(train_loader, "train loader")
    read, task = understood(network, task, first)
    train = adopted(train_loader, "train loader", read)
    if not train.is_indexed:
        settings = settings.edit({"batch_size": len(read(first))})
    design = None if build is None or not _takes_a_recipe(build) else cast(Callable[[Recipe], nn.Module], build)
    if design is not None:
        build = partial(designed, design, settings)
    first_build = cast(
        Callable[[], nn.Module], build or (watch and watch.build) or partial(deepcopy, deepcopy(network))
    )
    if build is not None and (problem := misfit(network, shapes_of(named(first_build())))):
        problem = problem.replace("the file", "the network from build")
        raise NetworkError(f"build returns a different network: {problem}", remedy="make build return this network.")
    run = Run(
        network=network,
        task=task,
        schema=Schema(()),
        recipe=settings,
        train=train,
        valid=empty() if valid_loader is None else adopted(valid_loader, "validation loader", read),
        test=empty() if test_loader is None else adopted(test_loader, "test loader", read),
        build=first_build,
        design=design,
        bounds=bounds,
    )
    if watch is None:
        return run
    history = watch.history(ceil(len(train) / settings.batch_size))
    recipe = settings if recipe is not None else settings.edit({"epochs": max(1, len(history.epochs))})
    return replace(
        run,
        recipe=recipe,
        watched=watch.watched(),
        history=history,
        loop=replace(watch.loop, knows_first=build is not None or watch.build is not None),
    )


def designed(design: Callable[[Recipe], nn.Module], recipe: Recipe) -> nn.Module:
    """The network of a recipe; its random numbers depend on the recipe's seed alone."""
    with seeded(recipe.seed):
        return design(recipe)


def knows_first_weights(run: Run) -> bool:
    """Whether `run.build` gives weights from before training; not if a trained network was adopted without it."""
    if run.loop is not None or run.history.epochs:
        return run.loop is None or run.loop.knows_first
    first, now = named(run.build()), named(run.network)
    return any(not torch.equal(first[name].to(tensor.device), tensor) for name, tensor in now.items())


def _takes_a_recipe(build: Build) -> bool:
    """Whether it has exactly one required parameter."""
    try:
        parameters = inspect.signature(build).parameters.values()
    except ValueError:  # built into Python
        return False
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return sum(p.default is inspect.Parameter.empty and p.kind not in kinds for p in parameters) == 1
