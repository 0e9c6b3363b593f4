import pytest
import torch
from torch import nn

from netwright.models.dropout import MOST, Dropout, limit

UNITS = 1 << 16
FOUR_SIGMA = 2 / UNITS**0.5  # of a share among so many draws, at most


def dropped(p: float, *shape: int, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return Dropout(p)(torch.ones(shape or (UNITS,)))


@pytest.mark.parametrize("p", [0.01, 0.1, 0.5, 0.95])
def test_as_many_units_as_told_become_zero_and_the_others_grow_as_in_torch(p: float) -> None:
    found = dropped(p)
    assert (found == 0).double().mean().item() == pytest.approx(p, abs=FOUR_SIGMA)
    torch.manual_seed(0)
    assert found.unique().tolist() == pytest.approx(nn.Dropout(p)(torch.ones(UNITS)).unique().tolist())


def test_the_four_draws_of_one_number_are_independent() -> None:
    kept = (dropped(0.5).view(-1, 4) > 0).double()
    assert kept.mean(0).tolist() == pytest.approx([0.5] * 4, abs=2 * FOUR_SIGMA)
    apart = torch.corrcoef(kept.T) - torch.eye(4)
    assert apart.abs().max() < 4 * FOUR_SIGMA


def test_draws_follow_from_torchs_seed_whatever_the_shape() -> None:
    assert torch.equal(dropped(0.3, 5, 7).flatten(), dropped(0.3, 35))
    assert not torch.equal(dropped(0.3, 35), dropped(0.3, 35, seed=1))


def test_gradients_are_those_of_the_units_that_are_left() -> None:
    x = torch.randn(40, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(0)
    out = Dropout(0.25)(x)
    out.sum().backward()
    assert torch.allclose(x.grad * x, out)
    assert 0 < (out == 0).sum() < 40


def test_nothing_is_dropped_in_evaluation_nor_by_a_share_of_zero() -> None:
    x, state = torch.ones(3), torch.random.get_rng_state()
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x
    assert torch.equal(torch.random.get_rng_state(), state)


def test_all_is_dropped_by_a_share_of_one_and_half_precision_stays() -> None:
    assert dropped(1.0).count_nonzero() == 0
    assert limit(1 - 1e-9) == MOST
    assert Dropout(0.5)(torch.ones(8, dtype=torch.bfloat16)).dtype == torch.bfloat16
