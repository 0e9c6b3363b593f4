import pytest
import torch
from tests.sick_trainings.loops import in_order, looped, rings
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import netwright as nw
from netwright.checks.training.evidence import of_run
from netwright.checks.training.order import rows_in_order
from netwright.checks.training.rows import misaligned_labels
from netwright.data.examples import adopted


def test_labels_of_other_rows_are_seen_in_the_loop_though_the_data_are_right() -> None:
    (finding,) = misaligned_labels(looped("other labels"))
    assert (finding.severity, "the loop trained" in finding.summary) == ("error", True)


@pytest.mark.parametrize("fault", ["", "renamed labels", "labels of the next row"])
def test_labels_that_follow_from_the_data_or_were_not_seen_are_not_judged(fault: str) -> None:
    assert not list(misaligned_labels(looped(fault)))


@pytest.mark.parametrize("scale", [(1.0, 0.0), (0.01, -3.0)])
def test_numbers_that_a_loop_scales_are_aligned(scale: tuple[float, float]) -> None:
    x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    y = x.sum(1, keepdim=True)
    network = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    with nw.watch(network, optimizer) as watch:
        for rows in torch.arange(200).split(20):
            optimizer.zero_grad()
            F.mse_loss(network(x[rows]), y[rows] * scale[0] + scale[1]).backward()
            optimizer.step()
    assert not list(misaligned_labels(of_run(nw.adopt(network, nn.MSELoss(), (x, y), watch=watch))))


def test_rows_sorted_by_class_cost_learning() -> None:
    assert [finding.severity for finding in rows_in_order(in_order(is_sorted=True))] == ["warning"]


def test_a_sorted_loop_over_rows_in_memory_is_seen_by_its_batches() -> None:
    x, y = rings()
    order = y[:500].argsort()
    network = nn.Sequential(nn.Linear(10, 40), nn.ReLU(), nn.Linear(40, 3))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    with nw.watch(network, optimizer) as watch:
        for _ in range(8):
            for rows in order.split(50):
                optimizer.zero_grad()
                F.cross_entropy(network(x[rows]), y[rows]).backward()
                optimizer.step()
    one = nw.adopt(network, nn.CrossEntropyLoss(), (x[:500], y[:500]), (x[500:], y[500:]), watch=watch)
    assert [finding.code for finding in nw.diagnose(one).findings][:1] == ["NW325"]


@pytest.mark.parametrize("rare", [0.02, 0.5])
def test_rare_classes_are_not_taken_for_sorted_rows(rare: float) -> None:
    x, _ = rings()
    y = (torch.rand(700, generator=torch.Generator().manual_seed(1)) < rare).long()
    loader = DataLoader(TensorDataset(x, y), 16)
    evidence = of_run(nw.adopt(nn.Linear(10, 2), nn.CrossEntropyLoss(), loader))
    assert not list(rows_in_order(evidence))


def test_reading_a_loader_leaves_its_generator_as_it_was_and_gives_one_order_for_one_seed() -> None:
    generator = torch.Generator().manual_seed(4)
    loader = DataLoader(TensorDataset(torch.arange(40.0)[:, None]), 8, shuffle=True, generator=generator)
    examples, state = adopted(loader), generator.get_state()
    first, again, other = (
        torch.cat([batch.inputs[0] for batch in examples.batches(8, seed=seed)]) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(generator.get_state(), state)
