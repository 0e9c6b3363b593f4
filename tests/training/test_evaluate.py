from math import prod

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from torch import Tensor, nn

from netwright.data.examples import InMemory
from netwright.machine.arithmetic import Arithmetic
from netwright.records.batch import Batch
from netwright.records.errors import DataError, NetworkError
from netwright.records.recipe import Recipe
from netwright.tasks.classification import Classification
from netwright.training.adopt import adopt
from netwright.training.evaluate import evaluate, evaluating, predictions
from netwright.training.objective import plain_objective, with_l1

TASK = Classification(("no", "yes"))


def examples() -> InMemory:
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    return InMemory((x,), ((x[:, 0] > 0).long(),), torch.arange(10, 50), "row {}".format)


def network() -> nn.Sequential:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))


def test_scores_do_not_depend_on_the_batch_size_nor_on_dropout() -> None:
    values = [evaluate(network(), TASK, examples(), Recipe(batch_size=size)).quick() for size in (7, 40)]
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_every_module_comes_back_in_its_own_mode() -> None:
    net = network()
    net[1].eval()  # a frozen norm stays frozen
    statistics = net[1].running_mean.clone()
    evaluate(net, TASK, examples(), Recipe(batch_size=10))
    assert [module.training for module in net] == [True, False, True, True]
    assert torch.equal(net[1].running_mean, statistics)
    with pytest.raises(ZeroDivisionError), evaluating(net):
        raise ZeroDivisionError
    assert net.training


def test_a_tensor_that_a_module_keeps_from_evaluation_can_be_trained_with() -> None:
    class Keeping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(3, 2)
            self.kept: Tensor | None = None

        def forward(self, x: Tensor) -> Tensor:
            if self.kept is None:
                self.kept = torch.ones(3) * 2
            return self.inner(x * self.kept)

    net = Keeping()
    evaluate(net, TASK, examples(), Recipe(batch_size=10))
    net(torch.ones(1, 3, requires_grad=True)).sum().backward()


def test_predictions_come_batch_by_batch_behind_their_row_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwright.training.evaluate.MOST_ROWS", 15)
    net = network()
    frames = list(predictions(net, TASK, examples(), Recipe(batch_size=15)))
    assert [len(frame) for frame in frames] == [15, 15, 10]
    assert frames[0].columns[0] == "row"
    assert pl.concat(frames)["row"].to_list() == list(range(10, 50))
    assert net.training


def test_answers_of_many_passes_come_joined_and_are_those_of_one_pass_each(monkeypatch: pytest.MonkeyPatch) -> None:
    net = network()
    passes: list[int] = []
    net.register_forward_pre_hook(lambda _module, inputs: passes.append(len(inputs[0])))
    apart = pl.concat(list(predictions(net, TASK, examples(), Recipe(batch_size=4))))
    monkeypatch.setattr("netwright.training.evaluate.MOST_ROWS", 4)
    monkeypatch.setattr("netwright.training.evaluate.MOST_JOINED", 30)
    passes.clear()
    frames = list(predictions(net, TASK, examples(), Recipe(batch_size=4)))
    assert [len(frame) for frame in frames] == [30, 10]
    assert passes == [4, *[4] * 7, 2, 4, 4, 2]  # the first is the look at the outputs' size
    assert_frame_equal(pl.concat(frames), apart)


@pytest.mark.parametrize("shape", [(2,), (1, 2), (10,)])
def test_answers_are_joined_only_where_each_is_a_vector_of_few_numbers(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    monkeypatch.setattr("netwright.training.evaluate.MOST_ROWS", 4)
    monkeypatch.setattr("netwright.training.evaluate.JOINED_CELLS", 30)  # ten rows of 3 inputs
    net = nn.Sequential(nn.Linear(3, prod(shape)), nn.Unflatten(1, shape))
    task = Classification(tuple(str(k) for k in range(shape[-1])))
    frames = list(predictions(net, task, examples(), Recipe(batch_size=4)))
    assert len(frames[0]) == (10 if shape == (2,) else 4)


def test_the_network_is_as_it_was_between_two_batches_of_predictions() -> None:
    net = network()
    frames = predictions(net, TASK, examples(), Recipe(batch_size=15))
    next(frames)
    assert net.training
    assert torch.is_grad_enabled()


def test_l1_adds_the_absolute_weights_of_decayed_layers_to_every_loss() -> None:
    net = network().eval()
    batch = next(examples().batches(40, seed=None))
    plain, penalized = (plain_objective(TASK, Recipe(l1=l1, precision="fp32"))(net, batch) for l1 in (0.0, 0.1))
    size = net[0].weight.abs().sum() + net[3].weight.abs().sum()
    torch.testing.assert_close(penalized - plain, (0.1 * size).expand(40))


def test_l1_on_a_network_without_weight_matrices_adds_nothing() -> None:
    net = nn.BatchNorm1d(2).eval()
    batch = Batch((torch.zeros(4, 2),), (torch.zeros(4, dtype=torch.long),), torch.arange(4))
    losses = with_l1(lambda net, batch: net(*batch.inputs).sum(1), 0.5)(net, batch)
    assert losses.tolist() == [0.0] * 4


def test_bf16_rounds_products_and_gives_float32_in_the_networks_mode() -> None:
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, 1.01)  # between two numbers of bfloat16, 1.0078125 and 1.015625
    wrapped = Arithmetic(net.eval(), Recipe(precision="bf16"))
    assert not wrapped.training
    out = wrapped(torch.ones(1, 1))
    assert out.dtype == torch.float32
    assert out.item() == 1.0078125


def test_adopted_run_has_the_loaders_batch_size_and_an_untrained_twin() -> None:
    net, part = network(), examples()
    loader = [(part.columns[0][:20], part.target_columns[0][:20]), (part.columns[0][20:], part.target_columns[0][20:])]
    run = adopt(net, TASK, loader, loader[:1])
    assert run.recipe.batch_size == 20
    assert (len(run.train), len(run.valid), len(run.test)) == (50, 20, 0)
    assert run.network is net
    twin = run.build()
    assert twin is not net
    assert torch.equal(twin[0].weight, net[0].weight)


def test_adopting_a_network_of_the_wrong_width_says_expected_and_got() -> None:
    part = examples()
    with pytest.raises(NetworkError, match=r"the network returned \(20, 5\), but classification .* needs \(20, 2\)"):
        adopt(nn.Linear(3, 5), TASK, [(part.columns[0][:20], part.target_columns[0][:20])])


def test_adopting_an_empty_loader_is_an_error() -> None:
    with pytest.raises(DataError, match="the train loader has no batches"):
        adopt(network(), TASK, [])


def test_a_pair_of_tensors_is_adopted_whole_in_batches_of_the_recipes_size() -> None:
    part = examples()
    run = adopt(network(), TASK, (part.columns[0], part.target_columns[0]), recipe=Recipe(batch_size=20))
    assert isinstance(run.train, InMemory)
    assert (len(run.train), run.recipe.batch_size) == (50, 20)
    assert torch.equal(torch.cat([b.inputs[0] for b in run.train.batches(20, seed=None)]), part.columns[0])
    assert run.train.locate(3) == "train loader, row 3"


def test_a_tuple_of_batches_is_no_pair() -> None:
    part = examples()
    batches = tuple((part.columns[0][rows], part.target_columns[0][rows]) for rows in (slice(0, 25), slice(25, 50)))
    assert not isinstance(adopt(network(), TASK, batches).train, InMemory)
