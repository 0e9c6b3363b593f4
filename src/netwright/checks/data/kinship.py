"""What rows have in common beyond their inputs: rows of one group, and neighbors in time."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from netwright.checks.data.encoded import Column, blocks
from netwright.checks.evidence import DataEvidence, Skip
from netwright.data.split import Rows
from netwright.statistics import NORMAL, Interval

BINS = 12  # quantiles of a number: enough for a curve, few enough for hundreds of rows
CATEGORIES = 20  # the most frequent values of a column
THUMBNAIL = 6  # pixels a side: the colors of a picture and where they are
MOST_COLUMNS = 40  # of a table that predict the target: the time grows with the square
RIDGE = 3.0  # rows of prior knowledge that an input has no effect

Values = NDArray[np.float64]


def inputs_of(evidence: DataEvidence, rows: Rows, *, without: str) -> Values:
    """(rows, features), standardized: numbers in bins, categories, small pictures; without dates and `without`."""
    if evidence.prepared is None:
        raise Skip(evidence.problem.splitlines()[0] if evidence.problem else "the rows are not encoded")
    found = list[Tensor]()
    for block, column in blocks(evidence):
        names = [field.name for field in block.fields]
        kept = [place for place, name in enumerate(names) if name != without][:MOST_COLUMNS]
        family = block.fields[0].family
        if family == "pictures":
            found.append(_small(column, rows))
        elif family in ("numbers", "labels") and kept:
            cells = column(torch.from_numpy(rows)).cpu().reshape(len(rows), -1)
            found += [_binned(cells[:, n]) if family == "numbers" else _listed(cells[:, n]) for n in kept]
    if not found:
        raise Skip("no numbers, categories or pictures to compare rows by")
    return _standardized(torch.cat(found, dim=1).double().numpy())


def unexplained(evidence: DataEvidence, rows: Rows, inputs: Values) -> Values:
    """(rows, targets): the residuals of the target after an additive model of the inputs; each class is one target."""
    if evidence.prepared is None:
        raise Skip("the rows are not encoded")
    targets = evidence.prepared.whole.targets(torch.from_numpy(rows))
    if len(targets) != 1 or targets[0].numel() != targets[0].shape[0]:
        raise Skip("the target is not a single class or number")
    cells = targets[0].cpu().flatten()
    truth = _standardized((cells[:, None].double() if cells.is_floating_point() else _classes(cells)).numpy())
    fitted = np.linalg.solve(inputs.T @ inputs + RIDGE * np.eye(inputs.shape[1]), inputs.T @ truth)
    return truth - inputs @ fitted


def within(groups: Rows, values: Values) -> Interval:
    """The intraclass correlation of two rows of one group, over all columns of `values`.

    Its interval comes from the spread over groups.
    """
    number = np.unique(groups, return_inverse=True)[1]
    size = np.bincount(number).astype(np.float64)
    centered = values - values.mean(axis=0)
    sums = np.zeros((len(size), values.shape[1]))
    np.add.at(sums, number, centered)
    own = np.bincount(number, weights=(centered**2).sum(axis=1))
    return _kinship((sums**2).sum(axis=1) - own, size * (size - 1), float((centered**2).sum(axis=1).mean()))


def between(one: Rows, other: Rows, values: Values) -> Interval:
    """The correlation of pairs of rows, given by their positions in `values`."""
    centered = values - values.mean(axis=0)
    shared = (centered[one] * centered[other]).sum(axis=1)
    return _kinship(shared, np.ones(len(shared)), float((centered**2).sum(axis=1).mean()))


def _kinship(shared: Values, pairs: Values, variance: float) -> Interval:
    if not pairs.sum() or variance < 1e-9:  # all is explained, or no row has another in its group
        return Interval(0.0, 0.0, 0.0)
    value = shared.sum() / pairs.sum() / variance
    half = NORMAL * float(np.sqrt(((shared / variance - value * pairs) ** 2).sum())) / pairs.sum()
    return Interval.around(float(value), float(half))


def _binned(cells: Tensor) -> Tensor:
    known = torch.where(cells.isfinite(), cells, cells[cells.isfinite()].median() if cells.isfinite().any() else 0)
    edges = torch.from_numpy(np.unique(np.quantile(known.numpy(), np.linspace(0, 1, BINS + 1)[1:-1])))
    places = torch.bucketize(known.double(), edges.double())
    return torch.cat([functional.one_hot(places, len(edges) + 1).float(), _rank(known)[:, None]], dim=1)


def _rank(cells: Tensor) -> Tensor:
    return cells.argsort(stable=True).argsort().float() / max(len(cells) - 1, 1)


def _listed(cells: Tensor) -> Tensor:
    return functional.one_hot(cells.long().clamp(0, CATEGORIES), CATEGORIES + 1).float()


def _small(column: Column, rows: Rows) -> Tensor:
    small = [
        functional.adaptive_avg_pool2d(column(some).cpu().float(), THUMBNAIL).flatten(1)
        for some in torch.from_numpy(rows).split(1024)
    ]
    return torch.cat(small)


def _classes(cells: Tensor) -> Tensor:
    numbers, counts = cells.unique(return_counts=True)
    most = numbers[counts.argsort(descending=True)[:CATEGORIES]]
    return (cells[:, None] == most).double()


def _standardized(values: Values) -> Values:
    spread = values.std(axis=0)
    kept = spread > 1e-9
    return (values[:, kept] - values[:, kept].mean(axis=0)) / spread[kept]
