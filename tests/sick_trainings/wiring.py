"""Trainings that are wired wrong, and their healthy twins: a perceptron on digits."""

import random
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.checks.training.evidence import TrainingEvidence, of_run
from netwright.records.recipe import Recipe
from netwright.records.watched import Watched
from netwright.tasks.classification import Classification
from netwright.training.adopt import adopt
from netwright.training.fit import fit

PLAIN: dict[str, object] = {
    "adapt": False, "threads": 1, "precision": "fp32", "compile": "never", "kernels": "torch", "epochs": 2,
    "batch_size": 64, "lr": 3e-3,
}  # fmt: skip


class Perceptron(nn.Module):
    def __init__(self, fault: str = "") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.fault = nn.Linear(64, 48), nn.Linear(48, 10), fault

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.first(x))
        match self.fault:
            case "detached":
                h = h.detach()
            case "random":
                h = F.dropout(h, 0.5)  # training=True is the default
            case "leaking":
                h = h - h.mean(0)
            case "python's own random":
                h = h * random.uniform(0.9, 1.1) if self.training else h
        return self.last(h).softmax(1) if self.fault == "softmax" else self.last(h)


class Channels(nn.Module):
    def __init__(self, *, by_view: bool) -> None:
        super().__init__()
        self.conv, self.last, self.by_view = nn.Conv2d(2, 8, 3), nn.Linear(8, 10), by_view

    def forward(self, x: Tensor) -> Tensor:
        x = x.view(-1, 2, 4, 16) if self.by_view else x.permute(0, 3, 1, 2)
        return self.last(self.conv(x).relu().mean((2, 3)))


class Loader:
    """Batches in a new order at each pass; where `apart`, labels are drawn in an order of their own."""

    def __init__(self, *, apart: bool) -> None:
        self.apart = apart

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        x, y = digits()
        order = torch.randperm(len(x))
        labels = torch.randperm(len(x)) if self.apart else order
        yield from zip(x[order].split(64), y[labels].split(64), strict=True)


def digits() -> tuple[Tensor, Tensor]:
    x, y = load_digits(return_X_y=True)
    return torch.tensor(x / 16, dtype=torch.float32)[:1200], torch.tensor(y)[:1200]


def trained(fault: str = "") -> TrainingEvidence:
    return _trained(Perceptron(fault), digits())


def loaded(*, apart: bool) -> TrainingEvidence:
    return _trained(Perceptron(), Loader(apart=apart))


def watched(**counts: int) -> TrainingEvidence:
    return replace(trained(), watched=Watched(steps=100, looked=20, **counts))


def broadcast(*, fault: bool) -> TrainingEvidence:
    """Squared errors of outputs (B, 1); where `fault`, of targets (B,), as in many forum threads."""
    x, y = digits()
    targets = y.float() if fault else y.float()[:, None]
    return of_run(
        adopt(nn.Linear(64, 1), lambda o, t: (o - t).square().mean(), (x, targets), recipe=Recipe().edit(PLAIN))
    )


def pictures(*, fault: bool) -> TrainingEvidence:
    """Digits (B, 4, 16, 1) doubled to (B, 4, 16, 2), for a convolution over (B, 2, 4, 16); where `fault`, by a view."""
    x, y = digits()
    grey = x.reshape(-1, 4, 16, 1)
    x = torch.cat([grey, 1 - grey], 3)
    return of_run(adopt(Channels(by_view=fault), Classification(tuple("0123456789")), (x, y)))


def _trained(network: nn.Module, data: object) -> TrainingEvidence:
    events = fit(adopt(network, Classification(tuple("0123456789")), data, recipe=Recipe().edit(PLAIN)))
    while True:
        try:
            next(events)
        except StopIteration as end:
            return of_run(end.value)


CASES = {
    "NW311": (partial(watched, uncleared=19), partial(watched, uncleared=0)),
    "NW312": (partial(trained, "detached"), trained),
    "NW313": (partial(trained, "softmax"), trained),
    "NW314": (partial(trained, "random"), trained),
    "NW315": (partial(trained, "leaking"), trained),
    "NW316": (partial(loaded, apart=True), partial(loaded, apart=False)),
    "NW318": (partial(broadcast, fault=True), partial(broadcast, fault=False)),
    "NW320": (partial(pictures, fault=True), partial(pictures, fault=False)),
    "NW317": (partial(trained, "python's own random"), trained),
}
