"""Random changes: what anyone can try without knowing the network."""

from torch import nn

from netwright.attacks.problem import Problem
from netwright.records.batch import Batch
from netwright.records.task import Task
from netwright.records.threat import Threat

TRIES = 100  # points of each row


def noise(network: nn.Module, batch: Batch, task: Task, threat: Threat, *, tries: int = TRIES) -> Batch:
    """The worst of some random points in reach. Half of them are at its corners, where changes are largest."""
    problem, generator = Problem(network, batch, task, threat), threat.generator()
    for number in range(tries):
        z = problem.space.random(generator)
        if number % 2:
            z = problem.space.project(problem.space.steepest(z) * threat.size)
        problem.look(z)
        if not problem.open.any():
            break
    return problem.result()
