"""Trainings that learned too much, too little, or what there was to learn; and inputs as they enter."""

from functools import partial

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from netwright.checks.training.evidence import TrainingEvidence, of_run
from netwright.records.recipe import Recipe
from netwright.tasks.classification import Classification
from netwright.training.adopt import adopt
from netwright.training.fit import fit

PLAIN: dict[str, object] = {
    "adapt": False, "threads": 1, "precision": "fp32", "compile": "never", "kernels": "torch", "batch_size": 64,
    "schedule": "cosine", "lr": 1e-2, "epochs": 10,
}  # fmt: skip
Rows = tuple[Tensor, Tensor]


def trained(train: Rows, valid: Rows, width: int = 48, **changes: object) -> TrainingEvidence:
    classes = int(max(train[1].max(), valid[1].max())) + 1
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(train[0].shape[1], width), nn.ReLU(), nn.Linear(width, classes))
    task = Classification(tuple(map(str, range(classes))))
    events = fit(adopt(network, task, train, valid, recipe=Recipe().edit({**PLAIN, **changes})))
    while True:
        try:
            next(events)
        except StopIteration as end:
            return of_run(end.value)


def digits(rows: int = 1200, *, uneven: float = 0.0, wrong: float = 0.0, **changes: object) -> TrainingEvidence:
    """Columns are multiplied by up to ten to the power of `uneven`; `wrong` training labels are drawn anew."""
    x, y = load_digits(return_X_y=True)
    drawn = np.random.default_rng(0)
    scales = 10 ** drawn.uniform(-uneven, uneven, 64)
    inputs, labels = torch.tensor(x / 16 * scales, dtype=torch.float32), torch.tensor(y)
    given = torch.where(torch.tensor(drawn.random(len(y)) < wrong), torch.tensor(drawn.integers(0, 10, len(y))), labels)
    return trained((inputs[:rows], given[:rows]), (inputs[1200:], labels[1200:]), **changes)


def blobs(shares: tuple[float, float] = (0.5, 0.5), *, apart: float = 1.8, **changes: object) -> TrainingEvidence:
    """Two clouds in the plane that overlap."""
    drawn = np.random.default_rng(0)
    y = (drawn.random(1600) < shares[1]).astype(int)
    x = drawn.normal(size=(1600, 2)) + apart * y[:, None] * [1.0, 0.0]
    inputs, targets = torch.tensor(x, dtype=torch.float32), torch.tensor(y)
    return trained((inputs[:1000], targets[:1000]), (inputs[1000:], targets[1000:]), **changes)


def random_labels() -> TrainingEvidence:
    x, y = load_digits(return_X_y=True)
    labels = torch.tensor(np.random.default_rng(0).permutation(y))
    inputs = torch.tensor(x / 16, dtype=torch.float32)
    return trained((inputs[:400], labels[:400]), (inputs[1200:], labels[1200:]), width=256, epochs=40, keep="last")


def equal_rows() -> TrainingEvidence:
    x, y = torch.ones(300, 64), torch.arange(300) % 3
    return trained((x, y), (x, y))


CASES = {
    "NW321": (partial(digits, uneven=3.0, optimizer="sgd", lr=1e-4), digits),
    "NW322": (equal_rows, digits),
    "NW323": (random_labels, digits),
    "NW324": (partial(blobs, (0.93, 0.07), apart=1.2), partial(blobs, (0.85, 0.15), apart=5.0)),
    "NW342": (partial(digits, lr=1e-3, schedule="constant", epochs=5), digits),
    "NW343": (partial(digits, 150, wrong=0.2, width=256, epochs=40, keep="last"), blobs),
    "NW344": (blobs, digits),
    "NW345": (partial(digits, wrong=0.4), digits),
    "NW346": (random_labels, digits),
}
