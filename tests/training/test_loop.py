"""One weight and closed forms. tests/numerics/test_steps.py holds the loop to plain PyTorch, bit for bit."""

from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

from netwright.records.batch import Batch
from netwright.records.errors import NetworkError
from netwright.training.loop import Step, steps

X, Y = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]), torch.tensor([2.0, 1.0, 0.0, 1.0, 2.0])


def line(weight: float = 1.0) -> nn.Linear:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, weight)
    return network


def squares(network: nn.Module, batch: Batch) -> Tensor:
    return (network(batch.inputs[0]).squeeze(1) - batch.targets[0]) ** 2


def pairs(*sizes: int) -> list[tuple[Tensor, Tensor]]:
    """The data in batches of these sizes, without row numbers."""
    return list(zip(X[: sum(sizes), None].split(sizes), Y[: sum(sizes)].split(sizes), strict=True))


def gradient(weight: float, rows: slice = slice(None)) -> float:
    """Of the mean squared error: 2 (w x - y) x."""
    return (2 * (weight * X[rows] - Y[rows]) * X[rows]).mean().item()


def test_a_step_is_down_the_mean_gradient_of_its_batch() -> None:
    network = line()
    first, second = steps(network, pairs(3, 2), squares, SGD(network.parameters(), lr=0.1))
    after = 1 - 0.1 * gradient(1.0, slice(0, 3))
    assert network.weight.item() == pytest.approx(after - 0.1 * gradient(after, slice(3, 5)))
    assert (first.index, second.index) == (0, 1)
    assert first.grad_norm is None and second.grad_norm is None


def test_accumulated_batches_are_one_step_down_the_mean_of_all_their_rows() -> None:
    network = line()
    (step,) = steps(network, pairs(1, 3, 1), squares, SGD(network.parameters(), lr=0.1), accumulate=3)
    assert network.weight.item() == pytest.approx(1 - 0.1 * gradient(1.0))
    assert step.losses.tolist() == pytest.approx(((X - Y) ** 2).tolist())


def test_the_last_step_takes_the_batches_that_are_left() -> None:
    network = line()
    taken = list(steps(network, pairs(1, 1, 1, 1, 1), squares, SGD(network.parameters(), lr=0.01), accumulate=2))
    assert [len(step.losses) for step in taken] == [2, 2, 1]


@pytest.mark.parametrize("clip", [0.25, 0.75])
def test_clipping_shortens_the_gradient_to_the_given_length(clip: float) -> None:
    network = line()
    (step,) = steps(network, pairs(5), squares, SGD(network.parameters(), lr=1.0), clip=clip)
    assert network.weight.item() == pytest.approx(1 - clip, rel=1e-5)
    assert step.grad_norm is not None
    assert step.grad_norm.item() == pytest.approx(gradient(1.0))  # before clipping


def test_rates_set_the_learning_rate_of_each_step_from_0_in_every_group() -> None:
    network = nn.Sequential(line(), line())
    optimizer = SGD([{"params": network[0].parameters()}, {"params": network[1].parameters()}], lr=1.0)
    taken = list(steps(network, pairs(2, 3), squares, optimizer, rates=lambda index: 0.001 * (index + 1)))
    assert [step.lr for step in taken] == [0.001, 0.002]
    assert [group["lr"] for group in optimizer.param_groups] == [0.002, 0.002]


def test_the_rate_of_a_step_is_that_of_the_first_group() -> None:
    network = nn.Sequential(line(), line())
    optimizer = SGD([{"params": network[0].parameters(), "lr": 0.5}, {"params": network[1].parameters()}], lr=0.1)
    assert next(steps(network, pairs(5), squares, optimizer)).lr == 0.5


def test_rows_are_those_of_the_data_or_absent() -> None:
    network = line()
    taken = list(steps(network, pairs(2, 2, 1), squares, SGD(network.parameters(), lr=0.01)))
    assert [step.rows.tolist() for step in taken] == [[], [], []]  # plain pairs: their loader may have shuffled them
    batch = Batch((X[:, None],), (Y,), torch.tensor([7, 3, 9, 1, 5]))
    (step,) = steps(network, [batch], squares, SGD(network.parameters(), lr=0.01))
    assert step.rows.tolist() == [7, 3, 9, 1, 5]


def test_losses_are_those_before_the_step_and_carry_no_graph() -> None:
    network = line()
    (step,) = steps(network, pairs(5), squares, SGD(network.parameters(), lr=0.1))
    assert isinstance(step, Step)
    assert step.losses.tolist() == pytest.approx(((X - Y) ** 2).tolist())
    assert not step.losses.requires_grad


def test_a_step_is_fixed_and_holds_nothing_else() -> None:
    network = line()
    (step,) = steps(network, pairs(5), squares, SGD(network.parameters(), lr=0.1))
    with pytest.raises(FrozenInstanceError):
        step.lr = 0.5  # type: ignore[misc]  that is the test
    assert not hasattr(step, "__dict__")  # there is one at each step: slots are smaller


def test_a_batch_of_its_own_is_not_copied() -> None:
    network = line()
    batch = Batch((X[:, None],), (Y,), torch.arange(5))
    (step,) = steps(network, [batch], squares, SGD(network.parameters(), lr=0.1))
    assert step.rows is batch.rows


def test_losses_that_are_not_one_for_each_row_are_refused() -> None:
    def broadcast(network: nn.Module, batch: Batch) -> Tensor:
        return (network(batch.inputs[0]) - batch.targets[0]) ** 2

    def mean(network: nn.Module, batch: Batch) -> Tensor:
        return squares(network, batch).mean()

    network = line()
    before = network.weight.item()
    with pytest.raises(NetworkError, match=r"shape \(5, 5\) for 5 rows.*needs \(5,\)") as caught:
        next(steps(network, pairs(5), broadcast, SGD(network.parameters(), lr=0.1)))
    assert caught.value.remedy == "give outputs and targets one shape: (B, 1) and (B,) are broadcast to (B, B)."
    with pytest.raises(NetworkError, match=r"shape \(\) for 5 rows"):
        next(steps(network, pairs(5), mean, SGD(network.parameters(), lr=0.1)))
    assert network.weight.item() == before
