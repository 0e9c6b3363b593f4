import polars as pl
import pytest
import torch
from tests.attacks.rows import classified

from netwright.attacks.corruptions import corrupted
from netwright.attacks.corruptions.tables import slip
from netwright.kinds.number import Number
from netwright.records.batch import Batch
from netwright.records.schema import Schema


@pytest.mark.parametrize(
    ("number", "way", "typed"),
    [
        (12.0, 0.1, 120.0), (12.0, 0.3, 120.0), (12.0, 0.9, 21.0), (1.25, 0.3, 0.125), (1.25, 0.1, 12.5),
        (1.25, 0.9, 1.52), (-120.0, 0.6, -210.0), (-120.0, 0.99, -102.0), (7.0, 0.9, 7.0), (44.0, 0.9, 44.0),
        (123456789.0, 0.99, 123456798.0), (2.5e-9, 0.9, 2.5e-9), (1.26e12, 0.51, 2.16e12),
    ],
)  # fmt: skip
def test_a_slip_is_a_place_or_two_neighboring_digits(number: float, way: float, typed: float):
    assert slip(number, way) == pytest.approx(typed, rel=1e-12)


def test_missing_numbers_have_no_slips():
    assert slip(float("nan"), 0.9) != slip(float("nan"), 0.9)


def test_slips_of_whole_numbers_are_whole_and_missing_ones_stay():
    case = classified()
    place = next(k for k, block in enumerate(case.schema.blocks) if block.fields[0].kind == "number")
    after = corrupted(case.schema, case.batch, "digit_slips", 3, torch.Generator().manual_seed(1))
    before, x = case.batch.inputs[place], after.inputs[place]
    assert torch.equal(x.isnan(), before.isnan())
    assert (x[:, 0].nan_to_num() == x[:, 0].nan_to_num().round()).all()
    changed = (x != before) & ~before.isnan()
    assert 0.05 < changed.float().mean() < 0.35
    assert not torch.equal(case.batch.inputs[place], x)


def test_numbers_that_are_counted_from_an_origin_slip_as_they_are_written():
    field = Number.learn("x", pl.Series([1_600_000_000.0 + k for k in range(50)]))
    assert field.origin
    schema = Schema((field,))
    batch = Batch(schema.encode(pl.DataFrame({"x": [1_600_000_012.0] * 200})), (), torch.arange(200))
    after = corrupted(schema, batch, "digit_slips", 3, torch.Generator().manual_seed(0))
    written = set(field.decode(after.inputs[0][:, 0]).to_list())
    for number in (16_000_000_120.0, 6_100_000_012.0):  # so far from the origin, float32 keeps seven digits
        assert any(one == pytest.approx(number, rel=1e-7) for one in written)


def test_about_the_stated_share_of_cells_is_missing():
    case = classified(2000)
    after = corrupted(case.schema, case.batch, "missing_cells", 2, torch.Generator().manual_seed(0))
    cells = {block.fields[0].kind: x for block, x in zip(case.schema.blocks, after.inputs, strict=True)}
    assert float(cells["number"].isnan().float().mean()) == pytest.approx(0.15, abs=0.03)
    assert float((cells["category"] == 1).float().mean()) == pytest.approx(0.15, abs=0.03)
    assert torch.equal(cells["date"].isnan().any(2), cells["date"].isnan().all(2))
