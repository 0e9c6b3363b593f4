"""Which items of a history a network is shown, and which it is asked for."""

from math import log

import torch
from torch import Tensor

from netwright.kinds.padded import FIRST
from netwright.models.sequences import row_lengths

HIDDEN = 0.5  # share of a user's items that a step asks for, given the others: Liang et al. 2018, arXiv:1802.05814
SAMPLES = 4_096  # items that a step scores if it cannot score all


def marked(tokens: Tensor, items: int) -> Tensor:
    """(B, T) -> (B, items) bool: whether each item is among a row's tokens."""
    marks = torch.zeros(len(tokens), items + FIRST, dtype=torch.bool, device=tokens.device)
    return marks.scatter_(1, tokens.long(), True)[:, FIRST:]


def without(tokens: Tensor, others: Tensor, items: int) -> Tensor:
    """(B, T) tokens without those of the same row in `others` (B, S), closed up on the left."""
    marks = torch.zeros(len(tokens), items + FIRST, dtype=torch.bool, device=tokens.device)
    gone = marks.scatter_(1, others.long(), True).gather(1, tokens.long()) & (tokens > 0)
    return closed(tokens.masked_fill(gone, 0)) if bool(gone.any()) else tokens


def closed(tokens: Tensor) -> Tensor:
    """The same tokens of each row, in order, with the padding on the right."""
    return tokens.gather(1, (tokens == 0).to(torch.int8).argsort(dim=1, stable=True))


def picked(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """What is shown and what is asked for, (B, T) each: a random half of each row, 0 elsewhere."""
    asked = torch.rand(tokens.shape, device=tokens.device) < HIDDEN
    return closed(tokens.masked_fill(asked, 0)), tokens.masked_fill(~asked, 0)


def windows(tokens: Tensor, longest: int) -> tuple[Tensor, Tensor]:
    """Up to `longest` items of each row from a random place on, and for each the next one: (B, at most longest).

    An item that the window had before is not asked for: it is 0.
    """
    lengths = row_lengths(tokens > 0)
    size = lengths.clamp(max=longest + 1)
    start = (torch.rand(len(tokens), device=tokens.device) * (lengths - size + 1)).long()
    steps = torch.arange(int(size.max()), device=tokens.device)
    window = tokens.gather(1, (start[:, None] + steps).clamp(max=tokens.shape[1] - 1)) * (steps < size[:, None])
    asked = window[:, 1:]
    shown = torch.where(asked > 0, window[:, :-1], 0)
    again = ((shown[:, None, :] == asked[:, :, None]).tril()).any(2)
    if not asked.shape[1]:  # nobody has two items
        return window, torch.zeros_like(window)
    return shown, asked.masked_fill(again, 0)


def sampled(wanted: Tensor, items: int) -> tuple[Tensor, Tensor]:
    """Distinct items, ascending: those wanted and about SAMPLES others; and the logarithm of each one's chance of it.

    Logits minus these are those of a softmax over all items, on average. Items are numbered by descending popularity
    and drawn as a Zipf law has it; the wanted ones are like draws. Bengio and Senécal 2008; Yang et al. 2020, "Mixed
    negative sampling".
    """
    whole = log(items + 1)
    drawn = (torch.rand(SAMPLES, device=wanted.device, dtype=torch.float64) * whole).exp() - 1
    among = torch.cat([wanted.flatten(), drawn.long().clamp(0, items - 1)]).unique()
    chance = ((among + 2.0) / (among + 1.0)).double().log() / whole
    total = wanted.numel() + SAMPLES
    return among, (-torch.expm1(total * torch.log1p(-chance))).log().float()
