"""What the loop minimizes: the task's loss in the recipe's precision, plus its penalty."""

from dataclasses import replace

from torch import Tensor, nn

from netwright.defenses import DEFENSES
from netwright.defenses.hardening import hardening_of
from netwright.machine.arithmetic import Arithmetic
from netwright.records.batch import Batch, Given
from netwright.records.errors import RecipeError, listed
from netwright.records.recipe import DISTILLATION, Recipe
from netwright.records.run import Run
from netwright.records.task import Objective, Task
from netwright.resolve import resolve
from netwright.training.optimizer import decayed


def build_objective(run: Run) -> Objective:
    """What a run's training minimizes: the task's loss, in the recipe's arithmetic, against its adversary and with its
    L1 penalty: (network, batch) -> (B,).

    "auto" settings mean fp32 and torch's kernels here: `planning` measures what the device gains. Raises DataError if
    the adversary cannot move any input, and RecipeError for defenses that do not suit the task or each other.
    """
    recipe = run.recipe
    objective = with_mixes(run.task, run.task.objective(recipe))
    if recipe.defense:
        objective = _defended(run, objective)
    return _penalized(in_arithmetic(objective, recipe), recipe)


def plain_objective(task: Task, recipe: Recipe) -> Objective:
    """The same for a loop of which only task and settings are known: without an adversary."""
    return _penalized(in_arithmetic(with_mixes(task, task.objective(recipe)), recipe), recipe)


def _defended(run: Run, objective: Objective) -> Objective:
    """The objective with the recipe's defenses, the first innermost. They get the network in its arithmetic."""
    hardening, names = hardening_of(run), run.recipe.defense
    if DISTILLATION in names[1:]:
        raise RecipeError(
            f"{DISTILLATION} replaces the loss that {listed(names[: names.index(DISTILLATION)])} made",
            remedy=f"put {DISTILLATION} first.",
        )
    for name in names:
        objective = resolve("defense", name, DEFENSES)(objective, run.task, hardening)
    return objective


def _penalized(objective: Objective, recipe: Recipe) -> Objective:
    return with_l1(objective, recipe.l1) if recipe.l1 > 0 else objective


def with_mixes(task: Task, objective: Objective) -> Objective:
    """For mixed rows, the loss is the mixture of the losses for both targets; the network runs once."""

    def losses(network: nn.Module, batch: Batch) -> Tensor:
        if (mix := batch.mix) is None:
            return objective(network, batch)
        given = Given(task.forward(network, batch))
        own, other = objective(given, batch), objective(given, replace(batch, targets=mix.targets))
        return mix.share * own + (1 - mix.share) * other

    return losses


def in_arithmetic(objective: Objective, recipe: Recipe) -> Objective:
    """The objective with the network's forward pass in the recipe's arithmetic."""
    last: list[Arithmetic] = []  # the wrapper of the last network seen: making a module takes as long as a small layer

    def losses(network: nn.Module, batch: Batch) -> Tensor:
        if not last or last[0].network is not network:
            last[:] = [Arithmetic(network, recipe)]
        last[0].training = network.training
        return objective(last[0], batch)

    return losses


def with_l1(objective: Objective, strength: float) -> Objective:
    """Adds `strength` times the sum of absolute weights to each example's loss; over the weights that decay."""

    def losses(network: nn.Module, batch: Batch) -> Tensor:
        penalty = sum(weight.abs().sum() for weight in decayed(network).values())
        return objective(network, batch) + strength * penalty

    return losses
