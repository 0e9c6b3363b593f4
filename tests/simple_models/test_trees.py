"""Boosted trees take a bounded amount of work, the same on every machine."""

from typing import Any

import numpy as np
import pytest

from netwright.simple_models import trees
from netwright.simple_models.wanted import Wanted


def seen(rows: int, columns: int, classes: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    found = dict[str, Any]()

    def fit(x: Any, wanted: Wanted, seed: int = 0, **settings: Any) -> None:
        found.update(settings, rows=len(x), targets=len(wanted.values))

    monkeypatch.setattr(trees, "fit", fit)
    values = np.arange(rows) % classes if classes else np.arange(rows, dtype=np.float32)
    wanted = Wanted.classes(values, classes) if classes else Wanted.numbers(values)
    trees.bounded(np.zeros((rows, columns), np.float32), wanted)
    return found


@pytest.mark.parametrize(
    "shape", [(20_000, 110, 2), (20_000, 16, 26), (6_500, 256, 10), (680, 256, 10), (20_000, 2_000, 0)]
)
def test_the_work_is_bounded_for_many_columns_rows_and_classes(
    shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, columns, classes = shape
    found = seen(*shape, monkeypatch)
    cells = columns * (classes if classes > 2 else 1) * (found["rows"] + found["leaves"] * found["bins"])
    assert found["rows"] == found["targets"]
    assert cells * found["rounds"] <= trees.WORK
    assert cells * (found["rounds"] + 1) > 0.9 * trees.WORK or found["rounds"] == trees.ROUNDS


def test_few_rows_get_small_and_slow_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    found = seen(300, 13, 2, monkeypatch)
    assert (found["rounds"], found["leaves"], found["rate"], found["rows"]) == (100, 15, 0.05, 300)
