"""Changes before training again: to the recipe, and to an engineer's own network."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import Field, dataclass, field, replace
from functools import partial
from math import exp, log
from typing import Any, final

import numpy as np
from torch import nn

from netwright.data.examples import augmented
from netwright.planning import MENDS
from netwright.planning.mends import are_equal, mended
from netwright.planning.quick import anew
from netwright.records.errors import NetwrightError
from netwright.records.finding import Remedy
from netwright.records.recipe import Recipe, choices, settings
from netwright.records.run import Run
from netwright.training.adopt import designed
from netwright.training.evaluate import device_of

# Settings of the network itself: an engineer's own network needs a function that follows them, or a mend.
OF_THE_NETWORK = (
    "depth", "width", "dropout", "activation", "backbone", "layers", "normalization", "init", "embedding", "members",
)  # fmt: skip


@final
@dataclass(frozen=True)
class Edits:
    """Edits of the recipe, and of an engineer's own network (names of MENDS)."""

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
    """Whether no part of a remedy can be tried from outside."""
    if run.schema.inputs:
        return not remedy.edit
    follows = set(OF_THE_NETWORK) if run.design is not None else set(OF_THE_NETWORK) & MENDS.keys()
    return not remedy.mend and (_changeable(run) | follows).isdisjoint(remedy.edit)


def possible(run: Run, remedy: Remedy, kept: Edits) -> tuple[Edits, str]:
    """The part of a remedy that can be done on top of the kept edits, and why the rest cannot.

    The function that builds an engineer's own network follows its settings; what it does not follow, the mend named
    like the setting does.
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
    """One of the eight hyperparameters, redrawn."""
    drawn = {s.name: _drawn(generator, s, value) for s, value in run.recipe.values() if s.metadata["eight"]}
    name = str(generator.choice(sorted(_changeable(run) & drawn.keys())))
    return {name: drawn[name]}


def _drawn(generator: np.random.Generator, declared: Field[Any], now: object) -> object:
    """Another choice, or a number in the usual search range: log-uniform if the range is above zero."""
    if declared.metadata["search"] is None:
        return str(generator.choice(sorted(set(choices(declared)) - {now})))
    low, high = declared.metadata["search"]
    if low == 0:
        return round(float(generator.uniform(low, high)), 2)
    value = exp(generator.uniform(log(low), log(high)))
    return round(value) if isinstance(declared.default, int) else float(f"{value:.2g}")


def _network(run: Run, edits: Edits, seed: int) -> nn.Module:
    """An engineer's own network with these edits, before training."""
    recipe = run.recipe.edit({**edits.recipe, "seed": seed})
    network = run.build() if run.design is None else designed(run.design, recipe)
    return mended(network.to(device_of(run.network)), replace(run, recipe=recipe), edits.mends)


def _follows(run: Run, recipe: Recipe, edit: Mapping[str, object]) -> bool:
    """Whether the function that builds an engineer's network follows edited settings."""
    if run.design is None:
        return False
    return not are_equal(designed(run.design, recipe), designed(run.design, recipe.edit(edit)))


def _changeable(run: Run) -> set[str]:
    """Settings that affect this run: an engineer's network fixes its layers, and a loader its batch size."""
    names = {setting.name for setting in settings()}
    names -= set() if run.schema.inputs or run.design is not None else set(OF_THE_NETWORK)
    return names - (set() if run.train.is_indexed else {"batch_size"})
