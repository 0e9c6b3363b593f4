"""Digits with labels exchanged, targets ten times too large, copies with other labels; and their healthy twins."""

import numpy as np
import polars as pl
from sklearn.datasets import load_digits

from netwright.checks.evidence import DataEvidence
from netwright.data.prepare import prepare
from netwright.data.read import read
from netwright.data.split import split

WRONG = tuple(range(0, 600, 20))  # rows


def _evidence(data: object) -> DataEvidence:
    dataset = read(data, target=("y",) if isinstance(data, pl.DataFrame) else ())
    parts = split(dataset)
    return DataEvidence(dataset, parts, prepare(dataset, parts))


def _digits(wrong: tuple[int, ...]) -> DataEvidence:
    digits = load_digits()
    labels = digits.target.copy()
    labels[list(wrong)] = (labels[list(wrong)] + 3) % 10
    return _evidence(((digits.images * 15.9).astype(np.uint8)[:600], labels[:600]))


def _numbers(wrong: tuple[int, ...]) -> DataEvidence:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(1000, 4))
    y = 20 + x @ [3.0, -2.0, 1.0, 0.5] + generator.normal(size=1000) * 0.3
    y[list(wrong)] *= 10
    return _evidence(pl.DataFrame({**{f"x{k}": x[:, k] for k in range(4)}, "y": y}))


def _copies(labels: str) -> DataEvidence:
    generator = np.random.default_rng(0)
    x = generator.normal(size=400).round(6)
    y = np.where(x > 0, "up", "down")
    x[:4] = 9.0
    y[:4] = list(labels)
    return _evidence(pl.DataFrame({"x": x, "z": generator.normal(size=400) * (np.arange(400) > 3), "y": y}))


CASES = {
    "NW110": (lambda: _digits(WRONG), WRONG[:10], lambda: _digits(())),
    "NW111": (lambda: _numbers(WRONG[:8]), WRONG[:8], lambda: _numbers(())),
    "NW112": (lambda: _copies(["up", "up", "down", "up"]), (2,), lambda: _copies(["up"] * 4)),
}
