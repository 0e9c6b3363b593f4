"""Small problems, each from a seed, and what can be wrong with their inputs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from benchmarks.zoo.plans import Plan
from sklearn.datasets import load_digits, make_circles, make_friedman1
from torch import Tensor

from netwright.records.task import Task
from netwright.tasks.classification import Classification
from netwright.tasks.regression import Regression

APART = 1.83  # of two clouds of spread one: 18 % of the rows lie on the wrong side of the middle
SYMBOLS = 6


@dataclass(frozen=True, eq=False)
class Rows:
    """Inputs and targets; the first `train` rows are for training."""

    x: Tensor
    y: Tensor
    train: int
    task: Task


def rows(plan: Plan) -> Rows:
    """The plan's data with all that is planted in them."""
    made = DATA[plan.data](plan.seed)
    drawn = np.random.default_rng((plan.seed, 1))
    x, y, train = made.x, made.y, made.train
    if plan.shares:
        keep = _by_share(y.numpy(), plan.shares, drawn)
        x, y, train = x[keep], y[keep], int((keep < train).sum())
    if plan.rows:
        x, y = torch.cat([x[: plan.rows], x[train:]]), torch.cat([y[: plan.rows], y[train:]])
        train = plan.rows
    if plan.permuted:
        y = y[drawn.permutation(len(y))]
    if plan.wrong:
        chosen = np.flatnonzero(drawn.random(train) < plan.wrong)
        y = y.clone()
        y[chosen] = y[drawn.integers(0, train, len(chosen))]
    if plan.change:
        x = CHANGES[plan.change](x.clone(), plan.amount, drawn)
    if plan.stamp:
        x = x.clone()
        x[:, :2, :2] = plan.stamp * (2.0 * (y[:, None, None] >> torch.arange(4).reshape(2, 2) & 1) - 1)
    task = made.task
    if isinstance(task, Classification):
        task = replace(task, counts=tuple(torch.bincount(y[:train], minlength=len(task.labels)).tolist()))
    return replace(made, x=x, y=y, train=train, task=task)


def _by_share(labels: np.ndarray, shares: tuple[float, ...], drawn: np.random.Generator) -> np.ndarray:
    """Ascending row numbers, as many as can be had with these shares of the classes."""
    counts = np.bincount(labels, minlength=len(shares))
    whole = min(count / share for count, share in zip(counts, shares, strict=True))
    kept = [drawn.permutation(np.flatnonzero(labels == k))[: round(whole * share)] for k, share in enumerate(shares)]
    return np.sort(np.concatenate(kept))


def _classes(x: np.ndarray, y: np.ndarray, train: int) -> Rows:
    count = int(y.max()) + 1
    names = tuple(map(str, range(count)))
    return Rows(torch.tensor(x, dtype=torch.float32), torch.tensor(y.astype(np.int64)), train, Classification(names))


@cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    x, y = load_digits(return_X_y=True)
    return (x / 16 - 0.3) / 0.38, y  # mean and spread of all pixels


def digits(seed: int) -> Rows:
    """8 x 8 pictures of ten digits: 1,200 rows for training, 597 for validation."""
    x, y = _digits()
    order = np.random.default_rng(seed).permutation(len(y))
    return _classes(x[order].reshape(-1, 8, 8), y[order], 1200)


def circles(seed: int) -> Rows:
    """Two rings, one inside the other."""
    x, y = make_circles(1400, noise=0.08, factor=0.5, random_state=seed)
    return _classes(x / x.std(), y, 800)


def blobs(seed: int) -> Rows:
    """Two clouds that overlap: nothing does better than 82 %."""
    drawn = np.random.default_rng(seed)
    y = drawn.integers(0, 2, 2400)
    return _classes(drawn.normal(size=(2400, 2)) + APART * (y[:, None] - 0.5) * [1.0, 0.0], y, 1600)


def tabular(seed: int) -> Rows:
    """Ten columns, five of which tell a number. Friedman 1991."""
    x, y = make_friedman1(1800, noise=1.0, random_state=seed)
    y = (y - y[:1200].mean()) / y[:1200].std()
    return Rows(torch.tensor((x - 0.5) * 12**0.5).float(), torch.tensor(y).float(), 1200, Regression())


def bars(seed: int) -> Rows:
    """8 x 8 pictures of noise with a bar that lies, stands, or runs either way across."""
    drawn = np.random.default_rng(seed)
    y = drawn.integers(0, 4, 2000)
    x = drawn.normal(0, 0.7, (2000, 8, 8))
    places = drawn.integers(0, 5, (2000, 2))
    for picture, kind, (i, j) in zip(x, y, places, strict=True):
        for k in range(4):
            picture[(i, i + k, i + k, i + 3 - k)[kind], (j + k, j, j + k, j + k)[kind]] += 2.0
    return _classes(x / x.std(), y, 1400)


def copied(seed: int) -> Rows:
    """Eight symbols; the answer is the third."""
    drawn = np.random.default_rng(seed)
    symbols = drawn.integers(0, SYMBOLS, (2200, 8))
    return _classes(np.eye(SYMBOLS)[symbols] * 2, symbols[:, 2], 1600)


DATA: dict[str, Callable[[int], Rows]] = {
    "digits": digits,
    "circles": circles,
    "blobs": blobs,
    "tabular": tabular,
    "bars": bars,
    "copy": copied,
}


def scaled(x: Tensor, amount: float, _drawn: np.random.Generator) -> Tensor:
    """All of it."""
    return x * amount


def uneven(x: Tensor, amount: float, drawn: np.random.Generator) -> Tensor:
    """Columns by 1 to ten to the power of `amount`."""
    factors = drawn.permutation(10 ** np.linspace(0, amount, x[0].numel())).reshape(x.shape[1:])
    return x * torch.tensor(factors, dtype=torch.float32)


def shifted(x: Tensor, amount: float, _drawn: np.random.Generator) -> Tensor:
    """Far from zero."""
    return x + amount


def missing(x: Tensor, amount: float, drawn: np.random.Generator) -> Tensor:
    """A share of the rows has a value that is no number."""
    chosen = torch.tensor(drawn.random(len(x)) < amount)
    x.reshape(len(x), -1)[chosen, 1] = torch.nan
    return x


def constant(x: Tensor, _amount: float, _drawn: np.random.Generator) -> Tensor:
    """Every row is the first."""
    return x[:1].expand_as(x).clone()


def one_bad_batch(x: Tensor, amount: float, drawn: np.random.Generator) -> Tensor:
    """Four rows are so many times too large."""
    x[drawn.integers(0, len(x) // 2, 4)] *= amount
    return x


CHANGES: dict[str, Callable[[Tensor, float, np.random.Generator], Tensor]] = {
    "scaled": scaled,
    "uneven": uneven,
    "shifted": shifted,
    "missing": missing,
    "constant": constant,
    "outliers": one_bad_batch,
}
