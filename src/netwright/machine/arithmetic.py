"""A network whose forward pass runs in a recipe's arithmetic."""

from contextlib import nullcontext
from typing import Any, final

import torch
from torch import Tensor, nn

from netwright.machine.kernels import GRU, OWN, Replacing
from netwright.records.nested import Outputs, as_outputs, each_tensor
from netwright.records.recipe import Recipe


@final
class Arithmetic(nn.Module):
    """A network whose forward pass runs in a recipe's arithmetic; its outputs are float32.

    In bf16 matrix products run in bfloat16, weights and losses in float32. It needs no loss scaling, unlike float16.
    Pictures enter channels last, the layout in which convolutions are fastest.
    """

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.network = network
        self.training = network.training
        self._device = next((p.device.type for p in network.parameters()), "cpu")
        self._is_bf16 = recipe.precision == "bf16"
        own = OWN if recipe.kernels == "own" else {}
        own = {**own, **GRU} if any(isinstance(module, nn.GRU) for module in network.modules()) else own
        self._replacing = Replacing(own) if own and self._device == "cpu" else nullcontext()
        self._compiled = [torch.compile(network)] if recipe.compile == "always" else []  # a list: not a submodule

    def forward(self, *inputs: Any, **named: Any) -> Outputs:  # Any: whatever an engineer's network takes
        """The network's outputs."""
        inputs = tuple(map(_channels_last, inputs))
        # Evaluation would need another compilation, for a fraction of the steps.
        network = self._compiled[0] if self._compiled and self.training else self.network
        if not self._is_bf16:
            return network(*inputs, **named)
        with torch.autocast(self._device, dtype=torch.bfloat16), self._replacing:
            outputs = network(*inputs, **named)
        return each_tensor(as_outputs(outputs), Tensor.float)


def _channels_last(x: Any) -> Any:
    return x.contiguous(memory_format=torch.channels_last) if isinstance(x, Tensor) and x.ndim == 4 else x
