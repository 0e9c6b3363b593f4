"""Training on inputs with Gaussian noise."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from netwright.defenses.hardening import moving
from netwright.models.guards import noised
from netwright.records.batch import Batch
from netwright.records.task import Objective, Task
from netwright.records.threat import Hardening


def noise(objective: Objective, task: Task, hardening: Hardening) -> Objective:
    """The loss of rows with Gaussian noise, whose spread is the adversary's reach in each value.

    Values may leave their range: with `smoothing` the same noise is averaged over, and its certificate is for noise
    that is never cut off. Cohen, Rosenfeld and Kolter 2019, arXiv:1902.02918, section 3.3. Raises DataError if no input
    can move.
    """
    threat = moving(hardening)

    def losses(network: nn.Module, batch: Batch) -> Tensor:
        inputs = (*noised(batch.inputs, threat.ways, threat.size, torch.default_generator),)
        return objective(network, replace(batch, inputs=inputs))

    return losses
