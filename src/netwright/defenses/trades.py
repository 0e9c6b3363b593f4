"""Training for right answers, and for answers that stay the same in reach."""

from torch import Tensor, nn

from netwright.defenses.divergence import divergence, require_link
from netwright.defenses.hardening import moving
from netwright.defenses.worst import worst
from netwright.models.modes import evaluating
from netwright.records.batch import Batch, Outputs
from netwright.records.task import Objective, Task
from netwright.records.threat import Hardening

BETA = 6.0  # weight of sameness against rightness: Zhang et al.'s for CIFAR-10
STEPS = 7  # they take 10; as many as `adversarial`, so that both cost the same
START = 1e-3  # of the size: exactly at the row the divergence is 0 and has no slope


def trades(objective: Objective, task: Task, hardening: Hardening) -> Objective:
    """The loss of the rows, and BETA times how far answers change where they change most.

    Zhang et al. 2019, arXiv:1901.08573, equation 5. Raises DataError if no input can move, and RecipeError if the
    task's answers cannot be compared.
    """
    require_link(task, "trades")
    threat = moving(hardening)

    def losses(network: nn.Module, batch: Batch) -> Tensor:
        with evaluating(network):
            still = task.forward(network, batch)
        moved = worst(network, batch, _away(task, still), threat, steps=STEPS, start=START)
        apart = divergence(task, task.forward(network, moved), task.forward(network, batch))
        return objective(network, batch) + BETA * apart

    return losses


def _away(task: Task, still: Outputs) -> Objective:
    """How far answers are from known ones."""

    def losses(network: nn.Module, batch: Batch) -> Tensor:
        return divergence(task, task.forward(network, batch), still)

    return losses
