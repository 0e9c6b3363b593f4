"""Bag of tokens: which ones a text has, in any order."""

from torch import nn

from netwright.models.forms import require_form
from netwright.models.mlp import mlp
from netwright.models.pooling import MeanAndMax
from netwright.models.sequences import Chain
from netwright.records.recipe import Recipe
from netwright.records.schema import Signal


def bag(signal: Signal, recipe: Recipe) -> tuple[nn.Module, Signal]:
    """Mean and maximum of the steps, then a perceptron. Joulin et al. 2016, arXiv:1607.01759, use only the mean."""
    require_form("bag", signal, "sequence")
    body, after = mlp(Signal("vector", 2 * signal.width), recipe.edit({"members": 1}))
    return Chain(MeanAndMax(), body), after
