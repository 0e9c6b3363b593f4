import torch
from tests.attacks import linear, museum
from torch import nn

from netwright.attacks.apgd import apgd
from netwright.attacks.problem import PASSES, Problem, is_random, judged
from netwright.records.batch import Batch
from netwright.records.threat import Threat, Way
from netwright.tasks.classification import Classification


class Coin(nn.Module):
    """The second label wins in a share of passes, which is the first value of the row; torch's generator decides."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        other = (torch.rand(len(x)) < x[:, 0]).float()
        return torch.stack([torch.full_like(other, 0.5) + 0 * x.sum(1), other], 1)


def coins(*shares: float) -> Batch:
    rows = len(shares)
    x = torch.tensor(shares)[:, None].repeat(1, 2)
    return Batch((x,), (torch.zeros(rows, dtype=torch.int64),), torch.arange(rows))


TWO = Classification(("a", "b"))


def test_only_networks_with_random_answers_are_random():
    rows = museum.rows(8)
    assert is_random(museum.network("noisy"), rows, museum.DIGITS)
    assert not is_random(museum.plain(), rows, museum.DIGITS)
    assert not is_random(nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(64, 10)).eval(), rows, museum.DIGITS)
    assert is_random(nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(64, 10)).train(), rows, museum.DIGITS)


def test_a_random_network_is_judged_by_most_passes_not_by_the_worst():
    rows = coins(0.2, 0.8)
    threat = Threat((Way(torch.tensor(1.0), 0.0, 1.0),), 0.0)
    assert judged(Coin(), rows, rows, TWO, threat).tolist() == [0.0, 1.0]


def test_a_search_over_many_points_of_a_random_network_does_not_count_luck_as_harm():
    rows = coins(*[0.3] * 20)
    threat = Threat((Way(torch.tensor(1.0), 0.0, 1.0),), 0.01)
    moved = apgd(Coin(), rows, TWO, threat, steps=20)
    assert judged(Coin(), rows, moved, TWO, threat).mean() < 0.1


def test_gradients_of_a_random_network_are_means_and_repeat_with_the_seed():
    network, rows = museum.network("noisy"), museum.rows(8)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one, other = (Problem(network, rows, museum.DIGITS, museum.threat(rows)) for _ in range(2))
    assert one.passes == PASSES
    first, second = (problem.gradient(problem.space.zeros(), "margin")[1] for problem in (one, other))
    assert torch.equal(first, second)
    assert torch.equal(before, torch.get_rng_state())
    third = one.gradient(one.space.zeros(), "margin")[1]
    assert not torch.equal(first, third)  # fresh noise in each call


def test_beaten_rows_are_not_computed_again():
    layer, task = linear.network(3), linear.task(3)
    seen = list[int]()

    class Counted(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(len(x))
            return layer(x)

    rows = linear.rows(layer)
    threat = linear.threat(rows, float(linear.smallest(layer, rows, "inf").median()), "inf")
    apgd(Counted(), rows, task, threat, steps=20)
    assert seen[-1] < len(rows) / 2 + 2


def test_what_some_rows_get_does_not_depend_on_the_others():
    rows = museum.rows(8)
    problem = Problem(museum.plain(), rows, museum.DIGITS, museum.threat(rows))
    z = problem.space.random(torch.Generator().manual_seed(0)) * 0.1
    every = torch.ones(8, dtype=torch.bool)
    some = torch.tensor([True, False] * 4)
    losses, gradients, _ = problem.gradient(z, "margin", which=every)
    few_losses, few_gradients, _ = problem.gradient(z, "margin", which=some)
    torch.testing.assert_close(few_losses[some], losses[some])
    torch.testing.assert_close(few_gradients[some], gradients[some])
    assert few_losses[~some].isinf().all() and not few_gradients[~some].any()
