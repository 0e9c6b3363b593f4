"""Radii within which no change of an input changes a smoothed answer, with proof."""

from dataclasses import replace

import torch
from torch import Tensor

from netwright.attacks.losses import logits
from netwright.models.guards import Smoothed, noised
from netwright.models.modes import device_of, evaluating
from netwright.records.batch import Batch
from netwright.records.task import Task
from netwright.statistics import least_share

CHOSEN = 100  # noisy copies that choose the label, apart from those that prove it
SAMPLES = 1000
ALPHA = 0.001  # probability that a radius is too large


def certify(
    network: Smoothed, batch: Batch, task: Task, *, samples: int = SAMPLES, alpha: float = ALPHA, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """(B,) int64 labels and (B,) radii: no change of Euclidean norm below the radius changes the label.

    The norm is of all values that move, each in shares of its range; other inputs must stay. The label is that of most
    noisy copies; its probability is bounded from below by Clopper and Pearson 1934, and the radius is the spread times
    the normal quantile of that bound. The label is -1 and the radius 0 if the bound is not above one half: the network
    abstains. Cohen, Rosenfeld and Kolter 2019, arXiv:1902.02918, section 3.2. The greatest change of a single value
    below the radius over the square root of their number is covered too.

    The network is as in evaluation; it has one logit for each label, else DataError is raised.
    """
    generator = torch.Generator().manual_seed(seed)
    with evaluating(network):
        chosen = _votes(network, batch, task, CHOSEN, generator).argmax(1)
        hits = _votes(network, batch, task, samples, generator).gather(1, chosen[:, None])[:, 0]
    least = torch.tensor([least_share(int(k), samples, alpha) for k in hits.tolist()], dtype=torch.float64)
    radii = network.spread * torch.special.ndtri(least.clamp(min=0.5))
    labels = torch.where(least > 0.5, chosen.cpu(), -1)
    return labels, radii.float()


def _votes(network: Smoothed, batch: Batch, task: Task, samples: int, generator: torch.Generator) -> Tensor:
    """(B, K): how many noisy copies get each label."""
    batch = batch.to(device_of(network))
    votes = torch.zeros(0)
    for _ in range(samples):
        inputs = tuple(noised(batch.inputs, network.ways, network.spread, generator))
        answers = logits(task.answers(task.forward(network.network, replace(batch, inputs=inputs))), task)
        votes = torch.zeros_like(answers) if not votes.numel() else votes
        votes[torch.arange(len(batch)), answers.argmax(1)] += 1
    return votes
