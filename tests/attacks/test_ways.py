import polars as pl
import pytest
import torch

from netwright.attacks.ways import ways_between, ways_of
from netwright.kinds.category import Category
from netwright.kinds.image import Image
from netwright.kinds.number import Number
from netwright.records.errors import DataError
from netwright.records.schema import Schema
from netwright.records.threat import Reach

AGE = Number.learn("age", pl.Series([20, 30, 40, 60, 18, 33]))
PAY = Number.learn("pay", pl.Series([1.5, 2.25, 3.0, 9.0, 4.5, 0.5]))
JOB = Category.learn("job", pl.Series(["a", "b"] * 6))
SCHEMA = Schema((AGE, JOB, PAY))


def test_numbers_move_by_shares_of_their_range_and_whole_ones_by_whole_steps() -> None:
    jobs, numbers = ways_of(SCHEMA, Reach(is_share=True))
    assert jobs.can_swap and not jobs.moves
    assert isinstance(numbers.unit, torch.Tensor) and isinstance(numbers.step, torch.Tensor)
    assert numbers.unit.tolist() == [42.0, 8.5]
    assert numbers.step.tolist() == pytest.approx([1.0, 0.01])


def test_immutable_columns_cannot_move() -> None:
    _, numbers = ways_of(SCHEMA, Reach(is_share=True, immutable=frozenset({"age"})))
    assert isinstance(numbers.unit, torch.Tensor)
    assert numbers.unit.tolist() == [0.0, 8.5]


def test_pictures_move_by_levels_that_nobody_notices_or_by_shares_of_white() -> None:
    picture = Image.learn("photo", pl.Series(torch.randint(0, 256, (4, 8, 8), dtype=torch.uint8).numpy()))
    (unnoticed,), (share,) = (ways_of(Schema((picture,)), Reach(is_share=is_share)) for is_share in (False, True))
    assert (float(unnoticed.unit or 0), float(share.unit or 0)) == (picture.reach, 255.0)


@pytest.mark.parametrize(
    ("immutable", "told"),
    [({"age", "job", "pay"}, "all 3 columns are immutable"), ({"aeg"}, "there is no column 'aeg' to keep")],
)
def test_what_cannot_be_kept_is_said(immutable: set[str], told: str) -> None:
    with pytest.raises(DataError, match=told):
        ways_of(SCHEMA, Reach(immutable=frozenset(immutable)))


def test_own_inputs_move_between_their_bounds() -> None:
    way, fixed = ways_between((torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.int64)), -1.0, 3.0)
    assert float(way.unit or 0) == 4.0 and not fixed.is_open
    with pytest.raises(DataError, match="1 to 0"):
        ways_between((torch.zeros(2, 3),), 1.0, 0.0)
    with pytest.raises(DataError, match="no input holds floats"):
        ways_between((torch.zeros(2, 3, dtype=torch.int64),), 0.0, 1.0)
