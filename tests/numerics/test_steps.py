"""`steps` against hand-written PyTorch and against closed forms."""

import math
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import SGD, AdamW

from netwright.records.batch import Batch
from netwright.training.loop import steps

ROWS, COLUMNS, CLASSES = 50, 6, 3


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(ROWS, COLUMNS, generator=generator), torch.randint(CLASSES, (ROWS,), generator=generator)


def network() -> nn.Module:
    net = nn.Sequential(nn.Linear(COLUMNS, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, CLASSES))
    return filled(net)


def smooth_network() -> nn.Module:
    """Without batch norm and dropout: each row's loss is its own business."""
    return filled(nn.Sequential(nn.Linear(COLUMNS, 16), nn.Tanh(), nn.Linear(16, CLASSES)))


def filled(net: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 3)
    return net


def batches(*sizes: int) -> Iterator[Batch]:
    x, y = data()
    start = 0
    for size in sizes:
        rows = torch.arange(start, start + size)
        yield Batch((x[rows],), (y[rows],), rows)
        start += size


def cross_entropy(net: nn.Module, batch: Batch) -> Tensor:
    return F.cross_entropy(net(*batch.inputs), batch.targets[0], reduction="none")


def weights(net: nn.Module) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in net.state_dict().values()]


@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_steps_equal_a_hand_written_loop_bit_for_bit(clip: float) -> None:
    ours, theirs = network(), network()
    torch.manual_seed(3)
    optimizer = AdamW(ours.parameters(), lr=0.01)
    for _ in steps(ours, batches(16, 16, 16, 2), cross_entropy, optimizer, clip=clip):
        pass

    torch.manual_seed(3)
    optimizer = AdamW(theirs.parameters(), lr=0.01)
    for batch in batches(16, 16, 16, 2):
        optimizer.zero_grad()
        loss = F.cross_entropy(theirs(batch.inputs[0]), batch.targets[0])
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(theirs.parameters(), clip)
        optimizer.step()

    assert all(torch.equal(a, b) for a, b in zip(weights(ours), weights(theirs), strict=True))


def test_an_infinite_clip_changes_no_bit_of_the_gradients() -> None:
    clipped, plain = smooth_network(), smooth_network()
    for net, clip in ((clipped, math.inf), (plain, 0.0)):
        list(steps(net, batches(25, 25), cross_entropy, SGD(net.parameters(), lr=0.1), clip=clip))
    assert all(torch.equal(a, b) for a, b in zip(weights(clipped), weights(plain), strict=True))


@pytest.mark.parametrize(("sizes", "accumulate"), [((10,) * 5, 5), ((25, 25), 2), ((20, 20, 10), 3), ((48, 1, 1), 3)])
def test_it_does_not_matter_how_a_batch_is_cut(sizes: tuple[int, ...], accumulate: int) -> None:
    whole, cut = smooth_network().double(), smooth_network().double()
    for net, parts, count in ((whole, (ROWS,), 1), (cut, sizes, accumulate)):
        converted = (Batch((b.inputs[0].double(),), b.targets, b.rows) for b in batches(*parts))
        assert len(list(steps(net, converted, cross_entropy, SGD(net.parameters(), lr=0.5), accumulate=count))) == 1
    for a, b in zip(weights(whole), weights(cut), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)  # float64 sums in another order


def test_first_step_of_logistic_regression_is_its_closed_form() -> None:
    x, y = data()
    target = (y > 0).double()
    net = nn.Linear(COLUMNS, 1).double()
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)

    def log_loss(net: nn.Module, batch: Batch) -> Tensor:
        return F.binary_cross_entropy_with_logits(net(*batch.inputs).squeeze(1), batch.targets[0], reduction="none")

    [step] = steps(net, [(x.double(), target)], log_loss, SGD(net.parameters(), lr=2.0), clip=100.0)

    # At weights of 0 every probability is 1/2, so the gradient is the mean of (1/2 - target) * x, and the loss log 2.
    gradient = ((0.5 - target)[:, None] * x.double()).mean(0)
    bias = (0.5 - target).mean()
    torch.testing.assert_close(net.weight.detach()[0], -2.0 * gradient, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(net.bias.detach()[0], -2.0 * bias, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(step.losses, torch.full((ROWS,), math.log(2), dtype=torch.float64))
    assert step.grad_norm is not None
    torch.testing.assert_close(step.grad_norm, torch.cat([gradient, bias[None]]).norm())
