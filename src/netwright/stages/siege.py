"""The rows of a run under attack: what is tried on them, with which size, and what is left."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import count
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from netwright.attacks import ATTACKS
from netwright.attacks.campaign import Campaign
from netwright.attacks.corruptions import corrupted, emptiable, emptied, suited
from netwright.attacks.minimal import smallest
from netwright.attacks.plans import Planned, planned
from netwright.attacks.transfer import surrogates_of
from netwright.attacks.ways import ways_between, ways_of
from netwright.defenses.certificate import certify
from netwright.defenses.hardening import UNSEEN
from netwright.kinds.tensor import TensorField
from netwright.models.guards import Smoothed
from netwright.models.modes import evaluating
from netwright.records.batch import Batch, Examples
from netwright.records.errors import DataError, NetwrightError, RecipeError, counted, listed, nearest
from netwright.records.finding import Chart, Measure
from netwright.records.recipe import Recipe
from netwright.records.result import Tell
from netwright.records.robustness import Level, Tried
from netwright.records.run import Run
from netwright.records.schema import Schema
from netwright.records.task import Labels
from netwright.records.threat import Norm, Reach, Threat, Way
from netwright.statistics import mean, share
from netwright.training.evaluate import device_of

QUICK_ROWS, FULL_ROWS = 256, 1000
CURVE_STEPS, CURVE_ROWS = 10, 128
TAUGHT = 2000  # training rows that surrogates learn from
SEVERITY = 2  # of everyday corruptions: seen at once
MOST_COLUMNS = 32  # whose absence is tried
SHARES = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)  # of the range: sizes of the curve
LENGTHS = (0.25, 0.5, 1.0, 1.5, 2.0, 4.0, 8.0)  # the same in the Euclidean norm
MULTIPLES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # of what a person would not notice
LARGEST = 1.0  # share of the range: further is nowhere, in the greatest norm
# Attacks on the same values, with the network's own gradients and without: do these lead anywhere?
BY_GRADIENT = ("fgsm", "pgd", "pgd_margin", "apgd", "apgd_targeted", "minimal")
WITHOUT_GRADIENT = ("noise", "square", "decision", "straight_through")


@final
@dataclass(frozen=True)
class Asked:
    """What a person wants to know."""

    strength: float = 1.0  # in changes that a person would not notice; if there are no `eps`
    eps: tuple[float, ...] = ()  # shares of each input's range
    norm: Norm = "inf"
    methods: tuple[str, ...] = ()  # attacks by name; empty for all that suit
    target: str = ""  # a label that the adversary wants
    immutable: tuple[str, ...] = ()
    bounds: tuple[float, float] | None = None  # of an engineer's own inputs
    rows: int = 0  # at most; 0 for the usual number
    is_full: bool = False

    @property
    def sizes(self) -> tuple[float, ...]:
        """What is attacked with."""
        return self.eps or (self.strength,)

    def reach(self) -> Reach:
        """How sizes are measured."""
        return Reach(bool(self.eps), frozenset(self.immutable))


@final
@dataclass
class Siege:
    """A run's rows under attack, and what was found so far."""

    run: Run
    asked: Asked
    batch: Batch
    ways: tuple[Way, ...]
    plan: tuple[Planned, ...]
    tell: Tell
    left_out: dict[str, str] = field(default_factory=dict[str, str])  # what was not tried, and why

    @cached_property
    def labels(self) -> Labels | None:
        """The labels of the rows, if answers are labels."""
        view = self.run.task.view(self.batch.targets)
        return view if isinstance(view, Labels) and self.run.task.link == "softmax" else None

    @cached_property
    def surrogates(self) -> tuple[nn.Module, ...]:
        """Two other networks that learned to answer training rows as this one does.

        Raises DataError if none can be made for these inputs.
        """
        run, rows = self.run, self.run.train.plain().uncut()
        some = torch.randperm(len(rows), generator=self.threat(1.0).generator())[:TAUGHT]
        examples = rows.take(rows.rows[some]).to(device_of(run.network))
        schema, recipe = run.schema, run.recipe
        if not schema.inputs:  # of an engineer's own tensors
            if not all(x.is_floating_point() for x in examples.inputs):
                raise DataError("inputs that are no floats have no surrogates", remedy="give float inputs.")
            schema = Schema(tuple(map(_as_field, count(), examples.inputs)))
            recipe = Recipe(width=32, depth=2, embedding="none")  # like the smallest of the default networks
        seeds = (recipe.seed + 1, recipe.seed + 2)
        builds = [partial(run.task.network, schema, recipe.edit({"seed": seed})) for seed in seeds]
        self.tell(f"two other networks learn from {counted(len(examples), 'answer')} of this one")
        return surrogates_of(run.network, examples, run.task, builds)

    def spread(self, most: int) -> Tensor:
        """Places of at most so many rows, evenly spread: rows are in the order of the data, often that of labels."""
        return torch.linspace(0, len(self.batch) - 1, min(most, len(self.batch))).round().long()

    def threat(self, size: float) -> Threat:
        """With one size."""
        return Threat(self.ways, size, self.asked.norm, seed=self.run.recipe.seed)

    def campaign(self, size: float) -> Campaign:
        """Before any attack."""
        return Campaign(self.run.network, self.batch, self.run.task, self.threat(size))

    def measure(self, name: str, harm: Tensor) -> Measure:
        """Rows that are right, with the interval of Wilson; or the mean harm, with that of a mean."""
        if self.run.task.can_be_wrong:
            return share(int((harm < 1).sum()), len(harm)).measure(name)
        return mean(harm.double().cpu().numpy()).measure(name)


def besieged(run: Run, asked: Asked, tell: Tell) -> Siege:
    """The rows to attack and the attacks to try.

    Raises DataError for a task, columns or labels that cannot be attacked, RecipeError for a wrong size or method.
    """
    if not run.schema.inputs:  # of an engineer's own inputs only the range is known
        asked = replace(asked, bounds=asked.bounds or run.bounds, eps=asked.eps or (asked.strength * UNSEEN,))
    _check(run, asked)
    rows, _ = rows_of(run)
    count = min(len(rows), asked.rows or (FULL_ROWS if asked.is_full else QUICK_ROWS))
    if not count:
        raise DataError("there are no rows to attack", remedy="give the run a test part.")
    drawn = np.sort(np.random.default_rng(run.recipe.seed).choice(len(rows), count, replace=False))
    batch = rows.plain().uncut().take(rows.rows[torch.from_numpy(drawn)]).to(device_of(run.network))
    if run.schema.inputs:
        ways = ways_of(run.schema, asked.reach())
    elif asked.bounds is not None:
        ways = ways_between(batch.inputs, *asked.bounds)
    else:
        raise DataError(
            "the range of this network's own inputs is not known",
            remedy="give it, for example nw.attack(run, eps=0.1, bounds=(0, 1)).",
        )
    plan = planned(run.task, ways, asked.methods, is_full=asked.is_full)
    siege = Siege(run, asked, batch, ways, plan, tell)
    if asked.target:
        _check_target(siege, asked.target)
    return siege


def rows_of(run: Run) -> tuple[Examples, str]:
    """The rows that training did not see, if there are any, and what they are called."""
    for part, name in ((run.test, "test rows"), (run.valid, "validation rows"), (run.train, "training rows")):
        if len(part):
            return part, name
    return run.train, "training rows"


def level(siege: Siege, size: float) -> tuple[Level, Campaign, dict[str, Tensor]]:
    """All attacks with one size: what they left, each row at its worst, and the harm of each attack."""
    campaign, tried, harms = siege.campaign(size), list[Tried](), dict[str, Tensor]()
    for one in siege.plan:
        began = time.perf_counter()
        which = campaign.right if one.is_alone else campaign.standing
        try:
            options = {**one.options, "surrogates": siege.surrogates} if one.name == "transfer" else one.options
            harm = campaign.attack(one.name, which, options)
        except NetwrightError as error:
            siege.left_out[one.title] = error.problem
            continue
        seconds = time.perf_counter() - began
        harms[one.key or one.name] = harm
        shown = harm if one.is_alone else campaign.worst
        result = siege.measure(one.title, shown)
        tried.append(Tried(one.key or one.name, one.title, result, not one.is_alone, seconds))
        siege.tell(f"attack {size:g}: {one.title}: {_left(siege, campaign)}")
    union = siege.measure("all together", campaign.worst)
    targeted = tuple(_targeted(siege, campaign)) if not siege.asked.methods else ()
    return Level(size, tuple(tried), union, targeted, None), campaign, harms


def smallest_of(siege: Siege, campaign: Campaign) -> Measure | None:
    """The median size of the smallest change that beats a row, up to the whole range; infinite if most are not."""
    which = campaign.right.nonzero()[:, 0]
    if not siege.run.task.can_be_wrong or not len(which) or not any(way.moves for way in siege.ways):
        return None
    most = LARGEST if siege.asked.reach().is_share else MULTIPLES[-1]
    with evaluating(siege.run.network):
        _, norms = smallest(siege.run.network, siege.batch.keep(which), siege.run.task, siege.threat(most))
    ordered, last = norms.double().sort().values.cpu(), len(norms) - 1
    half = 0.98 * len(norms) ** 0.5  # of the 95 % interval of the median's rank (binomial)
    low, middle, high = (float(ordered[min(max(round(last / 2 + k), 0), last)]) for k in (-half, 0.0, half))
    return Measure("smallest change, median", middle, low, high)


def _as_field(number: int, x: Tensor) -> TensorField:
    """A column for an engineer's own tensor."""
    return TensorField(str(number), float(x.min()), float(x.max()), 0.0, shape=tuple(x.shape[1:]), dtype="float32")


def _left(siege: Siege, campaign: Campaign) -> str:
    if siege.run.task.can_be_wrong:
        return f"{int(campaign.standing.sum()):,} of {counted(len(campaign.worst), 'row')} still right"
    return f"{siege.run.task.harm_name} {float(campaign.worst.mean()):.4g} on average"


def _targeted(siege: Siege, campaign: Campaign) -> Iterator[Measure]:
    """How many rows get a wanted label: the least likely, the next in order, the one that was asked for; all of them
    if thorough."""
    found = siege.labels
    if found is None:
        return
    classes, own = len(found.names), torch.from_numpy(found.positions).to(campaign.worst.device)
    outputs = campaign.outputs(campaign.batch)
    wanted = {"the least likely label is reached": outputs.argmin(1)}  # pyright: ignore[reportAttributeAccessIssue]  (B, K)
    if classes > 2:
        wanted["the next label is reached"] = (own + 1) % classes
    if siege.asked.target:
        place = found.names.index(siege.asked.target)
        wanted = {f"{siege.asked.target} is reached": torch.full_like(own, place)}
    elif siege.asked.is_full and classes > 2:
        steps = range(1, min(classes, 10))
        hits = [_reached(siege, campaign, (own + step) % classes) for step in steps]
        tries = torch.stack(hits).float()
        yield share(float(tries.mean(0).sum()), len(own)).measure("any one label is reached, mean")
        yield share(float(tries.amax(0).sum()), len(own)).measure("some other label is reached")
    for name, goal in wanted.items():
        which = goal != own
        hits = _reached(siege, campaign, goal)
        yield share(int(hits.sum()), int(which.sum())).measure(name)


def _reached(siege: Siege, campaign: Campaign, goal: Tensor) -> Tensor:
    """(N,) bool: rows with another label that get the wanted one."""
    own = torch.from_numpy(siege.labels.positions).to(goal.device) if siege.labels else goal
    if any(way.can_swap for way in siege.ways):
        return campaign.reaches("mixed" if any(way.moves for way in siege.ways) else "swaps", goal != own, goal)
    steps = 100 if siege.asked.is_full else 20
    return campaign.reaches("pgd", goal != own, goal, {"steps": steps, "loss": "margin"})


def curve(siege: Siege) -> tuple[tuple[float, Tensor], ...]:
    """(size, harm of each row) under a few gradient steps; each size afresh, up to the whole range or to chance."""
    if not any(way.moves for way in siege.ways):
        return ()
    usual = MULTIPLES if not siege.asked.reach().is_share else SHARES if siege.asked.norm == "inf" else LENGTHS
    found = list[tuple[float, Tensor]]()
    few = replace(siege, batch=siege.batch.keep(siege.spread(CURVE_ROWS)))
    for size in sorted({*usual, *siege.asked.sizes}):
        campaign = few.campaign(size)
        harm = campaign.attack("pgd", campaign.right, {"steps": CURVE_STEPS, **_on_margin(siege)})
        found.append((size, harm))
        if siege.run.task.can_be_wrong and bool((harm >= 1).all()):
            break
    return tuple(found)


def _on_margin(siege: Siege) -> dict[str, Any]:
    return {"loss": "margin"} if siege.labels is not None else {}


def proven(run: Run, batch: Batch) -> Tensor | None:
    """(B,): the radius, in the Euclidean norm and shares of the range, within which a row's right answer cannot change.

    0 for a wrong answer and for none; None unless answers are labels and smoothed.
    """
    if not isinstance(run.network, Smoothed) or run.task.link != "softmax":
        return None
    labels, radii = certify(run.network, batch, run.task)
    return torch.where(labels == batch.targets[0].flatten().cpu(), radii, 0.0)


def everyday(siege: Siege) -> tuple[Measure, ...]:
    """Scores after common corruptions that a person sees at once, and with the column missing that is missed most."""
    schema = siege.run.schema
    if not schema.inputs:
        return ()
    campaign = siege.campaign(siege.asked.sizes[0])
    found = list[Measure]()
    for name in suited(schema, has_places=siege.run.task.has_places):
        changed = corrupted(schema, siege.batch, name, SEVERITY, campaign.threat.generator())
        found.append(siege.measure(name.replace("_", " "), campaign.harm(changed, everyone(siege.batch))))
    names = emptiable(schema)[:MOST_COLUMNS] if len(schema.inputs) > 1 else ()
    lost = [(name, campaign.harm(emptied(schema, siege.batch, name), everyone(siege.batch))) for name in names]
    if lost:
        name, harm = max(lost, key=lambda pair: float(pair[1].mean()))
        found.append(siege.measure(f"{name} missing", harm))
    return tuple(found)


def everyone(batch: Batch) -> Tensor:
    """(B,): the places of all rows."""
    return torch.arange(len(batch))


def chart_of(siege: Siege, points: Sequence[tuple[float, Tensor]]) -> Chart | None:
    """What is left by size."""
    if len(points) < 2:
        return None
    values = tuple(siege.measure("", harm).value for _, harm in points)
    unit = "share of the range" if siege.asked.reach().is_share else "changes that nobody would notice"
    name = "right answers" if siege.run.task.can_be_wrong else siege.run.task.harm_name
    marks = tuple((size, "asked") for size in siege.asked.sizes)
    places = tuple(size for size, _ in points)
    return Chart("lines", f"{name} by size of the change", f"size ({unit})", name, (name,), (values,), places, marks)


def _check_target(siege: Siege, target: str) -> None:
    """Raises DataError for a label that is not one, or that all rows have."""
    found = siege.labels
    if found is None or target not in found.names:
        known = f"choose from {listed(found.names)}." if found is not None else "leave it out: answers are no labels."
        raise DataError(f"{target!r} is no label of this run", remedy=known)
    if all(found.names[place] == target for place in found.positions):
        raise DataError(
            f"all {counted(len(siege.batch), 'row')} are {target!r} already: an adversary has nothing to want",
            remedy="choose another label.",
        )


def _check(run: Run, asked: Asked) -> None:
    """Raises for what cannot be asked of this run."""
    if run.task.generates:
        raise DataError(
            f"{run.task.describe()} generates its answers: nothing says when one is wrong",
            remedy="attack a network that gives labels, numbers or masks.",
        )
    for size in asked.sizes:
        if not 0 < size < float("inf"):
            raise RecipeError(f"the size of a change must be above 0, not {size:g}", remedy="choose a positive number.")
    if asked.eps and asked.norm == "inf" and max(asked.eps) > LARGEST:
        raise RecipeError(
            f"eps {max(asked.eps):g} is beyond the input range: 1 changes every value over its whole range",
            remedy="choose eps between 0 and 1.",
        )
    for name in asked.methods:
        if name not in ATTACKS:
            raise RecipeError(f"there is no attack {name!r}", remedy=nearest(name, ATTACKS))
