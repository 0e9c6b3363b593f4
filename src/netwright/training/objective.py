"""What the loop minimizes: the task's loss, in the recipe's precision, with its penalty."""

from contextlib import nullcontext
from typing import final

import torch
from torch import Tensor, nn

from netwright.records.batch import Batch
from netwright.records.recipe import Recipe
from netwright.records.task import Objective, Task
from netwright.training.kernels import gru_in_fp32
from netwright.training.optimizer import decayed


def build_objective(task: Task, recipe: Recipe) -> Objective:
    """The task's loss with the recipe's precision and L1 penalty: (network, batch) -> (B,).

    `precision` "auto" means fp32 here: measuring what the device gains is for `planning.device`.
    """
    objective = task.objective(recipe)
    if recipe.precision == "bf16":
        objective = in_bf16(objective)
    return with_l1(objective, recipe.l1) if recipe.l1 > 0 else objective


def in_bf16(objective: Objective) -> Objective:
    """Matrix products in bfloat16, weights and losses in float32. It needs no loss scaling, unlike float16."""
    return lambda network, batch: objective(InBf16(network), batch)


def with_l1(objective: Objective, strength: float) -> Objective:
    """Adds `strength` times the sum of absolute weights to each example's loss; on the weights that decay falls on."""

    def losses(network: nn.Module, batch: Batch) -> Tensor:
        penalty = sum(weight.abs().sum() for weight in decayed(network).values())
        return objective(network, batch) + strength * penalty

    return losses


@final
class InBf16(nn.Module):
    """A network whose matrix products run in bfloat16 and whose outputs are float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.training = network.training

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The network's outputs."""
        device = next(self.network.parameters()).device.type
        has_gru = any(isinstance(module, nn.GRU) for module in self.network.modules())
        with torch.autocast(device, dtype=torch.bfloat16), gru_in_fp32() if has_gru else nullcontext():
            outputs = self.network(*inputs)
        return outputs.float() if isinstance(outputs, Tensor) else tuple(output.float() for output in outputs)
