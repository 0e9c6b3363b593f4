"""Trainings whose steps are at fault, and their healthy twins: a perceptron on digits."""

from dataclasses import replace
from functools import partial

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from netwright.checks.training.evidence import TrainingEvidence, of_run
from netwright.records.history import Epoch, History
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.records.watched import Moment, Stretch, Watched
from netwright.tasks.classification import Classification
from netwright.training.adopt import adopt
from netwright.training.fit import fit

QUIET = {"adapt": False, "threads": 1, "precision": "fp32", "compile": "never", "kernels": "torch"}
PLAIN = {**QUIET, "lr": 3e-3, "epochs": 6, "batch_size": 64, "schedule": "cosine"}


def digits() -> tuple[Tensor, Tensor]:
    x, y = load_digits(return_X_y=True)
    return torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)


def perceptron(*norms: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 48), *norms, nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 10))


def trained(network: nn.Module, changes: dict[str, object], rows: int = 1200) -> Run:
    x, y = digits()
    task = Classification(tuple("0123456789"))
    recipe = Recipe().edit({**PLAIN, **changes})
    events = fit(adopt(network, task, (x[:rows], y[:rows]), (x[1200:], y[1200:]), recipe=recipe))
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


def evidence(**changes: object) -> TrainingEvidence:
    return of_run(trained(perceptron(), changes))


def with_batch_norm(batch_size: int, rows: int) -> TrainingEvidence:
    norm = nn.BatchNorm1d(48, momentum=0.9)  # statistics of the last batches alone
    changes = {"batch_size": batch_size, "schedule": "constant", "lr": 1e-2, "epochs": 2}
    return of_run(trained(perceptron(norm), changes, rows))


def constant_network() -> TrainingEvidence:
    class Deaf(nn.Module):
        """Its answers do not depend on what comes in."""

        def __init__(self) -> None:
            super().__init__()
            self.answers = nn.Linear(64, 10)

        def forward(self, x: Tensor) -> Tensor:
            return self.answers(torch.zeros_like(x))

    return of_run(trained(Deaf(), {}))


def curves(losses: list[float]) -> TrainingEvidence:
    epochs = tuple(Epoch(k + 1, k + 1, x, {"loss": x}, 1e-3, 1.0, 1.0, 1.0, 1, False) for k, x in enumerate(losses))
    return replace(evidence(), history=History(epochs))


def stretches(most: list[float], means: list[float]) -> TrainingEvidence:
    some = tuple(
        Stretch(10 * k, 10, mean, 0.9 * mean, high) for k, (high, mean) in enumerate(zip(most, means, strict=True))
    )
    return replace(evidence(), watched=Watched(losses=some, steps=10 * len(some)))


def rates(*lrs: float) -> TrainingEvidence:
    """An engineer's loop of which the rates are known."""
    moments = tuple(Moment(10 * k, 1.0, lr, 1.0, ()) for k, lr in enumerate(lrs))
    return replace(evidence(), run=None, watched=Watched(moments=moments, steps=10 * len(moments)))


FALLING = [2.0, 1.5, 1.2, 1.0, 0.9, 0.85, 0.83, 0.82, 0.81, 0.80, 0.80, 0.79]
SWINGING = [2.0, 1.5, 1.2, 1.6, 1.0, 1.5, 0.9, 1.4, 0.8, 1.3, 0.9, 0.8]
MEANS = [2.0, 1.6, 1.3, 1.1, 1.0, 0.95, 0.9, 0.88, 0.86, 0.85, 0.84, 0.83]

NOISY: dict[str, object] = {"optimizer": "sgd", "lr": 0.05, "schedule": "constant", "epochs": 1}

CASES = {
    "NW331": (partial(evidence, lr=1.0, clip=0.0), evidence),
    "NW332": (partial(evidence, lr=1e-5), partial(evidence, epochs=12)),
    "NW333": (partial(curves, SWINGING), partial(curves, FALLING)),
    "NW334": (partial(evidence, lr=2e-3, epochs=6, schedule="constant"), partial(evidence, lr=1e-2)),
    "NW335": (partial(rates, 1e-3, 1e-4, *[1e-6] * 6), partial(rates, 1e-4, *[1e-3] * 6, 1e-6)),
    "NW336": (partial(evidence, l1=0.1), partial(evidence, l1=1e-5)),
    "NW337": (partial(with_batch_norm, 4, 600), partial(with_batch_norm, 64, 1200)),
    "NW338": (partial(evidence, **NOISY, batch_size=1), partial(evidence, **NOISY, batch_size=32)),
    "NW339": (
        partial(stretches, [2.4, 2.0, 1.6, 1.3, 1.2, 90.0, *[1.2] * 6], [*MEANS[:5], *[1.9] * 7]),
        partial(stretches, [1.2 * x for x in MEANS], MEANS),
    ),
    "NW341": (constant_network, evidence),
}
