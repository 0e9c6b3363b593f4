"""An engineer's own network and loaders as a run: nothing else of theirs changes."""

from collections.abc import Iterable
from copy import deepcopy
from functools import partial
from typing import Any

from torch import nn

from netwright.data.examples import InMemory, adopted, empty
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.records.schema import Schema
from netwright.records.task import Task
from netwright.training.check import check_network
from netwright.training.evaluate import device_of


def adopt(
    network: nn.Module,
    task: Task,
    train_loader: Iterable[Any],  # Any: batches as `as_batch` takes them
    valid_loader: Iterable[Any] | None = None,
    *,
    test_loader: Iterable[Any] | None = None,
    recipe: Recipe | None = None,
) -> Run:
    """A run around a network and loaders that are there already; what stages do to it leaves both as they are.

    Loaders are anything that gives batches and can be read again: (x, y), ([x1, x2], y), a dict, a Batch. Their batch
    size is the run's. In place of a loader, a tuple (x, y) of tensors or arrays with all rows is fastest: its batches
    are gathered where the tensors are. The schema is empty: what the inputs mean is the engineer's own business.
    Raises DataError for loaders without batches, NetworkError where the outputs do not fit the task.
    """
    train = adopted(train_loader, "train loader")
    settings = recipe or Recipe()
    first = next(train.batches(settings.batch_size, seed=None))
    check_network(network, task, first.to(device_of(network)))
    return Run(
        network=network,
        task=task,
        schema=Schema(()),
        recipe=settings if isinstance(train, InMemory) else settings.edit({"batch_size": len(first)}),
        train=train,
        valid=empty() if valid_loader is None else adopted(valid_loader, "validation loader"),
        test=empty() if test_loader is None else adopted(test_loader, "test loader"),
        build=partial(deepcopy, deepcopy(network)),
    )
