import datetime
from io import BytesIO

import numpy as np
import polars as pl
import pytest
from PIL import Image as PIL

from netwright.kinds import KINDS
from netwright.models import NUMBER_EMBEDDINGS
from netwright.records.recipe import Recipe
from netwright.resolve import resolve
from netwright.testing.kinds import check_kind, check_stem


def _png(seed: int) -> bytes:
    file = BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    PIL.fromarray(pixels).save(file, "png")
    return file.getvalue()


def _days(count: int) -> list[datetime.date]:
    return [datetime.date(2020, 1, 1) + datetime.timedelta(days=37 * i) for i in range(count)]


GENERATOR = np.random.default_rng(0)
GENES = ["".join(GENERATOR.choice(list("ACGT"), 30)) for _ in range(50)]
FLOATS = GENERATOR.normal(size=(20, 6, 3)).astype(np.float32)
PICTURES = GENERATOR.random((9, 8, 8, 3)).astype(np.float32)
ANGLES = GENERATOR.normal(size=(12, 5, 2))
WAVES = np.stack([np.sin(ANGLES), np.cos(ANGLES)], 3).reshape(12, 5, 4).astype(np.float32)
MASKS = GENERATOR.choice(np.array([0, 3, 255], np.uint8), (12, 8, 8))
WHOLE = GENERATOR.integers(-5, 6, (9, 4, 4))

# kind: training cells, and cells that training has not seen
CELLS = {
    "number": (pl.Series([3.5, None, -2.0, 7.0, 1e6, float("nan")]), pl.Series([None, 1e30, -5.0, float("inf")])),
    "category": (
        pl.Series(["<b>", "red", "?", None] * 9 + [f"shade-{i}" for i in range(80)] * 4),
        pl.Series(["green", None, "", "<b>"]),
    ),
    "date": (pl.Series([*_days(9), None]), pl.Series([datetime.date(1900, 2, 28), None])),
    "text": (
        pl.Series(["The good, the bad & the <b>ugly</b>.", "日本語 のテキスト", None, "good night, not bad"]),
        pl.Series(["unheard words", "", None, "\N{ROCKET}"]),
    ),
    "sequence": (pl.Series([*GENES, "ACGT" * 2]), pl.Series(["ACGX<b>", None, "A" * 99])),
    "image": (pl.Series([_png(i) for i in range(8)]), pl.Series([_png(99), b"", b"no image", None])),
    "series": (
        pl.DataFrame({"a": [[1.0, 2.0, None], [3.0], None], "b": [[5.0, 4.0, 1.0], [7.0], None]}).to_struct("x"),
        pl.DataFrame({"a": [[9.0] * 7, [], None], "b": [[8.0] * 7, [], None]}).to_struct("x"),
    ),
    "items": (
        pl.Series([["<b>", "tea"], ["tea", None, "salt"], [], None, ["tea"] * 3, ["salt"]]),
        pl.Series([["coffee", "tea"], None, ["<b>"] * 99]),
    ),
    "tensor": (pl.Series(FLOATS.reshape(20, 18)), pl.Series(100 * FLOATS.reshape(20, 18)[:2])),
    "calendar": (pl.Series(WAVES[:9]), pl.Series(WAVES[9:])),
    "mask": (pl.Series(MASKS[:9]), pl.Series(MASKS[9:] + 1)),
}
OTHER_FORMS = {
    "number as text": ("number", pl.Series(["1,234.5", "$3", "7 %", "?", "9"]), pl.Series(["no number", None, "1"])),
    "category of truth values": ("category", pl.Series([True, False, None] * 4), pl.Series([None, True])),
    "date as text": (
        "date",
        pl.Series(["3/14/1999 9:26 pm", "12/1/2001 7:00 am", "", "1/2/2003 3:00 PM"]),
        pl.Series(["never", None, "2/30/2001"]),
    ),
    "series in an array": ("series", pl.Series(FLOATS), pl.Series(-FLOATS)),
    "series of one channel": (
        "series",
        pl.Series([[1, 2, 3], [4, 6], None]),
        pl.Series([[9] * 9, None], dtype=pl.List(pl.Int64)),
    ),
    "image in an array": ("image", pl.Series(PICTURES), pl.Series(1 - PICTURES)),
    "tensor of whole numbers": ("tensor", pl.Series(WHOLE), pl.Series(9 * WHOLE)),
}


def test_every_kind_has_cells_here():
    assert set(CELLS) == set(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_kind_keeps_its_contract(name: str):
    check_kind(resolve("kind", name, KINDS), *CELLS[name])


@pytest.mark.parametrize("form", OTHER_FORMS)
def test_kind_keeps_its_contract_in_other_forms(form: str):
    name, training, unseen = OTHER_FORMS[form]
    check_kind(resolve("kind", name, KINDS), training, unseen)


@pytest.mark.parametrize("name", [name for name in KINDS if resolve("kind", name, KINDS).is_input])
def test_a_kind_is_the_first_that_matches_its_cells(name: str):
    asked = (key for key in KINDS if resolve("kind", key, KINDS).matches(CELLS[name][0]))
    assert next(asked) == name


@pytest.mark.parametrize("embedding", NUMBER_EMBEDDINGS)
def test_every_embedding_of_numbers_keeps_the_contract_of_stems(embedding: str):
    field = resolve("kind", "number", KINDS).learn("x", CELLS["number"][0])
    check_stem(field, CELLS["number"][0], Recipe(dropout=0.0, embedding=embedding))
