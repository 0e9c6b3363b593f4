"""Simple recommenders: popularity, item neighbors, EASE, and a first-order Markov chain."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from netwright.kinds.padded import FIRST
from netwright.models.ranker import latest
from netwright.records.batch import Examples
from netwright.tasks.item_choice import chosen_penalty, read
from netwright.tasks.item_fits import chances, following, histories, neighbors, together

FAINT = 1e-6  # of popularity in the scores of other models: it orders what they know nothing of

Matrix = Any  # numpy or scipy.sparse
Scorer = Callable[[Tensor], Tensor]
"""Tokens (B, T) of what users had -> (B, items)."""


def rules(train: Examples, place: int, items: int, *, is_ordered: bool) -> Mapping[str, Scorer]:
    """By name, from the training rows; `place` is that of the histories among the inputs."""
    had, asked = read(train, place, items)
    counts = had.popularity()
    popular = torch.from_numpy(np.log((counts + 1) / (counts + 1).sum())).float()
    found: dict[str, Scorer] = {
        "popularity": lambda tokens: popular.to(tokens.device).expand(len(tokens), -1),
        "item neighbors": _sums(neighbors(had), popular),
        "EASE": _sums(together(had, chosen_penalty(had, asked)), popular),
    }
    if is_ordered:
        last = _sums(chances(following(had, span=1), 1.0), popular)
        found["Markov chain"] = lambda tokens: last(latest(tokens, 1))
    return found


def _sums(weights: Matrix, popular: Tensor) -> Scorer:
    """The sum of the weights of what each user had."""
    faint = FAINT * popular

    def score(tokens: Tensor) -> Tensor:
        x = histories(tokens, FIRST, len(popular)).matrix()
        found = x @ weights
        dense = found if isinstance(found, np.ndarray) else found.toarray()
        return (torch.from_numpy(np.asarray(dense, np.float32)) + faint).to(tokens.device)

    return score
