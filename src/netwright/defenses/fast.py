"""Training on inputs after a single step of attack, watched for its known failure."""

import torch
from torch import Tensor, nn

from netwright.defenses.adversarial import STEPS
from netwright.defenses.hardening import moving
from netwright.defenses.worst import worst
from netwright.models.modes import evaluating
from netwright.records.batch import Batch
from netwright.records.task import Objective, Task
from netwright.records.threat import Hardening, Threat

STRIDE = 1.25  # sizes of the step, from a random start: Wong et al.'s
CHECKED = 8  # one row in so many is attacked by more steps too: with all rows nothing would be saved
LEAST_ROWS = 16  # of those; the mean loss of fewer is mostly chance
CHECK_STEPS = 4
COLLAPSED = 2.0  # times the loss after one step: 1.0 to 1.3 in a sound training, 10 and more once it has failed


def fast(objective: Objective, task: Task, hardening: Hardening) -> Objective:
    """The loss of rows after one step from a random start. Wong, Rice and Kolter 2020, arXiv:2001.03994.

    Such training can fail within an epoch: the network learns to answer that one step, and any other attack wins
    ("catastrophic overfitting"). So in each batch some rows are attacked by a few steps too; if these raise the loss to
    more than COLLAPSED times that of the one step, the batch is trained as `adversarial` does. This depends on weights
    and batch alone, so that training resumes bit for bit. Raises DataError if no input can move.
    """
    threat = moving(hardening)

    def losses(network: nn.Module, batch: Batch) -> Tensor:
        moved = worst(network, batch, objective, threat, steps=1, stride=STRIDE)
        if has_collapsed(network, batch, moved, objective, threat):
            moved = worst(network, batch, objective, threat, steps=STEPS)
        return objective(network, moved)

    return losses


def has_collapsed(network: nn.Module, batch: Batch, moved: Batch, objective: Objective, threat: Threat) -> bool:
    """Whether a few steps do far more harm to the batch than the one step that moved it."""
    rows = max(LEAST_ROWS, len(batch) // CHECKED)
    further = worst(network, batch.head(rows), objective, threat, steps=CHECK_STEPS)
    with evaluating(network), torch.no_grad():
        after, before = (objective(network, some).sum() for some in (further, moved.head(rows)))
    return bool(after > COLLAPSED * before)
