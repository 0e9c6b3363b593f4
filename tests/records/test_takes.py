from math import inf

import torch.nn.functional as F
from torch import Tensor, nn

from netwright.records.takes import ANYTHING, takes


class Network(nn.Module):
    def forward(self, x: Tensor, mask: Tensor | None = None, *, scale: float, shift: float = 0.0, **_: int) -> Tensor:
        return x


def test_a_network_takes_what_its_forward_takes() -> None:
    known = takes(Network())
    assert (known.names, known.by_name, known.needed) == (("x", "mask"), ("scale", "shift"), ("x", "scale"))
    assert (known.least, known.most, known.is_open) == (1, 2, True)
    assert str(known) == "x, mask=..., scale, shift=..."


def test_losses_and_open_functions() -> None:
    assert takes(F.cross_entropy).least == takes(nn.CrossEntropyLoss()).least == 2
    assert takes(lambda *parts: parts[0]).most == inf
    assert str(takes(lambda first, *parts: first)) == "first, *"
    assert takes(min) == ANYTHING  # built into Python
