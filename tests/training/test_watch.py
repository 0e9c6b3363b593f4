import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import netwright as nw
from netwright.training import watch as module


def parts() -> tuple[nn.Module, torch.optim.Optimizer, Tensor, Tensor]:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    x = torch.randn(16, 3, generator=torch.Generator().manual_seed(0))
    return network, torch.optim.AdamW(network.parameters()), x, (x[:, 0] > 0).long()


def test_a_bare_loop_is_seen_and_keeps_its_weights() -> None:
    def train(network: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> list[float]:
        losses = list[float]()
        for _ in range(150):
            optimizer.zero_grad()
            loss = F.cross_entropy(network(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    alone, seen = parts(), parts()
    losses = train(*alone)
    with nw.watch(seen[0], seen[1]) as watch:
        train(*seen)
    watched = watch.watched()
    assert all(torch.equal(a, b) for a, b in zip(alone[0].parameters(), seen[0].parameters(), strict=True))
    assert [s.mean for s in watched.losses] == pytest.approx(losses)
    assert [m.loss for m in watched.moments] == pytest.approx([losses[m.step] for m in watched.moments])
    assert (watched.steps, watched.layers) == (150, ("0", "1", "2"))


def test_losses_of_several_backward_passes_are_added_up() -> None:
    network, optimizer, x, y = parts()
    with nw.watch(network, optimizer) as watch:
        for part, targets in zip(x.split(8), y.split(8), strict=True):
            (F.cross_entropy(network(part), targets) / 2).backward()
        loss = F.cross_entropy(network(x), y).item()
        optimizer.step()
    assert watch.watched().losses[0].mean == pytest.approx(loss)
    assert watch.watched().accumulates


def test_a_given_loss_takes_the_place_of_the_one_that_was_seen() -> None:
    network, optimizer, x, y = parts()
    with nw.watch(network, optimizer) as watch:
        for given in (5.0, None):
            loss = F.cross_entropy(network(x), y)
            (1000 * loss).backward()
            if given is not None:
                watch.loss(torch.tensor(given))
            optimizer.step()
    first, second = watch.watched().losses
    assert (first.mean, second.mean > 100) == (5.0, True)


def test_a_loss_that_nobody_saw_is_no_number() -> None:
    network, optimizer, x, y = parts()
    with nw.watch(network, optimizer) as watch:
        torch.autograd.backward(F.cross_entropy(network(x), y))
        optimizer.step()
    assert math.isnan(watch.watched().losses[0].mean)


def test_everything_is_as_before_when_the_block_ends_by_an_error() -> None:
    network, optimizer, x, y = parts()
    before = Tensor.backward

    def loop() -> None:
        with nw.watch(network, optimizer):
            F.cross_entropy(network(x), y).backward()
            optimizer.step()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        loop()
    assert Tensor.backward is before
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.modules())
    assert not any(parameter._post_accumulate_grad_hooks for parameter in network.parameters())


def test_the_first_and_the_latest_inputs_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    network, optimizer, x, y = parts()
    monkeypatch.setattr(module, "KEPT_BYTES", x[:9].nbytes)
    batches = [x[:8], x[2:10], x[4:14]]
    with nw.watch(network, optimizer) as watch:
        assert watch.batches == ()
        for batch in batches:
            F.cross_entropy(network(batch), y[: len(batch)]).backward()
            optimizer.step()
        with torch.no_grad():
            network(x[:1])
    first, latest = watch.batches
    assert first[0] is batches[0]
    assert latest[0] is batches[1]  # the third is too large, and every step up to it is watched


def test_a_loss_whose_graph_has_shapes_of_all_kinds_does_not_stop_the_loop() -> None:
    network, optimizer, x, y = parts()
    with nw.watch(network, optimizer) as watch:
        pairs = network(x)[:, None, :] @ network(x)[:, :, None]  # (16, 1, 1)
        tall = (network(x).reshape(8, 4) @ torch.ones(4, 128)).reshape(32, 32)
        (F.cross_entropy(network(x), y) + pairs.mean() + tall.mean()).backward()
        optimizer.step()
    assert watch.watched().repeated == ()
