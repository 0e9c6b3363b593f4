"""Which changes of training rows help: short trainings with and without each, on the same rows and seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from netwright.data.augment import suited
from netwright.data.examples import empty
from netwright.data.prepare import Prepared
from netwright.planning.paired import losses_of
from netwright.planning.quick import untrained
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.statistics import Interval, mean_over_pairs
from netwright.training.calibrate import calibrate
from netwright.training.fit import fit

AUTO = "auto"
# Not tried, since each costs PAIRS trainings: changes that pay off only in long trainings, and near copies of others.
LEFT_OUT = ("flip_vertical", "zoom", "crop", "grain", "blur", "color", "mixup", "cutmix")
SHARE = 1.0  # of the training's row passes at most, on half as wide networks: about half its time; less is chance
MOST_ROWS = 1_500  # seconds of a short training: with many rows the trial takes a small share
LEAST_CELLS = 5e6  # of inputs passed, if training is so short that SHARE is too little: half a minute on one core
PASSES = 12  # over the rows of a short training: in 8, changes that help in 30 seemed to hurt
FEWEST = 200  # rows of a short training; with fewer, no change shows an effect
MOST_VALID = 2_000  # rows to compare on: more add little compared with seeds
BATCH = 64  # smaller than in training: there are few rows, and steps teach
PAIRS = 3  # seeds; each draws its own rows


@final
@dataclass(frozen=True)
class Trial:
    """The chosen changes, and why in one sentence."""

    names: tuple[str, ...]
    effects: Mapping[str, Interval]  # on the validation loss, of each tried; "flip+shift" for those taken together
    pairs: Mapping[str, int]  # of trainings, with and without it
    note: str


def try_augmentations(prepared: Prepared, recipe: Recipe) -> Trial:
    """Tries what suits the data, on top of what `recipe.augment` names besides "auto", and takes what helps.

    Uses only training rows, some to train and others to compare on. All changes are tried with one seed, and those not
    clearly harmful with two more. Changes that help beyond their interval are taken, all together if that beats the
    best alone. Losses are compared after fitting one temperature, as at the end of training; otherwise whatever makes a
    network less confident seems to help. Deterministic on a CPU.
    """
    base = tuple(name for name in recipe.augment if name != AUTO)
    fitting = suited(prepared.schema, prepared.task)
    names = [n for n in fitting if n not in (*base, *LEFT_OUT)]
    rows = rows_of(prepared, recipe, len(names))
    if not names or rows < FEWEST or not prepared.train.is_indexed:
        why = "nothing to try suits the data" if not names else "training has too few rows and passes to try any"
        return Trial(base, {}, {}, f"augment: {why}")
    trial = _Trials(prepared, recipe, base, rows)
    left = names
    for seed in range(PAIRS):
        if left:
            trial.pair(left, seed)
        left = [name for name in left if trial.effect(name).low <= 0]
    helping = [name for name in left if trial.effect(name).high < 0]
    taken = min(([name] for name in helping), key=lambda one: trial.effect(*one).value, default=[])
    if len(helping) > 1:
        together = "+".join(helping)
        for seed in range(PAIRS):
            trial.pair([together], seed)
        if trial.effect(together).value < trial.effect(*taken).value:
            taken = helping
    effects = {name: trial.effect(name) for name in trial.losses if name}
    pairs = {name: len(trial.losses[name]) for name in effects}
    return Trial((*base, *taken), effects, pairs, _note(trial, effects, taken, helping))


@final
class _Trials:
    """Short trainings, and each row's loss in them."""

    def __init__(self, prepared: Prepared, recipe: Recipe, base: tuple[str, ...], rows: int) -> None:
        self.prepared, self.train, self.rows, self.base = prepared, prepared.train, rows, base
        self.recipe = recipe.edit({
            "epochs": min(PASSES, recipe.epochs), "width": max(1, recipe.width // 2),
            "batch_size": min(BATCH, recipe.batch_size), "accumulate": 1, "keep": "last", "patience": 0, "average": 0.0,
            "precision": "fp32", "kernels": "torch", "compile": "never", "threads": 1, "adapt": False, "augment": base,
        })  # fmt: skip
        self.losses: dict[str, list[NDArray[np.float64]]] = {}
        self.watched = "log loss" if prepared.task.metric == "log_loss" else "loss"

    @property
    def count(self) -> int:
        """Trainings so far."""
        return sum(map(len, self.losses.values()))

    def pair(self, names: Sequence[str], seed: int) -> None:
        """Trains with each of the changes (`a+b`: with both), and without if not done yet."""
        for name in ("", *names):
            done = self.losses.setdefault(name, [])
            if len(done) == seed:
                done.append(self._train([part for part in name.split("+") if part], seed))

    def effect(self, name: str) -> Interval:
        """The effect of a change on the validation loss; below zero it helps."""
        return mean_over_pairs([a - b for a, b in zip(self.losses[name], self.losses[""], strict=False)])

    def _train(self, names: list[str], seed: int) -> NDArray[np.float64]:
        """The loss of each validation row after a short training."""
        drawn = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(seed))
        part = self.train.part(drawn[: self.rows])
        valid = self.train.part(drawn[self.rows : self.rows + MOST_VALID])
        # Scoring every epoch would cost as much as training.
        prepared = replace(self.prepared, train=part, valid=empty(), test=empty())
        events = fit(untrained(prepared, replace(self.recipe, seed=seed, augment=(*self.base, *names))))
        while True:
            try:
                next(events)
            except StopIteration as end:
                trained: Run = replace(end.value, valid=valid)
                break
        calibrate(trained)
        return losses_of(trained, valid)[1]


def rows_of(prepared: Prepared, recipe: Recipe, candidates: int) -> int:
    """Rows of a short training: as many as the budget allows, at most half of the training rows."""
    count = len(prepared.train)
    if not count or not candidates:
        return 0
    cells = sum(x[0].numel() for x in next(prepared.train.uncut().batches(1, seed=None)).inputs)
    passes = max(SHARE * count * recipe.epochs, LEAST_CELLS / cells)
    trainings = PAIRS * (candidates + 2)  # without, with each, with those together that help
    return min(count // 2, MOST_ROWS, int(passes / trainings / min(PASSES, recipe.epochs)))


def _note(trial: _Trials, effects: Mapping[str, Interval], taken: list[str], helping: list[str]) -> str:
    """`augment: flip and shift help (log loss -0.021 [-0.034, -0.008]), rotate hurts; ...`."""
    if taken:
        effect = effects["+".join(taken)]
        verb = "helps" if len(taken) == 1 else "help"
        told = [f"{_joined(taken)} {verb} ({trial.watched} {effect:+.3f})"]
    else:
        told = ["nothing clearly helps"]
    if beside := [name for name in helping if name not in taken]:
        told.append(f"{_joined(beside)} would help alone")
    hurting = [name for name in effects if effects[name].low > 0]
    if hurting:
        told.append(f"{_joined(hurting)} {'hurts' if len(hurting) == 1 else 'hurt'}")
    open_ = [name for name in effects if name not in (*helping, *hurting) and "+" not in name]
    if open_:
        told.append(f"{_joined(open_)} {'is' if len(open_) == 1 else 'are'} undecided and left out")
    rows, epochs = trial.rows, trial.recipe.epochs
    return f"augment: {', '.join(told)}; {trial.count} short trainings on {rows:,} rows, {epochs} passes"


def _joined(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
