"""Changes of a training before it is made again: of the recipe, and of an engineer's own network."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from math import exp, log
from typing import final

import numpy as np
from torch import nn

from netwright.data.examples import augmented
from netwright.models import ACTIVATIONS
from netwright.planning import MENDS
from netwright.planning.mends import are_equal, mended
from netwright.planning.quick import anew
from netwright.records.errors import NetwrightError
from netwright.records.finding import Remedy
from netwright.records.recipe import Recipe, settings
from netwright.records.run import Run
from netwright.training import OPTIMIZERS
from netwright.training.adopt import designed
from netwright.training.evaluate import device_of

# Settings that decide the network itself: of an engineer's own they need a function that follows them, or a mend.
OF_THE_NETWORK = (
    "depth", "width", "dropout", "activation", "backbone", "layers", "normalization", "init", "embedding", "members",
)  # fmt: skip
# Where random changes are drawn: the ranges that people search. Those of the Recipe hold networks of hours.
SPANS = {"lr": (1e-5, 1e-1), "batch_size": (8, 512), "depth": (1, 6), "width": (16, 512), "weight_decay": (1e-4, 0.3)}
MOST_DROPOUT = 0.6
WHOLE = ("batch_size", "depth", "width")


@final
@dataclass(frozen=True)
class Edits:
    """Of the recipe, and of an engineer's own network: names of MENDS."""

    recipe: Mapping[str, object] = field(default_factory=dict[str, object])
    mends: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.recipe or self.mends)

    def beside(self, other: "Edits") -> "Edits":
        """These, and then the others."""
        return Edits({**self.recipe, **other.recipe}, tuple(dict.fromkeys((*self.mends, *other.mends))))


def variant(run: Run, edits: Edits, seed: int) -> Run:
    """The run before its training, edited, with another seed."""
    recipe = run.recipe.edit({**edits.recipe, "seed": seed})
    build = None if run.schema.inputs else partial(deepcopy, _network(run, edits, seed))
    is_augmented = "augment" in edits.recipe
    train = augmented(run.train, run.schema, recipe.augment, run.task) if is_augmented else run.train
    return anew(run, recipe, train, build)


def is_advice(run: Run, remedy: Remedy) -> bool:
    """Whether nothing of a remedy can be tried from outside."""
    if run.schema.inputs:
        return not remedy.edit
    follows = set(OF_THE_NETWORK) if run.design is not None else set(OF_THE_NETWORK) & MENDS.keys()
    return not remedy.mend and (_changeable(run) | follows).isdisjoint(remedy.edit)


def possible(run: Run, remedy: Remedy, kept: Edits) -> tuple[Edits, str]:
    """What of a remedy can be done beside the kept edits, and why the rest of it cannot.

    Settings of an engineer's own network are followed by the function that builds it; what it does not follow is done
    by the mend of the setting's name.
    """
    if run.schema.inputs:
        return Edits(remedy.edit), ""
    recipe, problems = run.recipe.edit(kept.recipe), list[str]()
    done = Edits({name: value for name, value in remedy.edit.items() if name in _changeable(run) - {*OF_THE_NETWORK}})
    wanted = [(name, {name: remedy.edit[name]}) for name in remedy.edit if name in OF_THE_NETWORK]
    for name, edit in (*wanted, *([(remedy.mend, {})] if remedy.mend else [])):
        if edit and _follows(run, recipe, edit):
            done = done.beside(Edits(edit))
        elif name not in MENDS:
            problems.append(f"the network does not follow {name}")
        else:
            new = done.beside(Edits(edit, (name,)))
            try:
                _network(run, kept.beside(new), run.recipe.seed)
                done = new
            except NetwrightError as error:
                cannot = f"the network does not follow {name}" if edit else "it cannot be mended"
                problems.append(f"{cannot}: {error.problem}")
    return done, "; ".join(problems)


def random_change(generator: np.random.Generator, run: Run) -> dict[str, object]:
    """One of the eight hyperparameters, drawn anew."""
    drawn = dict[str, object]()
    for name, (low, high) in SPANS.items():
        value = exp(generator.uniform(log(low), log(high)))
        drawn[name] = round(value) if name in WHOLE else float(f"{value:.2g}")
    drawn["dropout"] = round(float(generator.uniform(0, MOST_DROPOUT)), 2)
    drawn["activation"] = str(generator.choice(sorted(set(ACTIVATIONS) - {run.recipe.activation})))
    drawn["optimizer"] = str(generator.choice(sorted(set(OPTIMIZERS) - {run.recipe.optimizer})))
    name = str(generator.choice(sorted(_changeable(run) & drawn.keys())))
    return {name: drawn[name]}


def _network(run: Run, edits: Edits, seed: int) -> nn.Module:
    """An engineer's own network with these edits, before its training."""
    recipe = run.recipe.edit({**edits.recipe, "seed": seed})
    network = run.build() if run.design is None else designed(run.design, recipe)
    return mended(network.to(device_of(run.network)), replace(run, recipe=recipe), edits.mends)


def _follows(run: Run, recipe: Recipe, edit: Mapping[str, object]) -> bool:
    """Whether the function that builds an engineer's network makes another one of edited settings."""
    if run.design is None:
        return False
    return not are_equal(designed(run.design, recipe), designed(run.design, recipe.edit(edit)))


def _changeable(run: Run) -> set[str]:
    """Settings that decide something of this run: an own network has its layers, and a loader its batch size."""
    names = {setting.name for setting in settings()}
    names -= set() if run.schema.inputs or run.design is not None else set(OF_THE_NETWORK)
    return names - (set() if run.train.is_indexed else {"batch_size"})
