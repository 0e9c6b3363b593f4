"""Ridge regression in the space of a radial kernel: the most that few rows of plain features allow."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netwright.records.features import Matrix, dense
from netwright.simple_models.wanted import Answer, Wanted

LANDMARKS = 1_000  # rows that others are compared with: 2,000 gained .4 points on clothes, in five times the time
LEAST_SCALE = 0.01  # of the usual spread, added to each column's: nearly constant columns are not blown up
STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # penalties that are tried
SHARPNESS = tuple(np.geomspace(0.3, 100, 40).tolist())  # logits for one unit of the regression's answer
TINY = 1e-6  # of the largest eigenvalue; smaller ones are rounding

Numbers = NDArray[Any]


@final
@dataclass(frozen=True, eq=False)
class _Space:
    """Rows as vectors whose products approximate a radial kernel by landmarks (Williams and Seeger 2001)."""

    mean: Numbers
    scale: Numbers
    landmarks: Numbers
    width: float
    basis: Numbers

    @classmethod
    def of(cls, x: Numbers, generator: np.random.Generator) -> "_Space":
        mean, spread = x.mean(0), x.std(0)
        scale = spread + LEAST_SCALE * spread.mean() + np.finfo(np.float32).tiny
        count = len(x)
        rows = np.arange(count) if count <= LANDMARKS else generator.choice(count, LANDMARKS, replace=False)
        landmarks = (x[rows] - mean) / scale
        apart = _squares(landmarks, landmarks)
        width = float(np.median(apart[np.triu_indices(len(rows), 1)])) if count > 1 else 1.0
        values, vectors = np.linalg.eigh(np.exp(-apart / max(width, TINY)).astype(np.float64))
        kept = values > TINY * values[-1]
        basis = (vectors[:, kept] / np.sqrt(values[kept])).astype(np.float32)
        return cls(mean, scale, landmarks, max(width, TINY), basis)

    def __call__(self, x: Numbers) -> Numbers:
        return np.exp(-_squares((x - self.mean) / self.scale, self.landmarks) / self.width) @ self.basis


def _squares(a: Numbers, b: Numbers) -> Numbers:
    """(A, B): squared distances."""
    return np.maximum((a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T, 0)


def fit(x: Matrix, wanted: Wanted, seed: int = 0) -> Answer | None:
    """Classes as one column of zeros and ones each; penalty and sharpness by leaving out each row, in closed form."""
    if wanted.form not in ("classes", "numbers"):
        return None
    if one := wanted.of_one_class():
        return one
    columns = dense(x)
    space = _Space.of(columns, np.random.default_rng(seed))
    is_class = wanted.form == "classes"
    targets = np.eye(wanted.outputs)[wanted.values] if is_class else wanted.values.astype(np.float64)[:, None]
    mean = targets.mean(0)
    rows = space(columns)
    values, vectors = np.linalg.eigh((rows.T @ rows).astype(np.float64))
    values, turned = np.maximum(values, 0), rows @ vectors.astype(np.float32)
    along = turned.T @ (targets - mean)
    left_out = [_left_out(turned, values, along, targets, mean, strength) for strength in STRENGTHS]
    best = int(np.argmin([((answers - targets) ** 2).mean() for answers in left_out]))
    weights = (vectors @ (along / (values + STRENGTHS[best])[:, None])).astype(np.float32)
    sharpness = _sharpness(left_out[best], wanted.values) if is_class else 1.0

    def answer(x: Matrix) -> Tensor:
        given = torch.from_numpy(space(dense(x)) @ weights + mean).double()
        return (given * sharpness).log_softmax(1) if is_class else given

    return answer


def _left_out(
    rows: Numbers, values: Numbers, along: Numbers, targets: Numbers, mean: Numbers, strength: float
) -> Numbers:
    """What a regression on all rows but one answers for that one (Allen 1974)."""
    share = (rows * rows) @ (1 / (values + strength)).astype(np.float32)
    missed = targets - mean - rows @ (along / (values + strength)[:, None])
    return targets - missed / np.maximum(1 - share, TINY)[:, None]


def _sharpness(answers: Numbers, given: Numbers) -> float:
    logits, classes = torch.from_numpy(answers), torch.from_numpy(given).long()
    return min(SHARPNESS, key=lambda by: float(torch.nn.functional.cross_entropy(logits * by, classes)))
