import pytest
import torch
from torch import nn

from netwright.machine.bounded import BeyondBound, bounded


def test_a_network_within_the_bound_is_built_as_without() -> None:
    with bounded(1000), torch.random.fork_rng():
        torch.manual_seed(0)
        inside = nn.Linear(10, 10)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assert torch.equal(inside.weight, nn.Linear(10, 10).weight)


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.Linear(10**6, 10**6),
        lambda: nn.Sequential(*(nn.Linear(200, 200) for _ in range(10_000))),
        lambda: nn.Embedding(10**9, 64),
        lambda: nn.LSTM(10**6, 10**5),
        lambda: nn.Conv2d(10**5, 10**5, 3),
        lambda: nn.MultiheadAttention(10**6, 8),
        lambda: torch.zeros(10**6, 10**6),
        lambda: torch.randn(size=(10**6, 10**6)),
        lambda: torch.full((10**12,), 1.0),
        lambda: torch.ones(1).new_zeros(10**12),
        lambda: torch.empty(10**12, dtype=torch.uint8),
    ],
)
def test_what_takes_more_is_refused_before_memory_is_taken(build) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BeyondBound), bounded(100 << 20):
        build()


def test_bytes_count_by_type_and_all_together() -> None:
    with bounded(8):
        torch.zeros(2, dtype=torch.float32)
    with bounded(8):
        torch.zeros(8, dtype=torch.uint8)
    with pytest.raises(BeyondBound), bounded(8):
        torch.zeros(2, dtype=torch.float64)
    with bounded(8):
        torch.zeros(1)
        torch.zeros(1)
        with pytest.raises(BeyondBound):
            torch.zeros(1)
