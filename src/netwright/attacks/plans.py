"""Which attacks are tried, in which order, and how long each may take."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

from netwright.records.task import Task
from netwright.records.threat import Way


@final
@dataclass(frozen=True)
class Planned:
    """An attack with its options."""

    name: str  # a key of ATTACKS
    title: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])  # Any: an attack's own
    is_alone: bool = False  # on all rows that are right; else on those that earlier attacks left
    key: str = ""  # what its result is called, if not by its name


# Half a minute for a few hundred small pictures on two cores.
QUICK = (
    Planned("noise", "random changes", {"tries": 30}, is_alone=True),
    Planned("fgsm", "one gradient step (FGSM)", is_alone=True),
    Planned("pgd", "20 gradient steps (PGD)", {"steps": 20, "loss": "plain"}, is_alone=True),
    Planned("pgd", "the same on the margin", {"steps": 20, "loss": "margin"}, is_alone=True, key="pgd_margin"),
    Planned("apgd", "APGD on cross entropy", {"steps": 30}),
    Planned("apgd_targeted", "APGD towards each likely label", {"steps": 20, "labels": 3}),
    Planned("square", "random squares, no gradient (Square)", {"queries": 1000, "patience": 150}),
)
# As thorough as AutoAttack (Croce and Hein 2020, arXiv:2003.01690), and what it lacks.
FULL = (
    Planned("noise", "random changes", {"tries": 1000}, is_alone=True),
    Planned("fgsm", "one gradient step (FGSM)", is_alone=True),
    Planned("pgd", "100 gradient steps (PGD)", {"steps": 100, "loss": "plain"}, is_alone=True),
    Planned("pgd", "the same on the margin", {"steps": 100, "loss": "margin"}, is_alone=True, key="pgd_margin"),
    Planned("transfer", "made on two other networks (transfer)", is_alone=True),
    Planned("apgd", "APGD on cross entropy", {"steps": 100}),
    Planned("apgd_targeted", "APGD towards each label", {"steps": 100, "labels": 9}),
    Planned("minimal", "smallest changes first (FMN)"),
    Planned("straight_through", "through steps without a gradient", {"steps": 100}),
    Planned("square", "random squares, no gradient (Square)", {"queries": 5000}),
    Planned("decision", "answers alone (RayS)"),
)
# For answers that are not right or wrong: harm has no end, so each attack runs on all rows.
NUMBERS = (
    Planned("noise", "random changes", {"tries": 30}, is_alone=True),
    Planned("fgsm", "one gradient step (FGSM)", is_alone=True),
    Planned("pgd", "20 gradient steps (PGD)", {"steps": 20, "restarts": 2}, is_alone=True),
    Planned("square", "random changes that keep what helps (Square)", {"queries": 300}, is_alone=True),
)
SWAPS = (
    Planned("swaps", "cells swapped for others"),
    Planned("mixed", "values and cells together"),
)


def planned(task: Task, ways: tuple[Way, ...], methods: tuple[str, ...], *, is_full: bool) -> tuple[Planned, ...]:
    """The attacks that suit what can change, or those of them that were asked for."""
    on_values = (FULL if is_full else QUICK) if task.can_be_wrong else NUMBERS
    moves, swaps = any(way.moves for way in ways), any(way.can_swap for way in ways)
    found = (*(on_values if moves else ()), *(p for p in SWAPS if swaps and (moves or p.name == "swaps")))
    known = {p.name for p in found}
    others = tuple(Planned(name, name) for name in methods if name not in known)
    return tuple(p for p in found if not methods or p.name in methods) + others
