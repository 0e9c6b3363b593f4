import numpy as np
import pytest
import torch
from scipy.special import ndtri

from netwright.records.asked import Asked
from netwright.records.errors import RecipeError
from netwright.tasks.intervals import SHARE, asked_of_forecasts, stretched, sufficient

LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
NORMAL = torch.tensor(ndtri(np.array(LEVELS)))


def test_intervals_that_are_too_narrow_are_stretched_part_of_the_way() -> None:
    targets = torch.randn(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    factors = stretched([(NORMAL.expand(20_000, -1) / 1.5, targets)], LEVELS)
    assert torch.allclose(factors[[0, 1, 3, 4]], torch.tensor(1.5**SHARE), atol=0.03) and factors[2] == 1


def test_no_quantile_is_stretched_more_than_one_farther_out() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = torch.rand(5_000, generator=generator) * 3 - 1.5  # many values far out, few near the median
    factors = stretched([(NORMAL.float().expand(5_000, -1), targets)], LEVELS)
    assert factors[0] >= factors[1] and factors[4] >= factors[3]


def test_few_values_change_nothing() -> None:
    assert stretched([(NORMAL.expand(5, -1), torch.zeros(5))], LEVELS).tolist() == [1.0] * 5
    assert stretched([], LEVELS).tolist() == [1.0] * 5


def test_the_quantity_for_a_service_level_is_read_between_and_beyond_the_quantiles() -> None:
    quantiles = 100 + 20 * NORMAL.numpy()[None]
    assert sufficient(quantiles, LEVELS, 0.9) == pytest.approx([100 + 20 * ndtri(0.9)])
    assert sufficient(quantiles, LEVELS, 0.8) == pytest.approx([100 + 20 * ndtri(0.8)])
    assert sufficient(quantiles, LEVELS, 0.99) == pytest.approx([100 + 20 * ndtri(0.99)])
    assert sufficient(quantiles[:, 2:3], (0.5,), 0.9) == pytest.approx([100])


@pytest.mark.parametrize(
    ("asked", "named"),
    [(Asked(horizon=30), "24 steps ahead, not 30"), (Asked(service_level=1.5), "1.5"), (Asked(top=3), "--top")],
)
def test_what_a_forecast_cannot_answer_is_refused(asked: Asked, named: str) -> None:
    with pytest.raises(RecipeError, match=named):
        asked_of_forecasts(asked, 24)
