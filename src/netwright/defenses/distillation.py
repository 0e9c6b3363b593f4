"""Training on a teacher's softened answers."""

from torch import Tensor, nn

from netwright.defenses.divergence import divergence, require_link
from netwright.models.modes import evaluating
from netwright.records.batch import Batch
from netwright.records.errors import RecipeError
from netwright.records.task import Objective, Task
from netwright.records.threat import Hardening


def distillation(objective: Objective, task: Task, hardening: Hardening) -> Objective:
    """How far the answers are from the teacher's, both at the temperature; the labels are not used.

    Papernot et al. 2015, arXiv:1511.04508; the factor of the squared temperature keeps the size of gradients: Hinton et
    al. 2015, arXiv:1503.02531, section 2. It smooths gradients more than it protects: Carlini and Wagner 2016,
    arXiv:1608.04644. Raises RecipeError without a teacher, or if the task's answers cannot be compared.
    """
    require_link(task, "distillation")
    temperature = hardening.temperature
    if (teacher := hardening.teacher) is None:
        raise RecipeError(
            "distillation needs a trained teacher, and this run has none",
            remedy="use `netwright harden RUN --method distillation`, which makes RUN the teacher.",
        )

    def losses(network: nn.Module, batch: Batch) -> Tensor:
        with evaluating(teacher):
            wanted = task.forward(teacher, batch)
        return temperature**2 * divergence(task, task.forward(network, batch), wanted, temperature)

    return losses
