"""Training on the worst inputs in reach."""

from torch import Tensor, nn

from netwright.defenses.hardening import moving
from netwright.defenses.worst import worst
from netwright.records.batch import Batch
from netwright.records.task import Objective, Task
from netwright.records.threat import Hardening

STEPS = 7  # Madry et al.'s in training; an attack takes more, to judge it


def adversarial(objective: Objective, task: Task, hardening: Hardening) -> Objective:
    """The loss of rows that were moved where it is highest, by seven steps. Madry et al. 2017, arXiv:1706.06083.

    The adversary raises what training lowers, so that smoothing, weights and mixed rows are the same for both. A step
    takes about eight times as long. Raises DataError if no input can move.
    """
    threat = moving(hardening)

    def losses(network: nn.Module, batch: Batch) -> Tensor:
        return objective(network, worst(network, batch, objective, threat, steps=STEPS))

    return losses
