import pytest

from netwright.baselines import BASELINES
from netwright.resolve import resolve
from netwright.testing.baselines import check_baseline


@pytest.mark.parametrize("name", BASELINES)
def test_baseline_fulfils_its_contract(name: str):
    check_baseline(resolve("baseline", name, BASELINES))
