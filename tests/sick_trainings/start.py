"""Networks that are sick before their first step, and their healthy twins: perceptrons on digits."""

from functools import partial
from itertools import pairwise

import torch
from sklearn.datasets import load_digits
from torch import nn

from netwright.checks.training.evidence import TrainingEvidence, of_run
from netwright.records.recipe import Recipe
from netwright.tasks.classification import Classification
from netwright.training.adopt import adopt
from netwright.training.fit import fit

PLAIN: dict[str, object] = {
    "adapt": False, "threads": 1, "precision": "fp32", "compile": "never", "kernels": "torch", "lr": 1e-3, "epochs": 3,
    "batch_size": 64, "optimizer": "sgd", "momentum": 0.0, "clip": 0.0,
}  # fmt: skip


def trained(
    depth: int,
    act: type[nn.Module],
    *,
    weight: float = 1.0,
    bias: float = 0.0,
    constant: float = 0.0,
    last: float = 1.0,
    **changes: object,
) -> TrainingEvidence:
    """He's weights times `weight`, biases of `bias` behind the first layer; hidden weights all `constant` unless 0."""
    torch.manual_seed(0)
    widths = [64, *[48] * depth, 10]
    linears = [nn.Linear(a, b) for a, b in pairwise(widths)]
    for number, linear in enumerate(linears):
        nn.init.kaiming_normal_(linear.weight, nonlinearity="linear" if number == depth else "relu")
        linear.weight.data *= last if number == depth else weight
        nn.init.constant_(linear.bias, bias if 0 < number < depth else 0.0)
        if constant and number < depth:
            nn.init.constant_(linear.weight, constant)
    modules = [m for linear in linears[:-1] for m in (linear, act())]
    x, y = load_digits(return_X_y=True)
    inputs, labels = torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)
    recipe = Recipe().edit({**PLAIN, **changes})
    task = Classification(tuple("0123456789"))
    events = fit(adopt(nn.Sequential(*modules, linears[-1]), task, (inputs[:1200], labels[:1200]), recipe=recipe))
    while True:
        try:
            next(events)
        except StopIteration as end:
            return of_run(end.value)


healthy = partial(trained, 3, nn.ReLU, lr=0.05)
CASES = {
    "NW301": (partial(trained, 6, nn.ReLU, weight=6.0, lr=1e-7), healthy),
    "NW302": (partial(trained, 12, nn.Sigmoid), healthy),
    "NW303": (partial(trained, 3, nn.ReLU, bias=-10.0), healthy),
    "NW304": (partial(trained, 3, nn.Tanh, weight=30.0), partial(trained, 3, nn.Tanh, lr=0.05)),
    "NW305": (partial(trained, 3, nn.ReLU, constant=0.01), healthy),
    "NW306": (partial(trained, 3, nn.ReLU, last=100.0, lr=1e-6), healthy),
    "NW307": (partial(trained, 4, nn.ReLU, weight=0.3, bias=3.0, lr=1e-6), healthy),
}
