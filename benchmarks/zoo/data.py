"""Small problems, each from a seed; parts of public data, dealt by a seed; and what can be wrong with their inputs."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np
import polars as pl
import torch
from benchmarks import public_data
from benchmarks.zoo.plans import Plan
from sklearn.datasets import load_digits, make_circles, make_friedman1
from torch import Tensor

from netwright.records.task import Task
from netwright.tasks.classification import Classification
from netwright.tasks.regression import Regression

APART = 1.83  # of two clouds of spread one: 18 % of the rows lie on the wrong side of the middle
SYMBOLS = 6
TAKEN, HELD_OUT = 10_000, 2_000  # rows of public data: enough to learn from, in seconds
VOCABULARY, STEPS = 1_200, 24  # of reviews: 4,000 words are learned by heart, .88 right in training for .77


@dataclass(frozen=True, eq=False)
class Rows:
    """Inputs and targets; the first `train` rows are for training."""

    x: Tensor
    y: Tensor
    train: int
    task: Task


def rows(plan: Plan) -> Rows:
    """The plan's data with all that is planted in them."""
    made = DATA[plan.data](plan.seed) if plan.data in DATA else PUBLIC[plan.data](plan.seed, Path(plan.folder))
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


@cache
def _public(name: str, folder: Path) -> pl.DataFrame:
    frame = next(case for case in public_data.CASES if case.name == name).load(folder)
    return frame.filter(pl.col("part") == "train") if "part" in frame.columns else frame


def _dealt(frame: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, int]:
    """Rows in a random order, and how many of them are for training."""
    count = min(TAKEN + HELD_OUT, frame.height)
    return frame[np.random.default_rng(seed).permutation(frame.height)[:count]], count - HELD_OUT


def _numbers(frame: pl.DataFrame, train: int) -> np.ndarray:
    """Columns with the mean and spread of training rows taken out."""
    x = frame.to_numpy().astype(np.float64)
    return (x - x[:train].mean(0)) / x[:train].std(0)


def fashion(seed: int, folder: Path) -> Rows:
    """28 x 28 pictures of ten kinds of clothes. Xiao et al. 2017, arXiv:1708.07747."""
    frame, train = _dealt(_public("Fashion-MNIST", folder), seed)
    pixels = frame["image"].to_numpy()
    return _classes((pixels / 255 - 0.286) / 0.353, frame["label"].to_numpy().astype(int), train)


def telescope(seed: int, folder: Path) -> Rows:
    """Ten measures of showers of light, of gamma rays (65 %) or of hadrons. Bock et al. 2004."""
    frame, train = _dealt(_public("telescope", folder), seed)
    return _classes(_numbers(frame.drop("Class"), train), (frame["Class"] == "h").to_numpy(), train)


def bikes(seed: int, folder: Path) -> Rows:
    """Bikes lent in an hour, as a logarithm: from season, weather and kind of day, without the hour."""
    frame, train = _dealt(pl.read_csv(folder / "bike_sharing.csv"), seed)
    # Counts of two kinds of customers sum to the target.
    x = _numbers(frame.drop("casual", "registered", "count").to_dummies(("season", "weather")), train)
    y = _numbers(frame.select(pl.col("count").log1p()), train)[:, 0]
    return Rows(torch.tensor(x).float(), torch.tensor(y).float(), train, Regression())


def reviews(seed: int, folder: Path) -> Rows:
    """Sentences about films, good or bad: the numbers of their first words, and zeros before. Pang and Lee 2005."""
    frame, train = _dealt(_public("movie reviews", folder), seed)
    texts = [re.findall(r"[a-z']+", text.lower())[:STEPS] for text in frame["text"]]
    common = Counter(chain.from_iterable(texts[:train])).most_common(VOCABULARY - 2)
    numbers = {word: number for number, (word, _) in enumerate(common, 2)}  # 1 is any other word
    x = np.zeros((len(texts), STEPS), dtype=np.int64)
    for row, text in zip(x, texts, strict=True):
        row[STEPS - len(text) :] = [numbers.get(word, 1) for word in text]
    made = _classes(x, (frame["sentiment"] == "positive").to_numpy(), train)
    return replace(made, x=made.x.long())


PUBLIC: dict[str, Callable[[int, Path], Rows]] = {
    "fashion": fashion,
    "telescope": telescope,
    "bikes": bikes,
    "reviews": reviews,
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
