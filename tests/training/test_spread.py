"""Losses that broadcast outputs and targets, and those that look alike but keep rows apart or pair them on purpose."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.records.batch import Batch
from netwright.tasks.own_loss import OwnLoss
from netwright.training.spread import Spread, repeated, spread

N = 24
Loss = Callable[..., Tensor]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def found(loss: Loss, outputs: Any, *targets: Tensor) -> Spread | None:
    return spread(OwnLoss(loss).batch_loss, outputs, Batch((), targets, torch.arange(N)))


def log_cosh(outputs: Tensor, targets: Tensor) -> Tensor:
    return torch.cosh(outputs - targets).log().sum()


def weighted(outputs: Tensor, targets: Tensor) -> Tensor:
    return ((1 + targets.abs()) * (outputs - targets) ** 2).mean()


BROADCASTING: dict[str, Loss] = {
    "mean squares": nn.MSELoss(),
    "sums": nn.MSELoss(reduction="sum"),
    "not reduced": nn.MSELoss(reduction="none"),
    "absolute": F.l1_loss,
    "huber": nn.HuberLoss(delta=0.3),
    "soft margin": lambda o, t: F.softplus(-t * o).mean(),
    "root": lambda o, t: F.mse_loss(o, t).sqrt(),
    "percentage": lambda o, t: ((o - t) / (t.abs() + 1)).abs().mean(),
    "logarithm of the hyperbolic cosine": log_cosh,
    "own weights": weighted,
    "with a penalty": lambda o, t: F.smooth_l1_loss(o, t) + 0.1 * o.square().mean(),
    "quantile": lambda o, t: torch.maximum(0.9 * (t - o), -0.1 * (t - o)).mean(),
}


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("name", BROADCASTING)
@pytest.mark.parametrize(("outputs", "targets"), [((N, 1), (N,)), ((N,), (N, 1)), ((N, 1, 3), (N, 3))])
def test_a_loss_that_broadcasts_is_found_with_both_shapes(
    name: str, outputs: tuple[int, ...], targets: tuple[int, ...]
) -> None:
    seen = found(BROADCASTING[name], drawn(*outputs), drawn(*targets, seed=1))
    assert seen == Spread(outputs, targets, (N, N, 3) if 3 in outputs else (N, N))


@pytest.mark.filterwarnings("ignore:Using a target size")
def test_it_is_found_for_outputs_that_are_all_alike_and_for_masks_of_pictures() -> None:
    assert found(nn.MSELoss(), torch.full((N, 1), 0.5), drawn(N)) is not None
    assert found(lambda o, t: (o - t).abs().mean(), drawn(N, 1, 4, 5), drawn(N, 4, 5, seed=1)) is not None


@pytest.mark.filterwarnings("ignore:Using a target size")
def test_one_head_of_two_is_enough() -> None:
    def both(outputs: tuple[Tensor, Tensor], classes: Tensor, numbers: Tensor) -> Tensor:
        return F.cross_entropy(outputs[0], classes) + F.mse_loss(outputs[1], numbers)

    classes = torch.arange(N) % 3
    assert found(both, (drawn(N, 3), drawn(N, 1)), classes, drawn(N, seed=1)) == Spread((N, 1), (N,), (N, N))
    assert found(both, (drawn(N, 3), drawn(N)), classes, drawn(N, seed=1)) is None


def cox(outputs: Tensor, times: Tensor) -> Tensor:
    """Partial likelihood: each row is compared with those that live longer, on purpose."""
    risk = (times[None, :] >= times[:, None]).float()
    return -(outputs.reshape(-1) - (outputs.exp().T * risk).sum(1).log()).mean()


def ranking(outputs: Tensor, targets: Tensor) -> Tensor:
    sign = torch.sign(targets[:, None] - targets[None, :])
    return F.softplus(-sign * (outputs - outputs.T)).mean()


HEALTHY: dict[str, Loss] = {
    "squeezes": lambda o, t: F.mse_loss(o.squeeze(1), t),
    "flattens both": lambda o, t: F.l1_loss(o.view(-1), t.view(-1)),
    "takes a column": lambda o, t: (o[:, 0] - t).square().mean(),
    "unsqueezes": lambda o, t: F.huber_loss(o, t[:, None]),
    "pairs of rows": ranking,
    "partial likelihood": cox,
    "moments": lambda o, t: (o.mean() - t.mean()) ** 2 + (o.std() - t.std()) ** 2,
    "correlation": lambda o, t: 1 - torch.corrcoef(torch.stack([o.flatten(), t.flatten()]))[0, 1],
    "of one shape": lambda o, t: F.binary_cross_entropy_with_logits(o, (t > 0).float().reshape(o.shape)),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_loss_that_brings_both_to_one_shape_or_pairs_rows_on_purpose_is_not(name: str) -> None:
    assert found(HEALTHY[name], drawn(N, 1), drawn(N, seed=1)) is None


def test_equal_shapes_are_never_judged() -> None:
    assert found(nn.MSELoss(), drawn(N, 1), drawn(N, 1, seed=1)) is None
    assert found(lambda o, t: (o[:, None] - t[None, :]).abs().mean(), drawn(N), drawn(N, seed=1)) is None


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("name", BROADCASTING)
def test_the_graph_of_a_loss_shows_that_outputs_were_repeated(name: str) -> None:
    outputs = nn.Linear(2, 1)(drawn(N, 2))
    assert repeated(BROADCASTING[name](outputs, drawn(N)).mean(), outputs) == (N, N)
    assert repeated(BROADCASTING[name](outputs, drawn(N, 1)).mean(), outputs) == ()


def test_the_graph_of_pairs_of_rows_shows_no_targets_beside_outputs() -> None:
    outputs = nn.Linear(2, 1)(drawn(N, 2))
    assert repeated(ranking(outputs, drawn(N)), outputs) == ()
