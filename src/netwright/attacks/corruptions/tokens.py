"""Everyday corruptions of texts and sequences: rows of indexes (B, T), padding after the end.

Texts are read by people who guess what is meant: levels are one word in twenty, in ten and in five. Labels survive a
tenth to a fifth: Xie et al. 2017, arXiv:1703.02573. Single symbols decide more: one in a hundred, in fifty, in ten.
"""

import torch
from torch import Generator, Tensor

from netwright.attacks.corruptions import Corruption, some
from netwright.data.augment import beside
from netwright.kinds.padded import FIRST, PADDING, UNKNOWN
from netwright.records.schema import Block


def _mistyped_words(x: Tensor, block: Block, level: float, generator: Generator) -> Tensor:
    """A share of words with a wrong letter: nearly always words that are not known."""
    return x.masked_fill(some(x, level, generator) & (x != PADDING), UNKNOWN)


def _dropped_words(x: Tensor, block: Block, level: float, generator: Generator) -> Tensor:
    """A share of words left out; those after them move up. A row keeps at least its first word."""
    there = x != PADDING
    kept = there & ~some(x, level, generator)
    kept[:, 0] |= there[:, 0] & ~kept.any(1)
    order = torch.argsort((~kept).int(), dim=1, stable=True)
    return torch.where(kept.gather(1, order), x.gather(1, order), PADDING)


def _wrong_symbols(x: Tensor, block: Block, level: float, generator: Generator) -> Tensor:
    """A share of symbols that become others of the alphabet."""
    count = len(block.fields[0].known_tokens())
    if count < 2:
        return x
    by = torch.randint(1, count, x.shape, generator=beside(x, generator), device=x.device)
    other = ((x.long() - FIRST + by) % count + FIRST).to(x.dtype)
    return torch.where(some(x, level, generator) & (x >= FIRST), other, x)


mistyped_words = Corruption(("text",), _mistyped_words, (0.05, 0.1, 0.2))
dropped_words = Corruption(("text",), _dropped_words, (0.05, 0.1, 0.2))
wrong_symbols = Corruption(("symbols",), _wrong_symbols, (0.01, 0.02, 0.1))
