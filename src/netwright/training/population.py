"""Many small networks trained at once: a step of a stack costs far less than one step of each."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, isfinite
from typing import final

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from netwright.machine.memory import peak_bytes
from netwright.machine.randomness import epoch_seed, mixed
from netwright.records.batch import Batch, Given
from netwright.records.errors import NetwrightError, listed
from netwright.records.history import Epoch, History, Progress
from netwright.records.run import Run
from netwright.tasks import LOSSES
from netwright.training.check import check_network, not_finite
from netwright.training.checkpoint import Position
from netwright.training.epochs import LOWERED, chooses, ending, finished, is_watched
from netwright.training.evaluate import device_of
from netwright.training.fit import fit
from netwright.training.loop import Step
from netwright.training.schedule import schedule
from netwright.training.stacked import Stacked, structure, unstackable_layer
from netwright.training.updates import RULES, SMOOTH, columns, update

# Networks in a stack. 32 perceptrons of 64 units took 1.11 CPU seconds an epoch in stacks of 8, 0.92 in 16 and 0.86 in
# 32 (one thread, medians of 5): beyond 16 there is little gain, and the activations of wider ones leave the caches.
STACK = 16
EVALUATED = 256  # minimum rows of a validation batch: scores do not depend on it

Events = Generator[tuple[int, str | Progress | Epoch], None, tuple[Run | NetwrightError, ...]]


def population(runs: Sequence[Run], *, clock: Callable[[], float] = time.perf_counter) -> Events:
    """Trains copies of the runs' networks as `fit` does, many at once; yields (which run, what happened): every epoch,
    and of runs trained alone the progress in between.

    Returns, in the runs' order, what `fit` would return, within rounding. If `fit` would raise an error, returns that
    error, so that the others continue. Runs are stacked if they agree in the layers and sizes of the network, the
    data's tensors, task, loss, optimizer, batch size and precision; each keeps its own rows, seed and other settings.
    If `unstackable` gives a reason, `fit` trains the run alone. An epoch's seconds are the run's share of the stack's.
    Nothing is written to folders.
    """
    done: dict[int, Run | NetwrightError] = {}
    members: list[_Member] = []
    for index, run in enumerate(runs):
        try:
            if unstackable(run):
                done[index] = yield from _alone(index, run, clock)
            else:
                members.append(_Member(index, run))
        except NetwrightError as error:
            done[index] = error
    for some in _grouped(members):
        stack = _Stack(some, clock)
        while stack.members:
            yield from stack.one_epoch(done)
    return tuple(done[index] for index in range(len(runs)))


def unstackable(run: Run) -> str:
    """Why a run is trained alone; empty if it can be stacked."""
    recipe = run.recipe
    if not run.task.link:
        return f"the losses of {run.task.name} may depend on more than a row's outputs"
    if recipe.loss != "auto" and recipe.loss not in LOSSES:
        return f"the loss {recipe.loss!r} may depend on more than a row's outputs"
    if recipe.defense:
        return f"its defense ({listed(recipe.defense)}) runs the network more than once in a step"
    if recipe.optimizer not in RULES:
        return f"the optimizer {recipe.optimizer!r} has no stacked form"
    if recipe.accumulate > 1:
        return f"accumulate={recipe.accumulate}: a stack takes one step per batch"
    if not run.train.is_indexed or not run.valid.is_indexed:
        return "its rows are not in memory"
    if not run.train.is_in_memory or not run.valid.is_in_memory:
        return "its rows are encoded batch by batch"
    if run.train.plain() is not run.train:
        return "its training rows are augmented, each batch with its own generator"
    if not len(run.train):
        return "it has no training rows"
    if (device := device_of(run.network)).type != "cpu":
        return f"its network is on {device}, where dropout cannot be drawn separately for each network of a stack"
    return unstackable_layer(run.network)


def _alone(
    index: int, run: Run, clock: Callable[[], float]
) -> Generator[tuple[int, str | Progress | Epoch], None, Run]:
    with closing(fit(run, clock=clock)) as events:
        while True:
            try:
                event = next(events)
            except StopIteration as end:
                return end.value
            yield index, event


def _grouped(members: Iterable["_Member"]) -> Iterator[list["_Member"]]:
    """Stacks of members that fit together, none above STACK."""
    groups: list[tuple[object, list[_Member]]] = []
    for member in members:
        key = member.key()
        own = next((some for known, some in groups if known == key), None)
        if own is None:
            groups.append((key, [member]))
        else:
            own.append(member)
    for _, some in groups:
        # Most steps first: at each step of an epoch, the members that still have a batch come first.
        some.sort(key=lambda member: -member.epoch_steps)
        size = ceil(len(some) / ceil(len(some) / STACK))
        yield from (some[first : first + size] for first in range(0, len(some), size))


@final
class _Member:
    """One run's part of a stack: where its training is."""

    def __init__(self, index: int, run: Run) -> None:
        """Raises what `fit` would: RecipeError or NetworkError if settings or network do not fit the task."""
        self.index, self.run, recipe = index, run, run.recipe
        self.train, self.valid = run.train, run.valid
        self.epoch_steps = ceil(len(self.train) / recipe.batch_size)
        self.all_steps = self.epoch_steps * recipe.epochs
        self.schedule = schedule(recipe, self.all_steps)
        self.half_life = recipe.average * self.epoch_steps
        self.generator = torch.Generator()
        self.position = Position()
        self.epochs: list[Epoch] = []
        check_network(run.network, run.task, next(self.train.batches(recipe.batch_size, seed=None)))
        run.task.objective(recipe)

    def key(self) -> object:
        """What the members of a stack share."""
        run, recipe = self.run, self.run.recipe
        data = (self.train, self.valid)
        return (
            run.task,
            (recipe.loss, recipe.class_weights, recipe.batch_size),
            (recipe.optimizer, recipe.nesterov, recipe.precision == "bf16"),
            [part.source for part in data],
            len(self.valid) > 0,
            structure(run.network),
        )

    def seed(self) -> int:
        """That of the epoch."""
        return epoch_seed(self.run.recipe.seed, self.position.epoch)

    def rate(self, step: int) -> float:
        """The learning rate of a step, from 0."""
        return self.schedule(step) * LOWERED**self.position.lowered

    def end_epoch(self, valid: dict[str, float]) -> Epoch:
        """Records the epoch and decides whether it was the last."""
        p = self.position
        memory = peak_bytes(torch.device("cpu"))
        epoch, self.position = finished(p, self.run, valid, self.rate(p.step - 1), memory)
        self.epochs.append(epoch)
        return epoch


@final
@dataclass(frozen=True)
class _Plan:
    """An epoch's steps, for all members at once. A member without a batch at a step is not among its first `active`."""

    active: list[int]  # members of each step
    counts: list[list[int]]  # rows of each member's batch, by step
    shares: list[Tensor]  # (active, B) for each step: the weight of each row in its member's mean loss
    rows: Tensor  # (steps, K, B) row numbers; padded with the member's first row
    columns: dict[str, tuple[Tensor, ...]]  # for each step (K, 1): numbers of the updates


@final
class _Stack:
    """Members trained together. Every tensor of `rows` has one row per member."""

    def __init__(self, members: Sequence[_Member], clock: Callable[[], float]) -> None:
        self.members, self.clock = list(members), clock
        recipes = [member.run.recipe for member in members]
        self.task, self.recipe = members[0].run.task, recipes[0]
        self.stacked = Stacked([member.run.network for member in members])
        weights = self.stacked.weights()
        self.rows = {name: torch.zeros_like(weights) for name in ("first", "second", "gradient")}
        self.rows |= {"weights": weights, "best": weights.clone()}
        if any(member.half_life for member in members):
            self.rows["average"] = weights.clone()
        self.has_l1 = any(recipe.l1 for recipe in recipes)
        smooth = {recipe.label_smoothing for recipe in recipes}
        at = (0.0, SMOOTH) if len(smooth) > 1 else tuple(smooth)
        self.objectives = [self.task.objective(replace(self.recipe, label_smoothing=share)) for share in at]
        self.update = partial(update, RULES[self.recipe.optimizer][self.recipe.nesterov])
        self._known: dict[int, tuple[dict[str, Tensor], dict[str, Tensor]]] = {}

    def one_epoch(self, done: dict[int, Run | NetwrightError]) -> Iterator[tuple[int, Epoch]]:
        """Trains and evaluates all members for an epoch; members that have ended are `done`."""
        began = self.clock()
        plan = self._plan()
        losses, norms = self._train(plan)
        trained = self.clock()
        self._remove_diverged(plan, losses, norms, done)
        scores = self._evaluate() if self.members and len(self.members[0].valid) else [{} for _ in self.members]
        evaluated = self.clock()
        share = 1 / plan.active[0]
        told: list[tuple[int, Epoch]] = []
        for row, (member, valid) in enumerate(zip(self.members, scores, strict=True)):
            member.position = replace(
                member.position, training_seconds=(trained - began) * share, seconds=(evaluated - began) * share
            )
            epoch = member.end_epoch(valid)
            if epoch.is_best:
                self.rows["best"][row] = self._result_rows()[row]
            told.append((member.index, epoch))
            if member.position.ended:
                done[member.index] = self._result(row, member)
        self._keep([row for row, member in enumerate(self.members) if not member.position.ended])
        yield from told

    def _result(self, row: int, member: _Member) -> Run:
        run, position = member.run, member.position
        kept = self.rows["best"] if chooses(run) and position.best_epoch else self._result_rows()
        network = deepcopy(run.network)
        self.stacked.put(kept[row], network)
        return replace(run, network=network.eval(), history=History(tuple(member.epochs), ending(position, run)))

    def _result_rows(self) -> Tensor:
        """The weights to evaluate and keep: the averages if there are any."""
        return self.rows.get("average", self.rows["weights"])

    def _keep(self, which: list[int]) -> None:
        if len(which) == len(self.members):
            return
        self.members = [self.members[row] for row in which]
        self.rows = {name: tensor[which] for name, tensor in self.rows.items()}
        self._known.clear()
        if self.members:
            self.stacked = Stacked([member.run.network for member in self.members])

    def _plan(self) -> _Plan:
        batches = [m.train.batch_rows(self.recipe.batch_size, seed=m.seed()) for m in self.members]
        steps, size = len(batches[0]), max(len(some[0]) for some in batches)
        rows = torch.zeros(steps, len(batches), size, dtype=torch.int64)
        for k, some in enumerate(batches):
            # Padded with a row of the same member: whatever that row holds, this member trains on it anyway.
            padded = pad_sequence(list(some), batch_first=True, padding_value=float(some[0][0]))
            rows[: len(some), k, : padded.shape[1]] = padded
            rows[: len(some), k, padded.shape[1] :] = some[0][0]
        counts = [[len(some[step]) for some in batches if step < len(some)] for step in range(steps)]
        known = {tuple(some): _shares(some, self.rows["weights"].dtype) for some in counts}
        shares = [known[tuple(some)] for some in counts]
        return _Plan([len(some) for some in counts], counts, shares, rows, self._columns(steps))

    def _columns(self, steps: int) -> dict[str, tuple[Tensor, ...]]:
        members, recipes = self.members, [member.run.recipe for member in self.members]
        done = [member.position.step for member in members]
        rates = [[m.rate(m.position.step + s) for m in members] for s in range(steps)]
        lives = [member.half_life for member in members] if "average" in self.rows else []
        return columns(recipes, done, rates, lives, self.rows["weights"].dtype)

    def _train(self, plan: _Plan) -> tuple[list[Tensor], list[Tensor]]:
        """All steps of the epoch: losses (active, B) and gradient norms (active,) of each."""
        losses: list[Tensor] = []
        norms: list[Tensor] = []
        seeds = [member.seed() for member in self.members]
        for step, active in enumerate(plan.active):
            for member, seed in zip(self.members[:active], seeds, strict=False):
                member.generator.manual_seed(mixed(seed + step))
            columns = {name: column[step] for name, column in plan.columns.items()}
            rows = self.rows
            if active < len(self.members):
                rows, columns = ({name: t[:active] for name, t in some.items()} for some in (rows, columns))
            found, gradient = self._gradient(plan, step, columns)
            norm = torch.linalg.vector_norm(gradient, dim=1)
            self.update(rows, gradient, norm, self.stacked.heavy, columns)
            losses.append(found)
            norms.append(norm)
        return losses, norms

    def _gradient(self, plan: _Plan, step: int, columns: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Losses (active, B) and the gradient (active, weights) of each member's mean loss."""
        active, counts, shares = plan.active[step], plan.counts[step], plan.shares[step]
        data = self.members[0].train
        weights, gradients = self._parts(active)
        index = plan.rows[step, :active, : shares.shape[1]]
        batch = data.take(index.flatten())
        generators = [member.generator for member in self.members[:active]]
        outputs = self._outputs(weights, _parted(batch, index), generators=generators, counts=counts)
        given = Given(outputs.flatten(0, 1))
        found = [objective(given, batch).view(shares.shape) for objective in self.objectives]
        losses = found[0]
        if len(found) > 1:  # every smoothed loss is linear in the smoothing
            losses = torch.lerp(found[0], found[1], columns["smooth"])
        if self.has_l1:
            losses = losses + columns["l1"] * self.stacked.absolute(weights)
        made = torch.autograd.grad(losses, tuple(weights.values()), shares, materialize_grads=True)
        for gradient, place in zip(made, gradients.values(), strict=True):
            place.copy_(gradient)
        return losses.detach(), self.rows["gradient"][:active]

    def _parts(self, active: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Weights and gradients of the first members by name, as views of their rows; made once."""
        if active not in self._known:
            weights, gradients = (self.stacked.parts(self.rows[name][:active]) for name in ("weights", "gradient"))
            leaves = {name: part.detach().requires_grad_() for name, part in weights.items()}
            self._known[active] = leaves, gradients
        return self._known[active]

    def _outputs(
        self, parts: dict[str, Tensor], inputs: Sequence[Tensor], *,
        generators: Sequence[torch.Generator] = (), counts: Sequence[int] = (),
    ) -> Tensor:  # fmt: skip
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.precision == "bf16"):
            outputs = self.stacked(parts, inputs, generators=generators, counts=counts)
        return outputs.float() if outputs.dtype == torch.bfloat16 else outputs

    @torch.no_grad()
    def _evaluate(self) -> list[dict[str, float]]:
        """Each member's scores on its own validation rows."""
        data, indices = self.members[0].valid, [member.valid.rows for member in self.members]
        padded = torch.stack([torch.cat([i, i[:1].expand(max(map(len, indices)) - len(i))]) for i in indices])
        size = max(EVALUATED, self.recipe.batch_size)
        parts = self.stacked.parts(self._result_rows())
        outputs = torch.cat(
            [self._outputs(parts, _parted(data.take(some.flatten()), some)) for some in padded.split(size, 1)], 1
        )
        scores = [self.task.score() for _ in indices]
        for score, index, out in zip(scores, indices, outputs, strict=True):
            score.add(out[: len(index)], Batch((), data.targets(index), index))
        return [score.quick() for score in scores]

    def _remove_diverged(
        self, plan: _Plan, losses: list[Tensor], norms: list[Tensor], done: dict[int, Run | NetwrightError]
    ) -> None:
        """Records what was trained; members with a loss that is not finite end with their error."""
        every = [
            loss.where(share > 0, 0).sum(1, dtype=torch.float64)
            for loss, share in zip(losses, plan.shares, strict=True)
        ]
        table = zip(*(pad_sequence(some).tolist() for some in (every, norms)), strict=True)
        for row, (member, (sums, lengths)) in enumerate(zip(self.members, table, strict=True)):
            counts = [some[row] for some in plan.counts[: member.epoch_steps]]
            sums, lengths = sums[: len(counts)], lengths[: len(counts)]
            lengths = [n if is_watched(member.run.recipe, s) else 0.0 for s, n in enumerate(lengths)]  # as in `fit`
            bad = next(
                (s for s, pair in enumerate(zip(sums, lengths, strict=True)) if not all(map(isfinite, pair))), None
            )
            if bad is not None:
                rows = plan.rows[bad, row, : counts[bad]]
                step = Step(
                    bad, losses[bad][row, : counts[bad]], rows, norms[bad][row], member.rate(member.position.step + bad)
                )
                done[member.index] = _diverged(member, step)
            member.position = replace(
                member.position,
                taken=len(counts),
                step=member.position.step + len(counts),
                loss_sum=sum(sums),
                norm_sum=sum(lengths),
                rows=sum(counts),
            )
        self._keep([row for row, member in enumerate(self.members) if member.index not in done])


def _diverged(member: _Member, step: Step) -> NetwrightError:
    p, run = member.position, member.run
    number = p.step + step.index + 1
    where = f"step {number:,} of {member.all_steps:,} (epoch {p.epoch}, learning rate {step.lr:.3g})"
    return not_finite(run, step, [member.train.take(step.rows)], number=number, where=where)


def _parted(batch: Batch, index: Tensor) -> list[Tensor]:
    """Inputs (K, B, ...) of a batch of the row numbers (K, B)."""
    return [t.unflatten(0, index.shape) for t in batch.inputs]


def _shares(counts: list[int], dtype: torch.dtype) -> Tensor:
    """(K, B): the weight of each row in its member's mean loss; 0 for padding."""
    if min(counts) == max(counts):
        return torch.full((len(counts), counts[0]), 1 / counts[0], dtype=dtype)
    count = torch.tensor(counts)[:, None]
    return ((torch.arange(max(counts)) < count) / count).to(dtype)
