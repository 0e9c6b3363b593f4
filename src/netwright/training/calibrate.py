"""Calibrated probabilities: one temperature, fitted on the validation part."""

from math import exp

import torch
import torch.nn.functional as F

from netwright.models.network import Joined
from netwright.records.batch import Rows
from netwright.records.run import Run
from netwright.records.task import Labels
from netwright.training.evaluate import device_of, evaluating

LEAST_ROWS = 100  # of the validation part: with fewer, the temperature is as much chance as fact
WIDEST = 2.5  # |log temperature|: no network that learned anything is off by more than a factor of 12
HALVINGS = 40  # of the interval: far below rounding


def calibrate(run: Run) -> str:
    """Fits what the run's network answers to the validation part; says how, or "" if nothing changed."""
    if (temperature := fit_temperature(run)) != 1.0:
        return f"probabilities fitted to the validation part: logits divided by {temperature:.2f}"
    return run.task.correct(run.network, run.valid) if run.schema.inputs and len(run.valid) else ""


def fit_temperature(run: Run) -> float:
    """Divides the logits of the run's network by the temperature with the lowest log loss on the validation part.

    No answer changes, only its confidence: label smoothing makes a network underconfident, long training overconfident.
    The factor goes into the head's weights, so the architecture stays. Guo et al. 2017, arXiv:1706.04599, section 4.
    Returns the temperature; 1 for other tasks, an engineer's own network, or a small validation part.
    """
    network = run.network
    if run.task.link != "softmax" or not isinstance(network, Joined) or len(run.valid) < LEAST_ROWS:
        return 1.0
    rows = Rows()
    with evaluating(network):
        for batch in run.valid.batches(run.recipe.batch_size, seed=None):
            logits = run.task.forward(network, batch.to(device_of(network)))
            labels = run.task.view(batch.targets)
            if not isinstance(logits, torch.Tensor) or not isinstance(labels, Labels):
                return 1.0
            rows.add((logits.double().cpu(), torch.from_numpy(labels.positions)))
    temperature = temperature_of(*rows.joined())
    with torch.no_grad():
        for weights in network.head.parameters():
            weights.div_(temperature)
    return temperature


def temperature_of(logits: torch.Tensor, targets: torch.Tensor) -> float:
    """The temperature that minimizes the log loss of logits (n, K) with targets (n,).

    By bisection on the slope of the loss, which is convex in 1 / temperature.
    """
    low, high = -WIDEST, WIDEST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        scale = torch.tensor(exp(-middle), dtype=torch.float64, requires_grad=True)
        loss = F.cross_entropy(logits * scale, targets)
        (slope,) = torch.autograd.grad(loss, scale)
        low, high = (middle, high) if slope > 0 else (low, middle)  # a smaller scale is a higher temperature
    return exp((low + high) / 2)
