from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from tests.attacks.rows import classified, genes, reviews

from netwright.attacks.corruptions import CORRUPTIONS, SEVERITIES, corrupted, emptiable, emptied, suited
from netwright.kinds.category import ABSENT
from netwright.kinds.image import Image
from netwright.kinds.series import Series
from netwright.records.batch import Batch
from netwright.records.errors import DataError
from netwright.records.schema import Schema


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def everything() -> tuple[Schema, Batch]:
    """One row of each kind of column beside the others."""
    tables, texts, symbols = classified(), reviews(), genes()
    count = 40
    draw = np.random.default_rng(0)
    photo = pl.Series("photo", draw.integers(0, 255, (count, 12, 12, 3), dtype=np.uint8))
    waves = [{f"c{c}": draw.normal(size=5 + row % 3).tolist() for c in range(8)} for row in range(count)]
    wave = pl.Series("wave", waves)
    alone = (Image.learn("photo", photo), Series.learn("wave", wave))
    schema = Schema((*tables.schema.inputs, *texts.schema.inputs, *symbols.schema.inputs, *alone))
    rest = Schema(alone).encode(pl.DataFrame([photo, wave]))
    inputs = (*(x[:count] for x in tables.batch.inputs), *texts.batch.inputs, *symbols.batch.inputs, *rest)
    lengths = tuple(block.fields[0].lengths(x) for block, x in zip(schema.blocks, inputs, strict=True))
    return schema, Batch(inputs, (), torch.arange(count), lengths=lengths)


SCHEMA, BATCH = everything()


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.equal(one.isnan(), other.isnan()) and torch.equal(one.nan_to_num(), other.nan_to_num())


def test_all_corruptions_suit_rows_of_all_kinds():
    assert suited(SCHEMA) == tuple(CORRUPTIONS)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corrupted_inputs_keep_their_form_and_are_drawn_from_the_generator_alone(name: str, severity: int):
    first, again, other = (corrupted(SCHEMA, BATCH, name, severity, drawn(seed)) for seed in (0, 0, 1))
    changed = 0
    for block, before, x, y in zip(SCHEMA.blocks, BATCH.inputs, first.inputs, again.inputs, strict=True):
        assert x.dtype == before.dtype and x.shape == before.shape
        assert same(x, y)
        lengths = block.fields[0].lengths(x)
        changed += not same(x, before)
        assert lengths is None or torch.equal(lengths, first.lengths[SCHEMA.blocks.index(block)])
    assert changed >= 1 or severity == 1
    is_fixed = name in ("blur", "contrast", "jpeg")
    assert is_fixed or severity == 1 or any(not same(x, y) for x, y in zip(first.inputs, other.inputs, strict=True))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_greater_severity_changes_more(name: str):
    sums = list[float]()
    for severity in SEVERITIES:
        after = corrupted(SCHEMA, BATCH, name, severity, drawn())
        pairs = zip(after.inputs, BATCH.inputs, strict=True)
        sums.append(sum(_distance(x, before) for x, before in pairs))
    assert 0 <= sums[0] <= sums[1] < sums[2]


def _distance(x: torch.Tensor, before: torch.Tensor) -> float:
    """Of pixels by how much they changed, else how many cells did."""
    if x.dtype == torch.uint8 and x.ndim == 4:
        return float((x.float() - before.float()).abs().sum())
    moved = (x.float() - before.float()).abs().nan_to_num().clamp(max=1)
    return float(moved.sum() + (x.isnan() != before.isnan()).sum())


def test_a_column_that_is_missing_is_missing_in_every_row_and_no_other():
    assert emptiable(SCHEMA) == tuple(field.name for field in SCHEMA.inputs if field.name != "photo")
    for column in emptiable(SCHEMA):
        after = emptied(SCHEMA, BATCH, column)
        for block, before, x in zip(SCHEMA.blocks, BATCH.inputs, after.inputs, strict=True):
            for place, field in enumerate(block.fields):
                was, now = (t[:, place] if field.joins else t for t in (before, x))
                if field.name != column:
                    assert same(was, now)
                else:
                    blank = now.isnan() if now.is_floating_point() else now == (ABSENT if field.joins else 0)
                    assert blank.all()
    assert (emptied(SCHEMA, BATCH, "text").lengths[3] == 1).all()


def test_what_suits_no_column_is_refused_with_what_does():
    case = reviews()
    assert suited(case.schema) == ("mistyped_words", "dropped_words")
    with pytest.raises(DataError, match=r"choose from mistyped_words, dropped_words"):
        corrupted(case.schema, case.batch, "blur", 1, drawn())
    with pytest.raises(DataError, match="no severity 4"):
        corrupted(case.schema, case.batch, "dropped_words", 4, drawn())
    with pytest.raises(DataError, match="'photo' can be missing"):
        emptied(SCHEMA, BATCH, "photo")


def test_a_series_of_one_channel_has_no_dead_one():
    wave = Series.learn("wave", pl.Series([[1.0, 2.0, 3.0]] * 3))
    assert suited(Schema((wave,))) == ("sensor_noise", "gaps")


def test_networks_answer_corrupted_rows():
    for case in (reviews(), genes(), classified()):
        for name in suited(case.schema):
            after = corrupted(case.schema, case.batch, name, 3, drawn())
            with torch.no_grad():
                assert case.task.forward(case.network, after).isfinite().all()
                bare = replace(after, lengths=())
                torch.testing.assert_close(
                    case.task.forward(case.network, bare), case.task.forward(case.network, after)
                )
