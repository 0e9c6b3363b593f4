import numpy as np
import pytest

from netwright.kinds.cells import _quarters


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8, 97, 1000, 1001, 1002, 1003])
def test_quarters_are_numpys_quantiles_to_the_last_bit(count: int):
    generator = np.random.default_rng(count)
    for values in (generator.normal(size=count) * 1e9, generator.integers(0, 4, count).astype(np.float64)):
        assert _quarters(values) == np.quantile(values, (0, 0.25, 0.5, 0.75, 1)).tolist()
