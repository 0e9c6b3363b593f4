from dataclasses import replace

import numpy as np
import polars as pl
import torch
from tests.attacks.rows import classified, reviews, table

from netwright.attacks.changes import Change, cells_of, changes_of, marked
from netwright.kinds.image import Image
from netwright.kinds.series import Series
from netwright.records.batch import Batch
from netwright.records.schema import Schema


def test_a_row_is_said_as_its_cells_were_written():
    case, cells = classified(), table()
    row = cells.row(20, named=True)
    said = cells_of(case.schema, case.batch, 20)
    assert [name for name, _ in said] == cells.columns[:6]
    assert dict(said) == {
        "age": str(row["age"]), "weight": f"{row['weight']:.6g}", "color": row["color"], "shape": row["shape"],
        "day": str(row["day"]), "time": str(row["time"]),
    }  # fmt: skip


def test_missing_and_unseen_cells_are_said_to_be():
    case = classified()
    assert [dict(cells_of(case.schema, case.batch, row))[name] for row, name in enumerate(table().columns[:6])] == (
        ["missing"] * 6
    )
    inputs = tuple(torch.zeros_like(x) if x.dtype == torch.int32 else x for x in case.batch.inputs)
    assert dict(cells_of(case.schema, replace(case.batch, inputs=inputs), 9))["color"] == "rare or unseen"


def test_changes_name_the_column_and_both_cells():
    case = classified()
    inputs = [x.clone() for x in case.batch.inputs]
    places = {block.fields[0].kind: k for k, block in enumerate(case.schema.blocks)}
    inputs[places["number"]][20, 0] += 1
    inputs[places["category"]][20, 1] ^= 1
    age, shape = table()["age"][20], table()["shape"][20]
    found = changes_of(case.schema, case.batch, replace(case.batch, inputs=tuple(inputs)), 20)
    other = {"round": "long", "long": "round"}[shape]
    assert found == (Change("age", str(age), str(age + 1)), Change("shape", shape, other))
    assert changes_of(case.schema, case.batch, replace(case.batch, inputs=tuple(inputs)), 0) == ()


def test_changed_words_stand_beside_those_they_replace():
    case = reviews()
    x = case.batch.inputs[0].clone()
    good, bad = (case.schema.inputs[0].vocabulary.index(word) + 2 for word in ("good", "bad"))
    x[0, 0], before = bad, case.batch.inputs[0].clone()
    before[0, 0] = good
    (change,) = changes_of(case.schema, replace(case.batch, inputs=(before,)), replace(case.batch, inputs=(x,)), 0)
    assert change.words[0] == ("good", "bad") and all(one == other for one, other in change.words[1:])
    assert change.before.startswith("good ") and change.after.startswith("bad ")
    assert change.before.endswith(".")


def test_pictures_and_series_say_the_greatest_change():
    pixels = np.random.default_rng(0).integers(0, 200, (3, 4, 4), dtype=np.uint8)
    cells = pl.Series("photo", pixels)
    waves = pl.Series("wave", [[1.0, 2.0, 3.0]] * 3)
    schema = Schema((Image.learn("photo", cells), Series.learn("wave", waves)))
    batch = Batch(schema.encode(pl.DataFrame([cells, waves])), (), torch.arange(3))
    moved = replace(batch, inputs=(batch.inputs[0].float() + torch.tensor(8.0), batch.inputs[1] - 0.25))
    found = changes_of(schema, batch, moved, 1)
    assert [change.column for change in found] == ["photo", "wave"]
    assert found[0].after == "values changed by at most 8; the column ranges from 0 to 255"
    assert found[1].after == "values changed by at most 0.25; the column ranges from 1 to 3"
    assert found[0].before == "image of 1 x 4 x 4 values"


def test_changed_words_are_in_brackets_with_a_few_words_around_them():
    words = tuple((word, word) for word in ["a", "b", "c", "d", "e", "f", "g", "h", "i"])
    words = (*words[:4], ("e", "x"), *words[5:])
    change = Change("text", "a b c d e f g h i", "a b c d x f g h i", words)
    assert marked(change, around=1) == ("... d [e] f ...", "... d [x] f ...")
    assert marked(change) == ("a b c d [e] f g h i", "a b c d [x] f g h i")
    assert marked(Change("age", "30", "31")) == ("30", "31")
