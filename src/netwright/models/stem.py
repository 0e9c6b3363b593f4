"""The contract of first modules, and how a network passes each one its part of a batch."""

from collections.abc import Sequence
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from netwright.models.sequences import cut


class Stem(nn.Module):
    """A first module in two steps: `lookup` turns indexes into floats, and the rest works on floats.

    `stem(stem.lookup(x))` is `stem(x)`, so attacks and explanations can start after the lookup. The stem of a sequence
    takes (x, lengths) and returns both.
    """

    is_sequence: ClassVar[bool] = False

    def lookup(self, x: Tensor) -> Tensor:
        """Floats that can change a little: vectors for indexes, the same values for anything else."""
        return x if x.is_floating_point() else x.to(torch.get_default_dtype())

    def lengths(self, x: Tensor) -> Tensor:
        """(B,) steps of a sequence's rows if lengths are not given: up to the last that is not padding."""
        return torch.full((len(x),), x.shape[1], device=x.device)


def arguments(stems: Sequence[Stem], tensors: Sequence[Tensor]) -> list[tuple[Tensor, ...]]:
    """The arguments of each stem, from a network's inputs and the lengths of sequences after them.

    If no lengths are given, they are inferred from the padding, and sequences are cut to the longest row, like batches.
    """
    found, said = list[tuple[Tensor, ...]](), iter(tensors[len(stems) :])
    is_said = len(tensors) > len(stems)
    for stem, x in zip(stems, tensors, strict=False):
        if not stem.is_sequence:
            found.append((x,))
        elif is_said:
            found.append((x, next(said)))
        else:
            found.append(cut(x, stem.lengths(x)))
    return found


@final
class Standardized(nn.Module):
    """A network after inputs are standardized to mean 0 and spread 1; missing and infinite values become the mean.

    `moments` are mean and spread for each input, in a shape that fits its rows; None if it is not numeric.
    """

    def __init__(self, network: nn.Module, moments: Sequence[tuple[Tensor, Tensor] | None]) -> None:
        super().__init__()
        self.network = network
        for number, (mean, spread) in enumerate(one or (None, None) for one in moments):
            self.register_buffer(f"mean{number}", mean)
            self.register_buffer(f"spread{number}", spread)

    def forward(self, *inputs: Tensor) -> Any:
        """The network's output."""
        return self.network(*(self._scaled(x, number) for number, x in enumerate(inputs)))

    def _scaled(self, x: Tensor, number: int) -> Tensor:
        mean, spread = getattr(self, f"mean{number}"), getattr(self, f"spread{number}")
        return x if mean is None else ((x - mean) / spread).nan_to_num(0.0, 0.0, 0.0).to(x.dtype)
