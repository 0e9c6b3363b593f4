"""Points that beat other networks often beat this one."""

from collections.abc import Callable, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.attacks.losses import fitting
from netwright.attacks.pgd import STEPS, STRIDE
from netwright.attacks.problem import Problem
from netwright.machine.randomness import seeded
from netwright.models.modes import evaluating
from netwright.records.batch import Batch, Outputs
from netwright.records.errors import DataError
from netwright.records.nested import as_outputs
from netwright.records.task import Task
from netwright.records.threat import Threat

LOOKS_EVERY = 4  # steps: the attacked network itself is asked this often
TRAINED_STEPS = 300
LR = 2e-3  # of Adam
ROWS = 64  # in a batch


def transfer(
    network: nn.Module,
    batch: Batch,
    task: Task,
    threat: Threat,
    *,
    surrogates: Sequence[nn.Module] = (),
    steps: int = STEPS,
    loss: str = "",
) -> Batch:
    """PGD against the mean outputs of other networks; of the points on its way, those with the most harm to this one.

    Papernot et al. 2016, arXiv:1605.07277. Never asks the attacked network for a gradient. All networks are in
    evaluation mode. Raises DataError without surrogates.
    """
    if not surrogates:
        raise DataError("no surrogate networks were given", remedy="make some with `surrogates_of`.")
    problem = Problem(network, batch, task, threat)
    names = (loss,) if loss else fitting(task)[:2] if task.link == "identity" else fitting(task)[:1]
    if not problem.open.any():
        return problem.result()
    stand_in = Problem(_Mean(surrogates), batch, task, threat)
    length = threat.size * STRIDE / steps
    for number, name in enumerate(names):
        z = stand_in.space.random(threat.generator(number))
        for step in range(1, steps + 1):
            which = problem.open
            if not which.any():
                break
            _, gradient, _ = stand_in.gradient(z, name, which=which)
            z = stand_in.space.project(z + length * stand_in.space.steepest(gradient))
            if step % LOOKS_EVERY == 0 or step == steps:
                problem.look(z)
    return problem.result()


def surrogates_of(
    network: nn.Module,
    examples: Batch,
    task: Task,
    builds: Sequence[Callable[[], nn.Module]],
    *,
    steps: int = TRAINED_STEPS,
    seed: int = 0,
) -> tuple[nn.Module, ...]:
    """New networks, one from each of `builds`, that learned to answer examples as a network does.

    They learn from its probabilities or numbers, not from labels. Hinton et al. 2015, arXiv:1503.02531. Raises
    DataError if the task's outputs are not a vector for each example.
    """
    if task.link not in _LOSSES:
        raise DataError(
            f"{task.describe()} has no vector of outputs for each row, which surrogates learn from",
            remedy="choose another attack.",
        )
    with evaluating(network):
        parts = [task.answers(task.forward(network, examples.pick(part))) for part in _parts(examples)]
    taught = torch.cat([part for part in parts if isinstance(part, Tensor)])
    found = list[nn.Module]()
    for number, build in enumerate(builds):
        with seeded(seed + number):
            found.append(_learned(build(), examples, taught, task, steps))
    return tuple(found)


def _learned(network: nn.Module, examples: Batch, taught: Tensor, task: Task, steps: int) -> nn.Module:
    network = network.to(taught.device).train()
    optimizer = torch.optim.Adam(network.parameters(), LR)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = LR * (1 - step / steps)
        some = torch.randperm(len(examples))[:ROWS].to(taught.device)
        optimizer.zero_grad()
        with torch.enable_grad():
            given = task.answers(task.forward(network, examples.pick(some)))
            if not isinstance(given, Tensor):
                raise DataError("a surrogate has no single tensor of outputs", remedy="build networks for this task.")
            _LOSSES[task.link](given, taught[some]).backward()
        optimizer.step()
    return network.eval()


def _softly(given: Tensor, taught: Tensor) -> Tensor:
    return F.cross_entropy(given, taught.softmax(1))


def _each_softly(given: Tensor, taught: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(given, taught.sigmoid())


_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "softmax": _softly,
    "sigmoid": _each_softly,
    "identity": F.mse_loss,
}


def _parts(examples: Batch) -> Sequence[Tensor]:
    return torch.arange(len(examples)).split(ROWS)


@final
class _Mean(nn.Module):
    """Answers as several networks do on average."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, *inputs: Any, **named: Any) -> Outputs:  # Any: whatever a network takes
        """The mean of their outputs, which are one tensor each."""
        found = [as_outputs(network(*inputs, **named)) for network in self.networks]
        return torch.stack([outputs for outputs in found if isinstance(outputs, Tensor)]).mean(0)
