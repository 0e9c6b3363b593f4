"""Steps along the sign of the gradient."""

from functools import partial

from torch import Tensor, nn

from netwright.attacks.losses import fitting
from netwright.attacks.problem import Problem
from netwright.records.batch import Batch
from netwright.records.task import Task
from netwright.records.threat import Threat

STEPS = 20
STRIDE = 2.5  # sizes that all steps together go: they can cross the reach and come back


def pgd(
    network: nn.Module,
    batch: Batch,
    task: Task,
    threat: Threat,
    *,
    steps: int = STEPS,
    loss: str = "",
    restarts: int = 1,
    stride: float = 0.0,
    starts_at_random: bool = True,
) -> Batch:
    """Projected gradient ascent. Madry et al. 2017, arXiv:1706.06083.

    `loss` is a key of LOSSES; by default the first that suits the task; for numbers half of the restarts go up, half
    down. A step has the length `stride` times the size, by default STRIDE / steps. Keeps each row's worst point.
    """
    problem = Problem(network, batch, task, threat)
    names = (loss,) if loss else fitting(task)[:2] if task.link == "identity" else fitting(task)[:1]
    length = threat.size * (stride or STRIDE / steps)
    for number in range(max(restarts, len(names))):
        z = problem.space.random(threat.generator(number)) if starts_at_random else problem.space.zeros()
        for _ in range(steps):
            if not problem.open.any():
                return problem.result()
            z = ascended(problem, z, names[number % len(names)], length)
        problem.look(z)
    return problem.result()


def ascended(problem: Problem, z: Tensor, loss: str, length: float) -> Tensor:
    """Points after one step."""
    _, gradient, _ = problem.gradient(z, loss)
    return problem.space.project(z + length * problem.space.steepest(gradient))


fgsm = partial(pgd, steps=1, stride=1.0, starts_at_random=False)
"""One step of full length. Goodfellow et al. 2014, arXiv:1412.6572."""
