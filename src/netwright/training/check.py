"""Checks before training that a network fits its task; explains what goes wrong while it trains."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from netwright.machine.arithmetic import Arithmetic
from netwright.records.batch import Batch, Given
from netwright.records.errors import BudgetError, DataError, NetworkError, NetwrightError, RecipeError
from netwright.records.nested import Outputs, leaves
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.records.takes import takes
from netwright.records.task import Forward, Task, of_inputs
from netwright.training.evaluate import evaluating

if TYPE_CHECKING:
    from netwright.training.loop import Step

NO_MEMORY = "can't allocate memory"  # in the RuntimeError of torch's CPU allocator
ONE_ROW = "Expected more than 1 value per channel"  # in the ValueError of torch's batch norm
LOWER = 10  # after divergence, the suggested learning rate is this many times lower: with 3 it often diverges again


def check_network(network: nn.Module, task: Task, batch: Batch) -> None:
    """Raises NetworkError if the network does not take the batch, or the task does not take its output.

    Runs the batch once, in evaluation mode and without gradients.
    """
    with evaluating(network):
        outputs = outputs_of(network, batch, task.forward)
        losses = _losses(task, batch, outputs)
    if losses.shape != (len(batch),):
        raise NetworkError(
            f"expected one loss for each of {len(batch)} rows, got {_shape(losses)} from outputs {_shape(outputs)}",
            remedy=f"give the network the outputs of this task: {task.describe()}.",
        )


def check_precision(network: nn.Module, task: Task, batch: Batch, recipe: Recipe) -> None:
    """Raises RecipeError if torch cannot run a network that fits its task in the recipe's precision here.

    Without AVX-512, torch has no recurrent layers in bf16. Runs the batch once, unless in fp32.
    """
    if recipe.precision != "bf16":
        return
    try:
        with evaluating(network):
            task.forward(Arithmetic(network, recipe), batch)
    except RuntimeError as error:
        raise RecipeError(
            f"torch cannot compute this network in bf16 on this device: {_first_line(error)}",
            remedy="set precision=auto, which picks the fastest here.",
        ) from error


def not_finite(run: Run, step: "Step", batches: Iterable[Batch], *, number: int, where: str) -> NetwrightError:
    """The error for a step whose loss or gradient is not finite.

    `number` counts steps from 1, `where` is its text for a person. `batches` are the step's batches, built again: they
    show whether the rows' cells are the cause.
    """
    bad = ~step.losses.isfinite()
    rows = (step.rows[bad.cpu()] if bad.any() else step.rows).cpu()
    what = f"the loss is {step.losses[bad][0].item()}" if bad.any() else "the loss is finite but its gradient is not"
    told = f"{what} in {where}, for {len(rows):,} of {len(step.rows):,} rows, first {run.train.locate(int(rows[0]))}"
    # Fields encode missing numbers as NaN and their stems take them; a user's own network may not.
    if wrong := _wrong_cells(batches, rows, is_nan_missing=bool(run.schema.inputs)):
        return DataError(f"{told}: {wrong}", remedy="correct these cells or drop the rows.")
    if number == 1:
        return NetworkError(
            f"{told}: their cells are finite and nothing was learned yet",
            remedy="check the network's initial weights, and divisions, logarithms and roots in its forward.",
        )
    advice = " and clip gradients with clip=1" if run.recipe.clip == 0 else ""
    return RecipeError(
        f"{told}: their cells are finite, so training has diverged",
        remedy=f"lower the learning rate to lr={run.recipe.lr / LOWER:.3g}{advice}.",
    )


def outputs_of(network: nn.Module, batch: Batch, forward: Forward = of_inputs) -> Outputs:
    """The network's output for a batch. Raises NetworkError if it does not take the batch or returns no tensors."""
    try:
        outputs: Any = forward(network, batch)  # Any: a user's module may return anything
    except NetwrightError:
        raise
    except Exception as error:  # a user's module may raise anything
        raise NetworkError(
            f"the network does not take inputs of shape {_shape(batch.inputs)}: {_first_line(error)}",
            remedy="convert the inputs: x.float()."
            if "dtype" in str(error)
            else f"give it what its forward takes, ({takes(network)}), rows first.",
        ) from error
    if next(leaves(outputs), None) is None:
        came = "nothing" if outputs is None else f"a {type(outputs).__name__} without tensors"
        raise NetworkError(f"the network returned {came}", remedy="make its forward return a tensor.")
    return outputs


def _losses(task: Task, batch: Batch, outputs: Outputs) -> Tensor:
    """The task's losses, after its score has accepted the outputs."""
    try:
        task.score().add(outputs, batch)
        return task.losses(Given(outputs), batch)
    except NetwrightError:
        raise
    except Exception as error:  # outputs with a wrong shape may raise anything in a task
        raise NetworkError(
            f"the network returned {_shape(outputs)} for targets {_shape(batch.targets)}, which does not fit "
            f"{task.describe()}: {_first_line(error)}",
            remedy=_remedy(task, str(error)),
        ) from error


def _remedy(task: Task, problem: str) -> str:
    if "dtype" in problem:
        return "convert the targets: y.long() for classes, y.float() for numbers."
    if task.is_opaque:
        return "make the loss take both: a function (outputs, targets), of outputs.logits for example."
    return f"give the network the outputs of this task: {task.describe()}."


def _wrong_cells(batches: Iterable[Batch], rows: Tensor, *, is_nan_missing: bool) -> str:
    """What no network can take in the inputs or targets of these rows; empty if nothing."""
    for batch in batches:
        chosen = torch.isin(batch.rows, rows)
        for name, tensors in (("input", batch.inputs), ("target", batch.targets)):
            for index, tensor in enumerate(tensors, 1):
                cells = tensor[chosen]
                if cells.isinf().any():
                    return f"{name} {index} holds infinite numbers there"
                if cells.isnan().any() and not (is_nan_missing and name == "input"):
                    return f"{name} {index} holds NaN there"
    return ""


def _shape(tensors: Outputs) -> str:
    """`(64, 10)`, or several of them."""
    return " and ".join(str(tuple(tensor.shape)) for tensor in leaves(tensors)) or "none"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def explained(recipe: Recipe, device: torch.device) -> Generator[None]:
    """Turns errors with a known cause into errors that say what to do."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{error.filename or 'a file of the data'} cannot be read while training: {error.strerror or error}",
            remedy="restore it and run the same command again: training resumes from its last checkpoint.",
        ) from error
    except (RuntimeError, ValueError) as error:
        if isinstance(error, torch.OutOfMemoryError) or NO_MEMORY in str(error):
            raise BudgetError(
                f"training with batches of {recipe.batch_size:,} rows needs more memory than {device} has",
                remedy=f"set batch_size={max(1, recipe.batch_size // 2)} accumulate={recipe.accumulate * 2}.",
            ) from error
        if ONE_ROW in str(error):
            raise RecipeError(
                "batch normalization cannot learn from a batch of one row", remedy="set batch_size=4 or more."
            ) from error
        raise
