"""Cells swapped for others, one after the other: categories, dates, words and symbols."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor, nn

from netwright.attacks.losses import LOSSES, fitting
from netwright.attacks.neighbors import stems_of, with_neighbors
from netwright.attacks.problem import PASSES, each_pass, harm_of, is_random, seeds_of
from netwright.models.stem import Stem
from netwright.records.batch import Batch, Outputs
from netwright.records.errors import DataError
from netwright.records.nested import each_tensor, leaves
from netwright.records.task import Task
from netwright.records.threat import Threat, Way

ROWS = 64  # at once: the candidates of all their cells are in memory together
PASSED = 512  # changed rows in a forward pass
TRIED = 512  # swaps of a row and step that the network judges if its cells are columns: all of most tables
TRIED_IN_SEQUENCES = 64  # the same for words or symbols: a forward pass of a row costs far more
CONSIDERED = 4096  # swaps of a row and step that the gradient judges; of more, so many at random
LOOKED_UP = 2**23  # numbers in memory while it does
SECOND_THOUGHTS = 2  # steps after the last cell, which swap one of those again
TIE = 1e-6  # of the greatest estimate: where gradients vanish, chance decides


def swaps(
    network: nn.Module, batch: Batch, task: Task, threat: Threat, *, loss: str = "", tried: int | None = None
) -> Batch:
    """The swap that raises the loss most, again and again, each judged by the network itself.

    If a row has more than `tried` possible swaps, the gradient of the loss with respect to the looked-up vectors says
    which to try: HotFlip, Ebrahimi et al. 2017, arXiv:1712.06751. Words are swapped for those that the network reads
    alike. No row has more cells swapped than its ways allow, of those it has in the batch; rows that are beaten stay as
    they are. A network whose answers are random is judged by the mean of several. `loss` is a key of LOSSES; by default
    the margin for labels; up and then down for numbers.

    Raises DataError if no cell can be swapped.
    """
    ways = with_neighbors(threat.ways, network, batch)
    places = [place for place, way in enumerate(ways) if way.swaps is not None]
    if not places:
        raise DataError(
            "no input holds categories, dates, words or symbols that can be swapped for others that are known",
            remedy="attack values instead: pgd.",
        )
    whole = _with_lengths(batch, stems_of(network))
    passes = PASSES if len(batch) and is_random(network, batch, task) else 1
    inputs = [x.clone() if place in places else x for place, x in enumerate(batch.inputs)]
    for number, rows in enumerate(torch.arange(len(batch), device=batch.rows.device).split(ROWS)):
        goal = threat.goal if threat.goal is None else threat.goal[rows]
        part = replace(threat, ways=ways, goal=goal, seed=threat.seed + number)
        search = _Search(network, whole.pick(rows), task, part, places, tried, passes)
        for name in (loss,) if loss else directions(task):
            search.climb(name)
        for place in places:
            found = search.best[place]
            inputs[place][rows, : found.shape[1]] = found
    return replace(batch, inputs=tuple(inputs))


def directions(task: Task) -> tuple[str, ...]:
    """The losses that a search climbs: up and down for numbers; the margin for labels, which does not flatten."""
    if task.link == "identity":
        return ("up", "down")
    return ("margin",) if "margin" in fitting(task) else fitting(task)[:1]


@final
@dataclass(frozen=True, eq=False)
class _Cells:
    """One input whose cells are swapped."""

    place: int  # among the inputs
    start: Tensor  # (B, S, *cell)
    candidates: Tensor  # (B, S, K, *cell)
    allowed: Tensor  # (B, S, K)
    limit: Tensor  # (B,)

    @property
    def count(self) -> int:
        """Candidates of a row."""
        return self.allowed[0].numel()

    def options(self, now: Tensor) -> Tensor:
        """(B, S * K): swaps that keep a row within its limit."""
        is_swapped = (now != self.start) & ~self.start.isnan()
        is_swapped = is_swapped.flatten(2).any(2) if now.ndim > 2 else is_swapped
        has_room = is_swapped.sum(1) < self.limit
        return (self.allowed & (is_swapped | has_room[:, None])[..., None]).flatten(1)

    def write(self, x: Tensor, here: Tensor, rows: Tensor, which: Tensor) -> None:
        """Swaps a cell in the lines `here` of an input, in place: by the candidate `which` of the rows `rows`."""
        cell, candidate = which // self.allowed.shape[2], which % self.allowed.shape[2]
        x[here, cell] = self.candidates[rows, cell, candidate]


@final
class _Search:
    """Some rows, and the best swaps found for them so far."""

    def __init__(
        self,
        network: nn.Module,
        batch: Batch,
        task: Task,
        threat: Threat,
        places: Sequence[int],
        tried: int | None,
        passes: int,
    ) -> None:
        self.network, self.batch, self.task, self.threat = network, batch, task, threat
        self.passes, self._seeds = passes, seeds_of(threat)
        self.stems = stems_of(network)
        self.generator = threat.generator()
        self.parts = [_cells(batch, place, threat.ways[place], threat.size) for place in places]
        has_steps = any(batch.lengths and batch.lengths[place] is not None for place in places)
        self.tried = (TRIED_IN_SEQUENCES if has_steps else TRIED) if tried is None else tried
        with torch.no_grad():
            found = [self._answers(batch) for _ in self._each_pass()]
        means = iter([torch.stack(parts).mean(0) for parts in zip(*map(leaves, found), strict=True)])
        self.clean = found[0] if passes == 1 else each_tensor(found[0], lambda _: next(means))
        self.best = list(batch.inputs)
        self.harm = harm_of(task, self.clean, self.clean, batch, threat.goal)

    def climb(self, loss: str) -> None:
        """Steps from the batch as it is, until none raises the loss."""
        now, everyone = list(self.batch.inputs), torch.arange(len(self.batch), device=self.batch.rows.device)
        losses = LOSSES[loss](self.clean, self.batch, self.task, self.threat.goal).detach()
        most = int(torch.stack([part.limit for part in self.parts]).sum(0).max())
        for _ in range(most + SECOND_THOUGHTS):
            options = torch.cat([part.options(now[part.place]) for part in self.parts], 1)
            options &= self._open[:, None]
            chosen, is_option = self._ranked(now, options, loss)
            if not is_option.any():
                return
            found, harm = self._tried(now, chosen, is_option, loss)
            most_harm, where = harm.max(1)
            worse = most_harm > self.harm
            after = self._after(now, everyone[worse], chosen[everyone, where][worse])
            self.best = [torch.where(_as(worse, x), y, x) for x, y in zip(self.best, after, strict=True)]
            self.harm = torch.where(worse, most_harm, self.harm)
            greatest, where = found.max(1)
            moves = greatest > losses
            if not moves.any():
                return
            now = self._after(now, everyone[moves], chosen[everyone, where][moves])
            losses = torch.where(moves, greatest, losses)

    @property
    def _open(self) -> Tensor:
        """(B,): rows that are not beaten yet; harm without an end can still grow."""
        ends = self.task.can_be_wrong or self.threat.goal is not None
        return self.harm < 1 if ends else torch.ones_like(self.harm, dtype=torch.bool)

    def _each_pass(self) -> Iterator[None]:
        """Once for each pass."""
        return each_pass(self.passes, self._seeds)

    def _answers(self, batch: Batch) -> Outputs:
        return self.task.answers(self.task.forward(self.network, batch))

    def _after(self, now: Sequence[Tensor], rows: Tensor, which: Tensor) -> list[Tensor]:
        """The inputs after a swap in each of some rows."""
        after = list(now)
        self._write(after, rows, rows, which)
        return after

    def _write(self, inputs: list[Tensor], here: Tensor, rows: Tensor, which: Tensor) -> None:
        """Puts swapped copies in place of inputs; `here` are their lines. `which` counts all candidates."""
        start = 0
        for part in self.parts:
            mine = (which >= start) & (which < start + part.count)
            if mine.any():
                inputs[part.place] = inputs[part.place].clone()
                part.write(inputs[part.place], here[mine], rows[mine], which[mine] - start)
            start += part.count

    def _tried(self, now: list[Tensor], chosen: Tensor, is_option: Tensor, loss: str) -> tuple[Tensor, Tensor]:
        """(B, n) each: the losses and the harm after each chosen swap; minus infinity for those that are none."""
        losses = torch.full(chosen.shape, -torch.inf, device=chosen.device)
        harm = losses.clone()
        state, goals = replace(self.batch, inputs=tuple(now)), self.threat.goal
        rows, columns = is_option.nonzero(as_tuple=True)
        for some, column in zip(rows.split(PASSED), columns.split(PASSED), strict=True):
            truth, trial = self.batch.pick(some), state.pick(some)
            inputs = list(trial.inputs)
            self._write(inputs, torch.arange(len(some), device=some.device), some, chosen[some, column])
            trial, goal = replace(trial, inputs=tuple(inputs)), None if goals is None else goals[some]
            clean = each_tensor(self.clean, lambda t, some=some: t[some])
            raised, harms = list[Tensor](), list[Tensor]()
            with torch.no_grad():
                for _ in self._each_pass():
                    outputs = self._answers(trial)
                    raised.append(LOSSES[loss](outputs, truth, self.task, goal).float())
                    harms.append(harm_of(self.task, outputs, clean, truth, goal).float())
            losses[some, column] = torch.stack(raised).mean(0).nan_to_num(-torch.inf, torch.inf, -torch.inf)
            harm[some, column] = torch.stack(harms).mean(0)
        return losses, harm

    def _ranked(self, now: list[Tensor], options: Tensor, loss: str) -> tuple[Tensor, Tensor]:
        """(B, n) each: the options to try, and which of them are options."""
        count = int(options.sum(1).max())
        if count <= self.tried:
            order = options.float()
        else:
            order = torch.rand(options.shape, generator=self.generator).to(options.device)
            if count > CONSIDERED:
                kept = order.masked_fill(~options, -1.0).topk(CONSIDERED, 1).indices
                options = options & torch.zeros_like(options).scatter(1, kept, True)
            if self.stems:
                estimates = self._estimates(now, options, loss)
                order = estimates + order * (TIE * estimates.abs().amax(1, keepdim=True)).clamp(min=TIE)
            order = order.masked_fill(~options, -torch.inf)
        chosen = order.topk(min(count, self.tried), 1).indices
        return chosen, options.gather(1, chosen)

    def _estimates(self, now: list[Tensor], options: Tensor, loss: str) -> Tensor:
        """(B, all candidates): by how much each option raises the loss, by its gradient."""
        vectors = [stem.lookup(x).detach() for stem, x in zip(self.stems, now, strict=True)]
        moved = [vectors[part.place].requires_grad_() for part in self.parts]
        looked_up, passed = replace(self.batch, inputs=tuple(vectors)), list[tuple[Tensor, ...]]()
        for _ in self._each_pass():
            with torch.enable_grad():
                losses = LOSSES[loss](self._answers(looked_up), self.batch, self.task, self.threat.goal)
                passed.append(torch.autograd.grad(losses.sum(), moved, materialize_grads=True))
        gradients = [torch.stack(parts).mean(0) for parts in zip(*passed, strict=True)]
        found, start = list[Tensor](), 0
        with torch.no_grad():
            for part, own, gradient in zip(self.parts, moved, gradients, strict=True):
                slope = gradient.nan_to_num(0.0, 0.0, 0.0)
                mine = options[:, start : start + part.count]
                estimate = _of_places if own.ndim > 2 else _of_rows
                found.append(estimate(self.stems[part.place], part, now[part.place], own, slope, mine))
                start += part.count
        return torch.cat(found, 1)


def _of_places(stem: Stem, part: _Cells, now: Tensor, own: Tensor, slope: Tensor, options: Tensor) -> Tensor:
    """Gains if every place has its own vector: (B, S, width)."""
    gains = list[Tensor]()
    for rows in torch.arange(len(now), device=now.device).split(max(1, LOOKED_UP // (part.count * own.shape[2]))):
        candidates = part.candidates[rows]
        vectors = stem.lookup(candidates.flatten(1, 2)).unflatten(1, candidates.shape[1:3])
        gains.append(((vectors - own[rows][:, :, None]) * slope[rows][:, :, None]).nan_to_num().sum(3).flatten(1))
    return torch.cat(gains)


def _of_rows(stem: Stem, part: _Cells, now: Tensor, own: Tensor, slope: Tensor, options: Tensor) -> Tensor:
    """Gains if all columns share one vector, (B, width): each option is looked up in its row."""
    gains = torch.zeros(options.shape, device=own.device)
    rows, which = options.nonzero(as_tuple=True)
    most = max(1, LOOKED_UP // max(1, own.shape[1]))
    for some, candidate in zip(rows.split(most), which.split(most), strict=True):
        swapped = now[some]
        part.write(swapped, torch.arange(len(some), device=some.device), some, candidate)
        gains[some, candidate] = ((stem.lookup(swapped) - own[some]) * slope[some]).sum(1).float()
    return gains


def _cells(batch: Batch, place: int, way: Way, size: float) -> _Cells:
    x = batch.inputs[place]
    if way.swaps is None:
        raise TypeError("only an input whose cells can be swapped has candidates")
    candidates, allowed = way.swaps(x, size)
    steps = (batch.lengths or [None] * len(batch.inputs))[place]
    there = torch.full((len(x),), x.shape[1], device=x.device) if steps is None else steps
    return _Cells(place, x, candidates, allowed, way.swapped(there, size))


def _with_lengths(batch: Batch, stems: Sequence[Stem]) -> Batch:
    """The batch with the lengths that its network would infer."""
    if batch.lengths or not stems:
        return batch
    pairs = zip(stems, batch.inputs, strict=True)
    return replace(batch, lengths=tuple(stem.lengths(x) if stem.is_sequence else None for stem, x in pairs))


def _as(mask: Tensor, like: Tensor) -> Tensor:
    """(B,) as (B, 1, ...)."""
    return mask.reshape(-1, *[1] * (like.ndim - 1))
