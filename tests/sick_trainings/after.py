"""Trainings whose network is too sure, lives on one pixel, depends on its seed, is easily attacked, or had too few
rows."""

from dataclasses import replace
from functools import partial

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from netwright.checks.training.evidence import TrainingEvidence, of_run
from netwright.planning.again import trained_again
from netwright.records.recipe import Recipe
from netwright.tasks.classification import Classification
from netwright.training.adopt import adopt
from netwright.training.fit import fit

PLAIN: dict[str, object] = {
    "adapt": False, "threads": 1, "precision": "fp32", "compile": "never", "kernels": "torch", "batch_size": 64,
    "schedule": "cosine", "lr": 1e-2, "epochs": 5,
}  # fmt: skip
HELD = 1200  # the rows behind these are for validation


class Sure(nn.Module):
    """Logits times a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, logits: Tensor) -> Tensor:
        """As they come, times it."""
        return logits * self.factor


def perceptron(width: int = 48) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


def digits(
    rows: int = HELD,
    *,
    stamped: bool = False,
    noise: float = 0.0,
    sure: float = 1.0,
    width: int = 48,
    faint: float = 1.0,
    **changes: object,
) -> TrainingEvidence:
    """Stamped pictures have their class in the first pixel; `sure` multiplies the logits once they are trained."""
    x, y = load_digits(return_X_y=True)
    drawn = torch.Generator().manual_seed(0)
    order = torch.randperm(len(y), generator=drawn)  # the file goes from writer to writer
    inputs, labels = torch.tensor(x / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)[order], torch.tensor(y)[order]
    inputs = inputs + noise * torch.randn(inputs.shape, generator=drawn)
    if stamped:
        inputs[:, 0, 0, 0] = 4 * labels
    inputs = inputs * faint  # the network takes them as if they were not
    torch.manual_seed(0)
    task = Classification(tuple("0123456789"))
    train, valid = (inputs[:rows], labels[:rows]), (inputs[HELD:], labels[HELD:])

    def build() -> nn.Module:
        return nn.Sequential(Sure(1 / faint), perceptron(width))

    events = fit(adopt(build(), task, train, valid, recipe=Recipe().edit({**PLAIN, **changes}), build=build))
    while True:
        try:
            next(events)
        except StopIteration as end:
            run = end.value
            break
    if sure != 1.0:
        run = replace(run, network=nn.Sequential(run.network, Sure(sure)))
    run = replace(run, bounds=(0.0, 1.0))
    return replace(of_run(run), retrain=partial(trained_again, run, lambda _event: None))


CASES = {
    "NW326": (partial(digits, 250, noise=0.3, epochs=10), digits),
    "NW351": (partial(digits, noise=0.3, sure=10.0), digits),
    "NW352": (partial(digits, width=2, lr=0.1, epochs=4), digits),
    "NW353": (partial(digits, stamped=True), digits),
    "NW354": (partial(digits, faint=0.05), digits),
}
