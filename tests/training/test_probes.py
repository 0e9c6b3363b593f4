from collections.abc import Iterator
from math import isnan

import pytest
import torch
from torch import Tensor, nn

from netwright.records.batch import Batch
from netwright.records.recipe import Recipe
from netwright.tasks.classification import Classification
from netwright.training.adopt import adopt
from netwright.training.probes import as_the_recipe, copied, ladder, learned_by_heart, mean_loss, without_dropout

TASK = Classification(("a", "b"))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 2))


def rows() -> tuple[Tensor, Tensor]:
    x = torch.randn(200, 4, generator=torch.Generator().manual_seed(1))
    return x, (x[:, 0] * x[:, 1] > 0).long()


def losses(net: nn.Module, batch: Batch) -> Tensor:
    return TASK.losses(net, batch)


def test_experiments_leave_weights_statistics_modes_and_generators_as_they_were():
    net = network()
    run = adopt(net, TASK, rows())
    net.eval()
    net[1].train()
    before = [t.clone() for t in net.state_dict().values()]
    modes = [module.training for module in net.modules()]
    torch.manual_seed(7)
    state = torch.get_rng_state()
    ladder(net, losses, run.train, as_the_recipe(Recipe()), lr=1e-3, batch_size=32, steps=3)
    learned_by_heart(net, losses, TASK, run.train, steps=3)
    assert all(torch.equal(a, b) for a, b in zip(before, net.state_dict().values(), strict=True))
    assert modes == [module.training for module in net.modules()]
    assert torch.equal(state, torch.get_rng_state())
    assert all(p.grad is None for p in net.parameters())


def test_ladder_is_the_same_twice_and_its_rungs_a_factor_of_ten_apart():
    run = adopt(network(), TASK, rows())
    first, second = (
        ladder(network(), losses, run.train, as_the_recipe(Recipe()), lr=1e-2, batch_size=32, steps=10)
        for _ in range(2)
    )
    assert repr(first) == repr(second)  # NaN equals nothing
    assert [round(rung.lr, 7) for rung in first[:5]] == [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
    assert first[3].progress < first[2].progress
    assert isnan(first[0].end), "two rungs below were worse already"


class Noisy:
    """A loader that draws noise as it is read, as augmentation does."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        x, y = rows()
        for part in torch.randperm(len(x)).split(32):
            yield x[part] + torch.randn(len(part), 4), y[part]


def test_a_loader_that_draws_is_read_alike_each_time_and_leaves_the_generator():
    run = adopt(network(), TASK, Noisy())
    torch.manual_seed(7)
    state = torch.get_rng_state()
    first, second = (
        ladder(network(), losses, run.train, as_the_recipe(Recipe()), lr=1e-2, batch_size=32, steps=4, count=1)
        for _ in range(2)
    )
    assert repr(first) == repr(second)  # NaN equals nothing
    torch.manual_seed(7)
    learned_by_heart(run.network, losses, TASK, run.train, steps=2)
    ladder(run.network, losses, run.train, as_the_recipe(Recipe()), lr=1e-2, batch_size=32, steps=4, count=1)
    assert torch.equal(state, torch.get_rng_state())


def test_a_rung_that_diverges_has_no_end():
    run = adopt(network(), TASK, rows())
    recipe = Recipe().edit({"optimizer": "sgd", "momentum": 0.0})
    top = ladder(nn.Linear(4, 2), losses, run.train, as_the_recipe(recipe), lr=1e38, batch_size=32, steps=20)[-1]
    assert isnan(top.end) and isnan(top.progress)


def test_a_network_that_hears_its_inputs_learns_32_rows_by_heart_and_a_deaf_one_does_not():
    class Deaf(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.answers = nn.Parameter(torch.zeros(2))

        def forward(self, x: Tensor) -> Tensor:
            return self.answers.expand(len(x), 2)

    run = adopt(network(), TASK, rows())
    assert learned_by_heart(network(), losses, TASK, run.train).score == 1.0
    assert learned_by_heart(Deaf(), losses, TASK, run.train).score < 0.9


def test_without_dropout_switches_off_that_of_recurrent_layers_too():
    net = nn.Sequential(nn.LSTM(4, 4, num_layers=2, dropout=0.5), nn.Dropout2d(0.5))
    with copied(net) as copy:
        without_dropout(copy)
        assert copy[0].dropout == 0.0 and copy[1].p == 0.0
    assert net[0].dropout == 0.5


def test_rungs_clip_as_the_training_does():
    run, net = adopt(network(), TASK, rows()), nn.Linear(4, 2)
    recipe = Recipe(optimizer="sgd", momentum=0.0, weight_decay=0.0)
    free, clipped = (
        ladder(net, losses, run.train, as_the_recipe(recipe), lr=1.0,
               batch_size=200, steps=1, count=1, below=0, clip=clip)[0] for clip in (0.0, 1e-12)
    )  # fmt: skip
    assert free.end < clipped.end == pytest.approx(clipped.start)


def test_a_rung_is_measured_on_the_batches_it_is_shown():
    run = adopt(network(), TASK, rows())
    shown = Batch((torch.zeros(50, 4),), (torch.zeros(50, dtype=torch.int64),), torch.arange(50))
    net = network()
    rung = ladder(net, losses, run.train, as_the_recipe(Recipe()), lr=1e-2, batch_size=32, steps=2, count=1, below=0,
                  shown=[shown])[0]  # fmt: skip
    assert rung.start == mean_loss(net, losses, [shown])
