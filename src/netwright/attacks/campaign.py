"""Attacks one after the other on the same rows; of each row the worst is kept."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, final

import torch
from torch import Tensor, nn

from netwright.attacks import ATTACKS
from netwright.attacks.problem import judged
from netwright.models.modes import differentiable, evaluating
from netwright.records.batch import Batch, Outputs
from netwright.records.nested import each_tensor, leaves
from netwright.records.task import Task
from netwright.records.threat import Threat
from netwright.resolve import resolve

CELLS = 1 << 20  # of inputs in a chunk: an attack holds some ten copies of them, 4 bytes each

Attack = Callable[..., Batch]
"""(network, batch, task, threat, *, options) -> a batch in reach of the threat."""


@final
class Campaign:
    """Rows under attack by one threat. The network is in evaluation mode meanwhile and stays unchanged."""

    def __init__(self, network: nn.Module, batch: Batch, task: Task, threat: Threat) -> None:
        self.network, self.batch, self.task, self.threat = network, batch, task, threat
        self.clean = self.harm(batch)
        self.worst = self.clean.clone()  # (N,): harm under all attacks so far
        self.found = list(map(_as_changed, batch.inputs, threat.ways))  # inputs of each row at its worst

    @property
    def right(self) -> Tensor:
        """(N,) bool: rows that are right without an attack; all of them if answers are not right or wrong."""
        return self.clean < 1 if self.task.can_be_wrong else torch.ones_like(self.clean, dtype=torch.bool)

    @property
    def standing(self) -> Tensor:
        """(N,) bool: the same, under all attacks so far."""
        return self.worst < 1 if self.task.can_be_wrong else self.right

    def attack(
        self, name: str, which: Tensor, options: Mapping[str, Any] | None = None
    ) -> Tensor:  # Any: an attack's own
        """(N,): the harm that an attack does to some rows, by mask; to the others, what was done without it.

        Remembers each row's worst. Raises DataError if the attack does not suit the task or the inputs.
        """
        harm = self.clean.clone()
        for place, attacked in self.attacked(name, which, self.threat, options or {}):
            done = self.harm(attacked, place)
            harm[place] = torch.maximum(harm[place], done)
            is_worse = done > self.worst[place]
            self.worst[place] = torch.maximum(self.worst[place], done)
            for kept, x in zip(self.found, attacked.inputs, strict=True):
                kept[place[is_worse]] = x[is_worse].to(kept.dtype)
        return harm

    def attacked(
        self, name: str, which: Tensor, threat: Threat, options: Mapping[str, Any]
    ) -> Iterator[tuple[Tensor, Batch]]:
        """Places of rows, and the rows after an attack, a chunk at a time."""
        attack: Attack = resolve("attack", name, ATTACKS)
        places = which.nonzero()[:, 0]
        for place in places.split(self._rows()) if len(places) else ():
            part = replace(threat, goal=None if threat.goal is None else threat.goal[place])
            with differentiable(self.network), torch.no_grad():  # attacks ask for gradients where they need them
                attacked = attack(self.network, self.batch.keep(place), self.task, part, **options)
            yield place, attacked

    def reaches(self, name: str, which: Tensor, goal: Tensor, options: Mapping[str, Any] | None = None) -> Tensor:
        """(N,) bool: rows that an attack brings to the wanted labels; of those that it is tried on, by mask."""
        done, threat = torch.zeros_like(which), replace(self.threat, goal=goal)
        for place, attacked in self.attacked(name, which, threat, options or {}):
            done[place] = self._judged(attacked, place, goal[place]) >= 1
        return done

    def harm(self, batch: Batch, place: Tensor | None = None) -> Tensor:
        """(B,): the harm to rows after a change, at these places of all rows."""
        return self._judged(batch, torch.arange(len(batch)) if place is None else place, None)

    def outputs(self, batch: Batch) -> Outputs:
        """The network's answers, a chunk at a time."""
        with evaluating(self.network):
            parts = [
                self.task.answers(self.task.forward(self.network, batch.keep(place)))
                for place in torch.arange(len(batch)).split(self._rows())
            ]
        return _together(parts)

    def batch_found(self) -> Batch:
        """All rows at their worst."""
        return replace(self.batch, inputs=tuple(self.found))

    def _judged(self, batch: Batch, place: Tensor, goal: Tensor | None) -> Tensor:
        """The harm at rows after a change, a chunk at a time."""
        threat, found = replace(self.threat, goal=goal), list[Tensor]()
        with evaluating(self.network):
            for few in torch.arange(len(place)).split(self._rows()):
                part = replace(threat, goal=None if goal is None else goal[few])
                own = self.batch.keep(place[few])
                found.append(judged(self.network, own, batch.keep(few), self.task, part).float())
        return torch.cat(found) if found else torch.zeros(0)

    def _rows(self) -> int:
        return max(1, CELLS // max(1, sum(x[0].numel() for x in self.batch.inputs if len(x))))


def _as_changed(x: Tensor, way: Any) -> Tensor:
    return x.float() if way.moves and not x.is_floating_point() else x.clone()


def _together(parts: list[Outputs]) -> Outputs:
    """Outputs of chunks as those of all rows."""
    if len(parts) == 1:
        return parts[0]
    columns = iter([torch.cat(column) for column in zip(*map(leaves, parts), strict=True)])
    return each_tensor(parts[0], lambda _: next(columns))
