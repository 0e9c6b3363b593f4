"""What every first module fulfils, and how a network hands each one its part of a batch."""

from collections.abc import Sequence
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from netwright.models.sequences import cut


class Stem(nn.Module):
    """A first module in two steps: `lookup` makes floats of indexes, and the rest works on floats.

    `stem(stem.lookup(x))` is `stem(x)`, so that attacks and explanations can start behind the lookup. The stem of a
    sequence takes (x, lengths) and gives both.
    """

    is_sequence: ClassVar[bool] = False

    def lookup(self, x: Tensor) -> Tensor:
        """Floats that can be changed a little: of an index its vector, of anything else the same values."""
        return x if x.is_floating_point() else x.to(torch.get_default_dtype())

    def lengths(self, x: Tensor) -> Tensor:
        """(B,) steps of the rows of a sequence, if nobody said them: up to the last that is no padding."""
        return torch.full((len(x),), x.shape[1], device=x.device)


def arguments(stems: Sequence[Stem], tensors: Sequence[Tensor]) -> list[tuple[Tensor, ...]]:
    """What each stem is called with, out of the inputs of a network and the lengths of sequences after them.

    If no lengths are given, they are read from the padding, and sequences are cut to the longest row, as batches are.
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
    """A network behind inputs of mean 0 and spread 1; what is missing or infinite is put to the mean.

    `moments` are mean and spread for each input, in a shape that fits its rows; None where it holds no numbers.
    """

    def __init__(self, network: nn.Module, moments: Sequence[tuple[Tensor, Tensor] | None]) -> None:
        super().__init__()
        self.network = network
        for number, (mean, spread) in enumerate(one or (None, None) for one in moments):
            self.register_buffer(f"mean{number}", mean)
            self.register_buffer(f"spread{number}", spread)

    def forward(self, *inputs: Tensor) -> Any:
        """What the network gives."""
        return self.network(*(self._scaled(x, number) for number, x in enumerate(inputs)))

    def _scaled(self, x: Tensor, number: int) -> Tensor:
        mean, spread = getattr(self, f"mean{number}"), getattr(self, f"spread{number}")
        return x if mean is None else ((x - mean) / spread).nan_to_num(0.0, 0.0, 0.0).to(x.dtype)
