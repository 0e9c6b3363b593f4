"""Remedies that several checks give."""

from netwright.records.finding import Remedy
from netwright.records.recipe import Recipe

SUITED_INIT = Remedy("use an initialization that suits the activation.", {"init": "auto"})
NORMALIZE = Remedy("add normalization between the layers.", {"normalization": "layer"})
LINKS = Remedy("add residual connections.")
NEVER_FLAT = Remedy("use an activation that is never flat.", {"activation": "gelu"})
CLIP = Remedy("clip the gradients.", {"clip": 1.0})
ADAMW = Remedy("use AdamW, which scales the steps of each weight.", {"optimizer": "adamw", "lr": 1e-3})
FALL = Remedy("let the learning rate fall towards the end.", {"schedule": "cosine"})
AVERAGE = Remedy("keep a running average of the weights.", {"average": 1.0})
AUDIT_LABELS = Remedy("audit the labels.")

LEAST_LR = 1e-7  # lower rates are lost in rounding
MOST_WIDTH = 16384


def lower_rate(recipe: Recipe, times: float) -> Remedy:
    """A part of the rate."""
    return Remedy("use a lower learning rate.", {"lr": max(LEAST_LR, recipe.lr / times)})


def warm_up(recipe: Recipe) -> Remedy:
    """A tenth of the steps, or as many as there are."""
    return Remedy("warm up the learning rate.", {"warmup": max(0.1, recipe.warmup)})


def wider(recipe: Recipe, times: int) -> Remedy:
    """So many times the units of a layer."""
    return Remedy("use a wider network.", {"width": min(MOST_WIDTH, times * recipe.width)})


def longer(recipe: Recipe) -> Remedy:
    """Twice the epochs."""
    return Remedy("train longer.", {"epochs": 2 * recipe.epochs})


def stop_early(recipe: Recipe) -> Remedy:
    """After a fifth of the epochs without a better one."""
    best = "stop early: the best epoch is kept already."
    last = "keep the best epoch on the validation part, not the last one as the recipe says, and stop early."
    patience = {"patience": max(3, recipe.epochs // 5)}
    return Remedy(best, patience) if recipe.keep == "best" else Remedy(last, {"keep": "best", **patience})


def drop_more(recipe: Recipe) -> Remedy:
    """Twice the share of units, between a quarter and a half."""
    return Remedy("use more dropout.", {"dropout": min(0.5, max(0.25, 2 * recipe.dropout))})
