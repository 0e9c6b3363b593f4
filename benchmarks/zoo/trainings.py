"""A plan carried out: by netwright's own training, or by a loop as an engineer writes it."""

import time
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, isfinite, nan

import torch
from benchmarks.zoo.data import rows
from benchmarks.zoo.designs import design, settings_of
from benchmarks.zoo.loaders import loader
from benchmarks.zoo.plans import Plan

from netwright.checks.training.evidence import TrainingEvidence, of_run
from netwright.machine.randomness import epoch_seed, mixed
from netwright.planning.again import trained_again
from netwright.records.errors import NetwrightError
from netwright.records.history import Epoch, History
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.tasks.classification import Classification
from netwright.training.adopt import adopt
from netwright.training.evaluate import evaluate
from netwright.training.fit import fit
from netwright.training.objective import build_objective
from netwright.training.optimizer import build_optimizer
from netwright.training.probes import mean_loss
from netwright.training.schedule import schedule
from netwright.training.watch import watch

PLAIN: dict[str, object] = {
    "adapt": False, "threads": 1, "precision": "fp32", "compile": "never", "kernels": "torch", "device": "cpu",
    "optimizer": "adamw", "lr": 3e-3, "batch_size": 32, "epochs": 12, "schedule": "cosine", "weight_decay": 1e-2,
}  # fmt: skip
EARLY, BARELY = 0.05, 1e-4  # where the schedule `fallen` falls, and to what share of its peak
BLOW, SHORT = 20.0, 0.01  # times the rate, and for which share of the steps, in `spiked`


@dataclass(frozen=True)
class Habits:
    """How a bare loop is written."""

    clears: int = 1  # steps between two calls of zero_grad; 0 never calls it
    evaluates: bool = False  # the network stays in evaluation mode
    forgets: bool = False  # the optimizer is not given the first block


LOOPS: dict[str, Habits] = {
    "careful": Habits(),
    "never cleared": Habits(clears=0),
    "rarely cleared": Habits(clears=8),
    "evaluating": Habits(evaluates=True),
    "forgotten": Habits(forgets=True),
}


def run_of(plan: Plan) -> Run:
    """The plan's run, not trained yet."""
    made = rows(plan)
    outputs = len(made.task.labels) if isinstance(made.task, Classification) else 1
    recipe = Recipe().edit({**PLAIN, "seed": plan.seed, **settings_of(plan), **dict(plan.recipe)})
    x, y = made.x[: made.train], made.y[: made.train]
    train = loader(plan.loader, x, y, recipe.batch_size, plan.amount)
    valid = (made.x[made.train :], made.y[made.train :])
    build = partial(design, plan, made.x, outputs)
    return adopt(build(recipe), made.task, train, valid, recipe=recipe, build=build)


def trained(plan: Plan) -> TrainingEvidence:
    """What the plan's training shows. Where losses are no numbers, `fit` refuses to go on and a bare loop does not."""
    run = carried_out(run_of(plan), plan)
    again = partial(trained_again, run, lambda _event: None) if plan.deep else None
    return replace(of_run(run), retrain=again)


def carried_out(run: Run, plan: Plan) -> Run:
    """A run of the plan, trained the plan's way."""
    torch.manual_seed(run.recipe.seed)
    if not plan.loop:
        try:
            return _sharpened(_fitted(run), plan)
        except NetwrightError:
            pass
    return _sharpened(_looped(run, LOOPS[plan.loop or "careful"]), plan)


def _sharpened(run: Run, plan: Plan) -> Run:
    for name, parameter in run.network.named_parameters():
        if plan.sharpened != 1 and "last" in name.split("."):
            parameter.data *= plan.sharpened
    return run


def _fitted(run: Run) -> Run:
    events = fit(run)
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


def _looped(run: Run, habits: Habits) -> Run:
    """Epochs in plain PyTorch; the last weights are kept, whatever they are."""
    net, recipe = deepcopy(run.network), run.recipe
    parameters = dict(net.named_parameters())
    if habits.forgets:
        for name in parameters:
            parameters[name].requires_grad_(not name.startswith("blocks.0."))
    optimizer, objective = build_optimizer(net, recipe), build_objective(run)
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    per_epoch = ceil(len(run.train) / recipe.batch_size)
    course, epochs, step = schedule(recipe, per_epoch * recipe.epochs), list[Epoch](), 0
    with watch(net, optimizer) as seen:
        for number in range(1, recipe.epochs + 1):
            began, losses = time.perf_counter(), list[float]()
            seed = epoch_seed(recipe.seed, number)
            for batch in run.train.batches(recipe.batch_size, seed=seed):
                torch.manual_seed(mixed(seed + step))
                net.train(not habits.evaluates)
                for group in optimizer.param_groups:
                    group["lr"] = course(step)
                if habits.clears and step % habits.clears == 0:
                    optimizer.zero_grad()
                loss = objective(net, batch).mean()
                loss.backward()
                optimizer.step()
                losses.append(float(loss.detach()))
                step += 1
                if not isfinite(losses[-1]):
                    break
            seconds = time.perf_counter() - began
            valid = {"loss": nan}
            if isfinite(losses[-1]) and isfinite(mean_loss(net, objective, [*run.valid.batches(1024, seed=None)])):
                valid = evaluate(net, run.task, run.valid, recipe).quick()  # answers that are no numbers have no score
            mean = sum(losses) / len(losses)
            epochs.append(Epoch(number, step, mean, valid, course(step - 1), nan, seconds, len(losses) / seconds, 0,
                                is_best=number == recipe.epochs))  # fmt: skip
            if not isfinite(losses[-1]):
                break
    history = History(tuple(epochs), "the loop ended")
    return replace(run, network=net.eval(), history=history, watched=seen.watched())


def fallen(step: int, steps: int, _warmup: float) -> float:
    """A schedule made for a training of a twentieth of the steps."""
    return 1.0 if step < EARLY * steps else BARELY


def restarted(step: int, steps: int, _warmup: float) -> float:
    """Three cosines behind each other. Loshchilov and Hutter 2016, arXiv:1608.03983."""
    return 0.5 * (1 + torch.cos(torch.tensor(torch.pi * (3 * step / steps % 1.0))).item()) + 1e-3


def spiked(step: int, steps: int, _warmup: float) -> float:
    """A cosine that is blown up for a moment: the loss jumps, and comes back."""
    course = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * step / steps)).item())
    return course * (BLOW if 0.4 <= step / steps < 0.4 + SHORT else 1.0)
