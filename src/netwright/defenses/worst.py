"""The worst inputs in reach, as training meets them."""

import torch
from torch import Tensor, nn

from netwright.attacks.pgd import STRIDE
from netwright.attacks.space import Space
from netwright.models.modes import differentiable
from netwright.records.batch import Batch
from netwright.records.task import Objective
from netwright.records.threat import Threat


def worst(
    network: nn.Module,
    batch: Batch,
    objective: Objective,
    threat: Threat,
    *,
    steps: int,
    stride: float = STRIDE,
    start: float = 1.0,
) -> Batch:
    """The batch after an ascent of the objective from a random point, scaled by `start`; all steps go `stride` sizes.

    The last point, not the first that is answered wrong: such points teach a network less. The network is in evaluation
    mode meanwhile, so that its statistics of batches stay; random numbers are from torch's own generator, which `fit`
    seeds for each step.
    """
    space = Space(batch, threat)
    z, length = start * space.random(torch.default_generator), threat.size * stride / steps
    with differentiable(network):
        for _ in range(steps):
            z = space.project(z + length * space.steepest(_gradient(network, space, z, objective)))
        return space.put(z)


def _gradient(network: nn.Module, space: Space, z: Tensor, objective: Objective) -> Tensor:
    """(B, N): zeros if a module hides the gradient."""
    z = z.detach().requires_grad_()
    loss = objective(network, space.put(z)).sum()
    found = torch.autograd.grad(loss, z, allow_unused=True)[0] if loss.requires_grad else None
    return torch.zeros_like(z) if found is None else found.nan_to_num(0.0, 0.0, 0.0)
