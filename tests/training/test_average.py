import pytest
import torch
from torch import nn

from netwright.training.average import Average, kept_share
from netwright.training.weights import borrowed, copied, misfit, named, shapes_of


def walk(network: nn.Module, average: Average, steps: int) -> None:
    """The weight goes 1, 2, 3, ..."""
    for step in range(1, steps + 1):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.fill_(step)
        average.update(network, step)


def test_average_follows_its_recursion() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    average = Average(network, half_life=5.0)
    walk(network, average, 30)
    expected = 0.0
    for step in range(1, 31):
        decay = min(0.5 ** (1 / 5), step / (step + 2))
        expected = decay * expected + (1 - decay) * step
    assert average.tensors["weight"].item() == pytest.approx(expected, rel=1e-5)


def test_a_step_counts_half_after_its_half_life() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.ones_(network.weight)
    average = Average(network, half_life=100.0)
    walk(network, average, 1000)  # past the first steps, in which the average forgets faster
    before = average.tensors["weight"].item()
    nn.init.zeros_(network.weight)
    for step in range(1001, 1101):
        average.update(network, step)
    assert average.tensors["weight"].item() == pytest.approx(before / 2, rel=1e-3)


def test_long_half_lives_are_updated_less_often() -> None:
    assert all(kept_share(10.0, step) < 1 for step in range(1, 10))
    assert [step for step in range(1, 301) if kept_share(6400.0, step) < 1] == [100, 200, 300]


def test_running_statistics_are_averaged_and_other_buffers_copied() -> None:
    network = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    network[1].register_buffer("mask", torch.tensor([0.0, -torch.inf]))
    average = Average(network, half_life=1.0)
    network[0].running_mean.fill_(1.0)
    network[0].num_batches_tracked.fill_(7)
    average.update(network, 1)
    decay = min(0.5, 1 / 3)
    assert average.tensors["0.running_mean"].tolist() == pytest.approx([1 - decay] * 2)
    assert average.tensors["0.num_batches_tracked"].item() == 7
    assert average.tensors["1.mask"].tolist() == [0.0, -torch.inf]


def test_borrowed_weights_come_back_even_after_an_error() -> None:
    network = nn.Linear(2, 2)
    own, other = copied(network), {name: tensor + 1 for name, tensor in copied(network).items()}
    with pytest.raises(ZeroDivisionError), borrowed(network, other):
        assert torch.equal(network.weight, other["weight"])
        raise ZeroDivisionError
    assert all(torch.equal(own[name], tensor) for name, tensor in named(network).items())


def test_tied_weights_are_named_once_and_constants_left_out() -> None:
    network = nn.ModuleDict({"a": nn.Linear(2, 2, bias=False), "b": nn.Linear(2, 2, bias=False)})
    network["b"].weight = network["a"].weight
    network["a"].register_buffer("table", torch.zeros(3), persistent=False)
    assert list(named(network)) == ["a.weight"]


def test_misfit_names_the_first_difference() -> None:
    network = nn.Linear(2, 3)
    good = shapes_of(copied(network))
    assert misfit(network, good) == ""
    assert misfit(network, {"weight": good["weight"]}) == "the file has no 'bias'"
    assert misfit(network, {**good, "scale": good["bias"]}) == "the network has no 'scale'"
    wrong = misfit(network, {**good, "bias": (4,)})
    assert wrong == "'bias' has shape (4,) in the file and (3,) in the network"


def test_share_kept_at_each_step_is_exact() -> None:
    assert [kept_share(2.0, step) for step in (1, 2, 3, 4, 5, 6, 100)] == pytest.approx(
        [1 / 3, 1 / 2, 3 / 5, 2 / 3] + [0.5**0.5] * 3
    )
    every_second = [kept_share(128.0, step) for step in range(1, 7)]
    assert every_second == pytest.approx([1, 1 / 3, 1, 2 / 4, 1, 3 / 5])
    assert kept_share(128.0, 10_000) == pytest.approx(0.5 ** (2 / 128))
    assert [kept_share(127.9, step) < 1 for step in range(1, 5)] == [True] * 4
    assert kept_share(1.0, 1) == pytest.approx(1 / 3)
    assert kept_share(0.5, 2) == pytest.approx(0.25)


def test_buffers_of_a_step_that_does_not_count_are_left_alone() -> None:
    network = nn.BatchNorm1d(2)
    average = Average(network, half_life=128.0)
    network.num_batches_tracked.fill_(5)
    network.weight.data.fill_(7.0)
    average.update(network, 1)
    assert (average.tensors["num_batches_tracked"].item(), average.tensors["weight"].tolist()) == (0, [1, 1])
    average.update(network, 2)
    assert (average.tensors["num_batches_tracked"].item(), average.tensors["weight"].tolist()) == (5, [5, 5])


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d])
def test_statistics_of_every_batch_norm_are_averaged_also_at_the_root(norm: type[nn.Module]) -> None:
    network = norm(1)
    average = Average(network, half_life=1.0)
    network.running_var.fill_(4.0)
    average.update(network, 1)
    assert average.tensors["running_var"].tolist() == pytest.approx([1 / 3 + 4 * 2 / 3])


def test_a_saved_average_goes_on_where_it_was() -> None:
    network = nn.Linear(1, 1)
    first, second = Average(network, 3.0), Average(network, 3.0)
    walk(network, first, 5)
    second.load(first.tensors)
    for average in (first, second):
        average.update(network, 6)
    assert all(torch.equal(first.tensors[name], second.tensors[name]) for name in first.tensors)
