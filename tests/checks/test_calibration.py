"""Calibration by simulation: inputs are logits, and the network hands them on."""

import numpy as np
import pytest
import torch
from torch import nn

from netwright.checks.training.calibration import miscalibrated
from netwright.checks.training.evidence import of_run
from netwright.records.finding import Finding
from netwright.records.recipe import Recipe
from netwright.tasks.classification import Classification
from netwright.training.adopt import adopt


def found(seed: int, rows: int, factor: float = 1.0, **changes: object) -> list[Finding]:
    """Of answers whose probabilities are right, but for logits that are multiplied by `factor`."""
    drawn = np.random.default_rng(seed)
    classes = (2, 3, 10)[seed % 3]
    logits = drawn.normal(size=(rows, classes)) * drawn.choice([0.5, 1.0, 2.0, 4.0])
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    y = torch.tensor((drawn.random((rows, 1)) > shares.cumsum(1)).sum(1).clip(max=classes - 1))
    x = torch.tensor(factor * logits, dtype=torch.float32)
    task, recipe = Classification(tuple(map(str, range(classes)))), Recipe().edit(changes)
    return list(miscalibrated(of_run(adopt(nn.Identity(), task, (x, y), (x, y), recipe=recipe))))


def test_calibrated_answers_of_few_rows_are_hardly_ever_called_miscalibrated():
    flagged = [bool(found(seed, (100, 200, 400, 800)[seed % 4])) for seed in range(200)]
    flagged += [bool(found(seed, 2000)) for seed in range(12)]
    assert sum(flagged) / len(flagged) < 0.03


def test_answers_that_are_too_sure_are_found_and_a_temperature_mends_them():
    every = [found(seed, 1000, factor=4.0) for seed in range(6)]
    assert all(every)
    for (finding,) in every:
        assert finding.severity == "warning"
        temperature = next(measure.value for measure in finding.measures if measure.name == "temperature")
        assert temperature == pytest.approx(4.0, rel=0.3)
        error = finding.measures[0]
        assert 0.03 < error.low < error.value < error.high
        before, after = (float(word) for word in finding.summary.split(",")[0].split() if word.startswith("0."))
        assert after < before / 2


def test_answers_that_are_too_timid_or_asked_to_be_so_are_a_note():
    assert [f.severity for f in found(2, 1000, factor=0.3)] == ["note"]
    assert [f.severity for f in found(2, 1000, factor=4.0, label_smoothing=0.1)] == ["note"]
