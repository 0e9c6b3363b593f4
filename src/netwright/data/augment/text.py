"""Augmentation of texts: rows of word indexes (B, T), padding after the end."""

import torch
from torch import Generator, Tensor

from netwright.data.augment import Augmentation, beside
from netwright.kinds.padded import PADDING, UNKNOWN

DROPPED = 0.1  # share of words that become unknown; Xie et al. 2017 found 0.1 to 0.2 best
REPLACED = 0.05  # share of words that become others, which does more harm
SWAPPED = 0.1  # share of pairs that change places: Wei and Zou's alpha


def _word_dropout(x: Tensor, generator: Generator) -> Tensor:
    """Some words become unknown: the blank noising of Xie et al. 2017, arXiv:1703.02573."""
    return x.masked_fill(_some(x, DROPPED, generator) & (x != PADDING), UNKNOWN)


def _word_noise(x: Tensor, generator: Generator) -> Tensor:
    """Some words become other words of the batch, by frequency: the unigram noising of the same authors."""
    words = x[x != PADDING]
    if not len(words):
        return x
    drawn = torch.randint(len(words), x.shape, generator=beside(x, generator), device=x.device)
    return torch.where(_some(x, REPLACED, generator) & (x != PADDING), words[drawn], x)


def _word_swap(x: Tensor, generator: Generator) -> Tensor:
    """Some neighbors swap places; Wei and Zou 2019, arXiv:1901.11196, swap any two words."""
    first = int(torch.randint(2, (1,), generator=generator))  # of the first pair
    pairs = (x.shape[1] - first) // 2
    left, right = (x[:, start : start + 2 * pairs : 2] for start in (first, first + 1))
    chosen = _some(left, SWAPPED, generator) & (right != PADDING)  # then the left is not padding either
    swapped = x.clone()
    swapped[:, first : first + 2 * pairs : 2] = torch.where(chosen, right, left)
    swapped[:, first + 1 : first + 1 + 2 * pairs : 2] = torch.where(chosen, left, right)
    return swapped


def _some(x: Tensor, share: float, generator: Generator) -> Tensor:
    return torch.rand(x.shape, generator=beside(x, generator), device=x.device) < share


word_dropout = Augmentation("text", _word_dropout, moves=True)
word_noise = Augmentation("text", _word_noise, moves=True)
word_swap = Augmentation("text", _word_swap, moves=True)
