import polars as pl
import pytest
import torch

from netwright.attacks.corruptions import corrupted
from netwright.kinds.series import Series
from netwright.records.batch import Batch
from netwright.records.schema import Schema


def waves(count: int = 30, steps: int = 40, channels: int = 4) -> tuple[Schema, Batch]:
    generator = torch.Generator().manual_seed(0)
    cells = [
        {f"c{c}": torch.randn(steps - row % 3, generator=generator).tolist() for c in range(channels)}
        for row in range(count)
    ]
    cells[0]["c0"][0] = None
    column = pl.Series("wave", cells)
    field = Series.learn("wave", column)
    x = field.encode(column)
    return Schema((field,)), Batch((x,), (), torch.arange(count), lengths=(field.lengths(x),))


def after(name: str, severity: int) -> tuple[torch.Tensor, torch.Tensor]:
    schema, batch = waves()
    found = corrupted(schema, batch, name, severity, torch.Generator().manual_seed(0))
    assert torch.equal(found.lengths[0], batch.lengths[0])
    return batch.inputs[0], found.inputs[0]


def test_noise_is_a_share_of_each_channel_s_spread():
    before, x = after("sensor_noise", 2)
    assert torch.equal(x.isnan(), before.isnan())
    assert float((x - before)[~before.isnan()].std()) == pytest.approx(0.3, rel=0.1)


def test_a_gap_is_one_stretch_of_all_channels():
    before, x = after("gaps", 2)
    lost = x.isnan().all(2) & ~before.isnan().all(2)
    for row, mask in enumerate(lost):
        steps = mask.nonzero()[:, 0]
        assert len(steps) in (8, 9, 10) and (steps.diff() == 1).all(), row


@pytest.mark.parametrize(("severity", "dead"), [(1, 1), (2, 1), (3, 2)])
def test_dead_channels_stay_at_their_first_value(severity: int, dead: int):
    before, x = after("dead_channels", severity)
    assert torch.equal(x.isnan(), before.isnan())
    spread = x.nan_to_num(torch.inf).amin(1) == x.nan_to_num(-torch.inf).amax(1)
    assert (spread.sum(1) == dead).all()
    first = before[1, 0][spread[1]]
    assert torch.equal(x[1, 5][spread[1]], first)
