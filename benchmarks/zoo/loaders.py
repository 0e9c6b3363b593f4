"""Loaders as engineers write them: some lose the labels, some only look odd."""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

Batches = Iterator[tuple[Tensor, Tensor]]


class Loader:
    """Reads the rows again at each pass, in the way of one of LOADERS."""

    def __init__(self, name: str, x: Tensor, y: Tensor, size: int, amount: float) -> None:
        self.name, self.rows, self.size, self.amount = name, (x, y), size, amount

    def __iter__(self) -> Batches:
        return LOADERS[self.name](*self.rows, self.size, self.amount)


def loader(
    name: str, x: Tensor, y: Tensor, size: int, amount: float
) -> Iterable[tuple[Tensor, Tensor]] | tuple[Tensor, Tensor]:
    """All rows as a pair where no loader is named."""
    return Loader(name, x, y, size, amount) if name else (x, y)


def plain(x: Tensor, y: Tensor, size: int, _amount: float) -> Batches:
    """A new order at each pass."""
    for rows in torch.randperm(len(x)).split(size):
        yield x[rows], y[rows]


def apart(x: Tensor, y: Tensor, size: int, amount: float) -> Batches:
    """In a share of the batches labels are drawn in an order of their own."""
    order, other, drawn = torch.randperm(len(x)), torch.randperm(len(x)), torch.rand(-(-len(x) // size))
    for k, (rows, others) in enumerate(zip(order.split(size), other.split(size), strict=True)):
        yield x[rows], y[others if drawn[k] < amount else rows]


def late(x: Tensor, y: Tensor, size: int, amount: float) -> Batches:
    """In a share of the batches the labels are the next row's."""
    order, drawn = torch.randperm(len(x)), torch.rand(-(-len(x) // size))
    for k, rows in enumerate(order.split(size)):
        yield x[rows], y[rows].roll(1, 0) if drawn[k] < amount else y[rows]


def jittered(x: Tensor, y: Tensor, size: int, amount: float) -> Batches:
    """Noise on the inputs, as augmentation adds it."""
    for rows in torch.randperm(len(x)).split(size):
        yield x[rows] + amount * torch.randn(x[rows].shape), y[rows]


def oversampled(x: Tensor, y: Tensor, size: int, _amount: float) -> Batches:
    """Rows are drawn so that classes come equally often."""
    weights = 1.0 / torch.bincount(y)[y]
    for rows in torch.multinomial(weights, len(x), replacement=True).split(size):
        yield x[rows], y[rows]


LOADERS: dict[str, Callable[[Tensor, Tensor, int, float], Batches]] = {
    "plain": plain,
    "apart": apart,
    "late": late,
    "jittered": jittered,
    "oversampled": oversampled,
}
