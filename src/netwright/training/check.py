"""Whether a network fits its task, told before training; and why a loss is no number, told when training stops."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from netwright.machine.arithmetic import Arithmetic
from netwright.records.batch import Batch, Given, Outputs
from netwright.records.errors import DataError, NetworkError, NetwrightError, RecipeError
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.records.task import Forward, Task, of_inputs
from netwright.training.evaluate import evaluating
from netwright.training.loop import Step

LOWER = 10  # after a divergence the learning rate to try is so many times lower: a factor of 3 often diverges again


def check_network(network: nn.Module, task: Task, batch: Batch) -> None:
    """Raises NetworkError where the network does not take the batch, or its output is not what the task takes.

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
    """Raises RecipeError where torch cannot compute a network, which fits its task, in the recipe's precision here.

    Without AVX-512 it has no recurrent layers in bf16. Runs the batch once, unless in fp32.
    """
    if recipe.precision != "bf16":
        return
    try:
        with evaluating(network):
            task.forward(Arithmetic(network, recipe), batch)
    except RuntimeError as error:
        raise RecipeError(
            f"torch cannot compute this network in bf16 on this device: {_first_line(error)}",
            remedy="set precision=auto, which takes what is fastest here.",
        ) from error


def not_finite(run: Run, step: Step, batches: Iterable[Batch], *, number: int, where: str) -> NetwrightError:
    """The error for a step whose loss or gradient is not finite.

    `number` counts steps from 1, `where` tells it to a person. `batches` are those of the step, built once more: they
    show whether the rows' cells are to blame.
    """
    bad = ~step.losses.isfinite()
    rows = (step.rows[bad.cpu()] if bad.any() else step.rows).cpu()
    what = f"the loss is {step.losses[bad][0].item()}" if bad.any() else "the loss is finite but its gradient is not"
    told = f"{what} in {where}, for {len(rows):,} of {len(step.rows):,} rows, first {run.train.locate(int(rows[0]))}"
    # Fields encode missing numbers as NaN and their stems take them; a network of the user's own may not.
    if wrong := _wrong_cells(batches, rows, is_nan_missing=bool(run.schema.inputs)):
        return DataError(f"{told}: {wrong}", remedy="correct these cells or leave the rows out.")
    if number == 1:
        return NetworkError(
            f"{told}: their cells are finite and nothing was learned yet",
            remedy="look at the network's first weights, and at divisions, logarithms and roots in its forward.",
        )
    advice = " and clip gradients with clip=1" if run.recipe.clip == 0 else ""
    return RecipeError(
        f"{told}: their cells are finite, so training has diverged",
        remedy=f"lower the learning rate to lr={run.recipe.lr / LOWER:.3g}{advice}.",
    )


def outputs_of(network: nn.Module, batch: Batch, forward: Forward = of_inputs) -> Outputs:
    """What the network gives for a batch. Raises NetworkError where it does not take it, or gives no tensors."""
    try:
        outputs: Any = forward(network, batch)  # Any: a user's module may give anything
    except NetwrightError:
        raise
    except Exception as error:  # a user's module may raise anything
        raise NetworkError(
            f"the network does not take inputs of shape {_shape(batch.inputs)}: {_first_line(error)}",
            remedy="let its forward take one tensor for each input, rows first.",
        ) from error
    parts = outputs.values() if isinstance(outputs, dict) else outputs if isinstance(outputs, tuple) else (outputs,)
    if wrong := next((part for part in parts if not isinstance(part, Tensor)), None):
        raise NetworkError(f"the network gave a {type(wrong).__name__}", remedy="let its forward return a tensor.")
    return outputs


def _losses(task: Task, batch: Batch, outputs: Outputs) -> Tensor:
    """The task's losses, after its score has taken the outputs."""
    try:
        task.score().add(outputs, batch)
        return task.losses(Given(outputs), batch)
    except NetwrightError:
        raise
    except Exception as error:  # outputs of a wrong shape may raise anything in a task
        raise NetworkError(
            f"the network gave {_shape(outputs)} for targets {_shape(batch.targets)}, which does not fit "
            f"{task.describe()}: {_first_line(error)}",
            remedy=f"give the network the outputs of this task: {task.describe()}.",
        ) from error


def _wrong_cells(batches: Iterable[Batch], rows: Tensor, *, is_nan_missing: bool) -> str:
    """What no network can take in the inputs or targets of these rows, or nothing."""
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
    if isinstance(tensors, Tensor):
        return str(tuple(tensors.shape))
    parts = tensors.values() if isinstance(tensors, dict) else tensors
    return " and ".join(map(_shape, parts)) or "none"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
