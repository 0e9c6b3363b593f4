import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from netwright.kinds.image import Image
from netwright.kinds.items import Items
from netwright.kinds.number import Number
from netwright.kinds.sequence import Sequence
from netwright.kinds.series import Series
from netwright.records.recipe import Recipe
from netwright.records.schema import Schema
from netwright.resolve import resolve
from netwright.tasks import TASKS
from netwright.testing.tasks import check_task

ROWS = 40
GENERATOR = np.random.default_rng(0)
NUMBERS = pl.DataFrame(GENERATOR.normal(size=(ROWS, 3)), schema=["a", "b", "c"])
PICTURES = pl.DataFrame({"photo": GENERATOR.integers(0, 256, (ROWS, 16, 16), dtype=np.uint8)})
GENES = pl.DataFrame({"gene": ["".join(GENERATOR.choice(list("ACGT"), 8 + row % 20)) for row in range(ROWS)]})
WAVES = (np.sin(np.arange(ROWS + 100)[:, None] / np.array([4, 7])) + GENERATOR.normal(7, 0.1, (ROWS + 100, 2)))[
    np.arange(ROWS)[:, None] + np.arange(96)
].astype(np.float32)  # (ROWS, 96, 2): 72 past steps, 24 next ones


def _with_errors(steps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Windows of a target, and beside each step the mean error of repeating one season before."""
    return np.stack([steps, np.full_like(steps, 0.3)], 2)


TASTES = [[f"item {(3 * row + k) % 17}" for k in range(4 + row % 5)] for row in range(ROWS)]
HISTORIES, NEXT = [one[:-1] for one in TASTES], [one[-1:] for one in TASTES]
SMALL = Recipe().edit({"depth": 1, "width": 16})

# task: target cells, inputs
CASES = {
    "classification": (pl.DataFrame({"y": ["no", "yes", "<b>"] * 13 + ["no"]}), NUMBERS),
    "multilabel": (
        pl.DataFrame({"red": [0, 1] * 20, "green": [True, True, False, True] * 10, "blue": ["yes"] * 30 + ["No"] * 10}),
        NUMBERS,
    ),
    "regression": (pl.DataFrame({"y": GENERATOR.normal(7, 3, ROWS)}), NUMBERS),
    "segmentation": (
        pl.DataFrame({"mask": GENERATOR.choice([0, 3, 255], (ROWS, 16, 16), p=[0.7, 0.2, 0.1]).astype(np.uint8)}),
        PICTURES,
    ),
    "language_model": (pl.DataFrame(), GENES),
    "forecasting": (
        pl.DataFrame({"y": _with_errors(WAVES[:, 48:, 0]), "z": _with_errors(WAVES[:, 48:, 1])}),
        pl.DataFrame({"past": WAVES[:, :72]}),
    ),
    "ranking": (pl.DataFrame({"item": NEXT}), pl.DataFrame({"history": HISTORIES})),
}
OTHER_FORMS = {
    "two classes": ("classification", pl.DataFrame({"y": [1.0, 0.0, 0.0, 1.0] * 10}), NUMBERS),
    "separated labels": ("multilabel", pl.DataFrame({"y": ["a;b", "b", "c;a", ""] * 10}), NUMBERS),
    "lists of labels": ("multilabel", pl.DataFrame({"y": [["a", "b"], ["b"], [], ["c"]] * 10}), NUMBERS),
    "skewed numbers": ("regression", pl.DataFrame({"y": np.exp(2 * GENERATOR.normal(size=ROWS))}), NUMBERS),
}


def _schema(table: pl.DataFrame) -> Schema:
    kind = {"a": Number, "photo": Image, "gene": Sequence, "past": Series, "history": Items}[table.columns[0]]
    return Schema(tuple(kind.learn(column.name, column) for column in table))


def test_every_task_has_a_case():
    assert set(CASES) == set(TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_task_fulfils_its_contract(name: str):
    cells, table = CASES[name]
    check_task(resolve("task", name, TASKS), cells, table, _schema(table), SMALL)


@pytest.mark.parametrize("form", OTHER_FORMS)
def test_other_forms_of_targets_fulfil_the_contract(form: str):
    name, cells, table = OTHER_FORMS[form]
    check_task(resolve("task", name, TASKS), cells, table, _schema(table), SMALL)


@pytest.mark.parametrize(
    "form", [*(name for name in CASES if not resolve("task", name, TASKS).cuts_rows), *OTHER_FORMS]
)
def test_the_first_task_that_matches_is_the_one_meant(form: str):
    name, cells, _ = OTHER_FORMS[form] if form in OTHER_FORMS else (form, *CASES[form])
    assert next(task for task in TASKS if resolve("task", task, TASKS).matches(cells)) == name
