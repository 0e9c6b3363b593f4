"""An engineer's network, loss and loader together: how a batch reaches the network, and the loss its targets."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar, cast

from torch import Tensor, nn

from netwright.data.examples import adopted, empty, first_of
from netwright.data.reading import Reading, as_batch, readings
from netwright.machine.randomness import forked
from netwright.records.batch import Batch, Examples
from netwright.records.errors import DataError, NetworkError, NetwrightError
from netwright.records.recipe import Recipe
from netwright.records.task import Objective, Task
from netwright.tasks.own_loss import ALIKE, Loss, OwnLoss, each_row, is_objective, task_of, task_or_loss
from netwright.training.check import check_network, outputs_of
from netwright.training.evaluate import device_of, evaluating
from netwright.training.spread import spread

T = TypeVar("T")
Read = Callable[[Any, int], Batch]  # Any: an item of an engineer's loader


def understood(network: nn.Module, given: Task | Loss | Objective, item: Any) -> tuple[Reading, Task]:
    """How a loader's items are read, and the task that a loss stands for.

    Raises NetworkError for things that are no network or no loss, and if no reading of the item fits them.
    """
    require_network(network)
    given = task_or_loss(given)
    return fitting(network, item, lambda batch: _task(network, given, batch))


def require_network(network: Any) -> None:
    """Raises NetworkError for anything but a torch module."""
    if not isinstance(network, nn.Module):
        problem = f"expected a network, a torch.nn.Module, got a {type(network).__name__}"
        raise NetworkError(problem, remedy="pass the module itself; put a function into a module's forward.")


def agreed(network: nn.Module, given: Task | Loss | Objective, items: list[Any]) -> tuple[Read, Objective]:
    """How a loop reads its items, and its objective: a loss for each row, from a task, a loss or an objective.

    `items` holds the first item, if there is one. Raises NetworkError as `understood`, and for a loss of a batch that
    is not the mean over its rows.
    """
    given = task_or_loss(given)
    if not items or is_objective(given):
        return readings(items[0], network)[0][0] if items else as_batch, cast(Objective, given)
    read, task = understood(network, given, items[0])
    if not callable(given) or not task.is_opaque:
        return read, task.objective(Recipe())
    batch = read(items[0]).to(device_of(network))
    with evaluating(network), forked():
        outputs = outputs_of(network, batch)
        if (shapes := spread(task.batch_loss, outputs, batch)) is not None:
            problem = f"the loss broadcasts outputs {shapes.outputs} and targets {shapes.targets} to {shapes.both}"
            raise NetworkError(problem, remedy=shapes.remedy)
        whole = task.batch_loss(outputs, batch)
        rows = each_row(given)(outputs, batch) if task == OwnLoss(given) else task.losses(network, batch)
    if float((whole - rows.mean()).abs()) > ALIKE * float(rows.abs().mean()):
        raise NetworkError(
            f"the loss of a batch is {float(whole):.4g}, the mean over its rows {float(rows.mean()):.4g}: "
            "a step takes the mean over rows",
            remedy="give a loss that is a mean over rows, or an objective (network, batch) with one loss for each row.",
        )
    return read, task.objective(Recipe())


def rows_of(network: nn.Module, task: Task, given: Any, name: str) -> Examples:
    """Examples as they are, none for None, and those of an engineer's loader."""
    if given is None:
        return empty()
    if not isinstance(given, Iterable):  # Examples give their batches by a method
        return given
    return adopted(given, name, understood(network, task, first_of(given, name))[0])


def fitting(network: nn.Module, item: Any, check: Callable[[Batch], T]) -> tuple[Reading, T]:
    """The reading of an item that passes the check, and what the check returns.

    Raises the error of the first if none does, and DataError if two that mean different things do, or if the one
    leaves out both outputs and targets.
    """
    found, errors = list[tuple[Reading, T]](), list[NetwrightError]()
    for alternative in readings(item, network):
        for reading in alternative:
            if fit := next(_fits(network, item, reading, check, errors), None):
                found.append(fit)
                break
    if not found:
        raise errors[0]
    if len(found) > 1:
        told = " or ".join(_told(reading, item) for reading, _ in found[:2])
        raise DataError(
            f"a batch can be read in two ways: {told}",
            remedy="give pairs (inputs, targets); several inputs as a tuple, ((x1, x2), y).",
        )
    reading, result = found[0]
    if reading.answer is not None and isinstance(item, list | tuple) and reading.leaves_out(item):
        raise DataError(
            "the network returns several outputs and a batch holds several targets, but the loss takes one of each",
            remedy="give a function (outputs, targets) that returns the loss of all of them.",
        )
    return reading, result


def _fits(
    network: nn.Module, item: Any, reading: Reading, check: Callable[[Batch], T], errors: list[NetwrightError]
) -> Iterator[tuple[Reading, T]]:
    """The reading as it is; then with one of several outputs as the answer."""
    answers, tried = [reading.answer], 0
    while tried < len(answers):
        one = replace(reading, answer=answers[tried])
        try:
            batch = one(item).to(device_of(network))
            with forked():
                found = check(batch)
        except NetwrightError as error:
            errors.append(error)
        else:
            yield one, found
        if not tried and isinstance(item, Batch):
            return
        if not tried:
            answers += [answer for answer in _answers(network, one, item) if answer is not None]
        tried += 1


def _answers(network: nn.Module, reading: Reading, item: Any) -> Iterator[int | str | None]:
    """Which of several outputs is most likely the answer."""
    try:
        with evaluating(network), forked():
            outputs = outputs_of(network, reading(item).to(device_of(network)))
    except NetwrightError:
        return
    if isinstance(outputs, dict):
        yield "logits" if "logits" in outputs else next(iter(outputs)) if len(outputs) == 1 else None
    elif not isinstance(outputs, Tensor) and outputs:
        yield 0


def _task(network: nn.Module, given: Task | Loss | Objective, batch: Batch) -> Task:
    """The task of a loss. Raises NetworkError unless it fits the network's outputs.

    A function that does not take (outputs, targets) may be an objective whose parameters have names of their own.
    """
    if not callable(given):
        check_network(network, given, batch)
        return given
    with evaluating(network):
        outputs = outputs_of(network, batch)
    task = task_of(given, outputs, batch)
    try:
        check_network(network, task, batch)
    except NetworkError:
        task = OwnLoss(given, is_objective=True)
        with suppress(NetworkError):
            check_network(network, task, batch)
            return task
        raise
    return task


def _told(reading: Reading, item: Any) -> str:
    if isinstance(reading.targets, tuple) and reading.targets and isinstance(reading.targets[0], str):
        return f"{reading.targets[0]!r} as the target"
    return f"{reading.leading} of {len(item)} entries as inputs"
