"""Attacked rows are rows that the schema accepts."""

import pytest
import torch
from tests.attacks.rows import Learned, classified, measured

from netwright.attacks import ATTACKS
from netwright.attacks.ways import ways_of
from netwright.kinds.category import ABSENT, FIRST
from netwright.records.batch import Batch
from netwright.records.errors import DataError
from netwright.records.threat import Reach, Threat
from netwright.resolve import resolve

REACHES = {
    "strength": (Reach(), 2.0),
    "share": (Reach(is_share=True), 0.2),
    "immutable": (Reach(immutable=frozenset({"age", "color", "day"})), 3.0),
    "beyond": (Reach(), 500.0),
}
SHORT = {"square": {"queries": 100}, "decision": {"queries": 100}}
ROUNDING = 1e-4  # of a number's reach: float32


def attacked(case: Learned, attack: str, reach: Reach, size: float) -> Batch:
    threat = Threat(ways_of(case.schema, reach), size)
    try:
        return resolve("attack", attack, ATTACKS)(case.network, case.batch, case.task, threat, **SHORT.get(attack, {}))
    except DataError as error:
        pytest.skip(f"{attack}: {error.problem}")


@pytest.fixture(scope="module", params=[classified, measured], ids=["labels", "numbers"])
def case(request: pytest.FixtureRequest) -> Learned:
    return request.param()


@pytest.mark.parametrize("reach", REACHES)
@pytest.mark.parametrize("attack", ATTACKS)
def test_attacked_rows_are_rows_that_the_schema_accepts(case: Learned, attack: str, reach: str):
    how, size = REACHES[reach]
    after = attacked(case, attack, how, size)
    for block, before, x in zip(case.schema.blocks, case.batch.inputs, after.inputs, strict=True):
        assert x.dtype == before.dtype and x.shape == before.shape
        assert torch.equal(x.isnan(), before.isnan())
        fixed = [place for place, field in enumerate(block.fields) if field.name in how.immutable]
        assert torch.equal(x[:, fixed].nan_to_num(), before[:, fixed].nan_to_num())
        CHECKS[block.fields[0].kind](block, before, x, how, size)
    assert torch.equal(after.rows, case.batch.rows) and torch.equal(after.targets[0], case.batch.targets[0])


def numbers(block, before, x, how, size):
    for place, field in enumerate(block.fields):
        moved = (x[:, place] - before[:, place]).nan_to_num()
        assert (moved.abs() <= size * how.unit(field.name, field.low, field.high, field.reach) + ROUNDING).all()
        there = x[:, place].nan_to_num(field.low)
        assert ((field.low <= there) & (there <= field.high) | (moved == 0)).all()
        if field.step:
            steps = moved / field.step
            assert ((steps - steps.round()).abs() < 0.01).all()


def categories(block, before, x, how, size):
    swapped = x != before
    assert (swapped.sum(1) <= max(1, int(size))).all()
    assert (x[swapped] >= FIRST).all() and (before[swapped] != ABSENT).all()
    for place, field in enumerate(block.fields):
        assert (x[:, place] <= field.high).all()


def dates(block, before, x, how, size):
    for place, field in enumerate(block.fields):
        again = field.encode(field.decode(x[:, place]))
        torch.testing.assert_close(again, x[:, place], rtol=0, atol=1e-6, equal_nan=True)
        moments, earlier = (field.decode(cells[:, place]).drop_nulls() for cells in (x, before))
        assert str(moments.min()) >= field.first and str(moments.max()) <= f"{field.last} 23:59:59"
        days = (moments - earlier).dt.total_microseconds() / 86_400_000_000
        assert (days == days.round()).all()
        most = 900 if how.is_share else 7
        assert days.abs().max() <= size * most


CHECKS = {"number": numbers, "category": categories, "date": dates}


def test_nothing_changes_in_a_reach_of_size_zero(case: Learned):
    for attack in ("pgd", "swaps", "mixed"):
        after = attacked(case, attack, Reach(), 0.0)
        pairs = zip(after.inputs, case.batch.inputs, strict=True)
        assert all(torch.equal(x.nan_to_num(), y.nan_to_num()) for x, y in pairs)
