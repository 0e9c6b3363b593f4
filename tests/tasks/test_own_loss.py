"""Losses of an engineer's own give one loss for each example."""

from collections.abc import Callable

import polars as pl
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.records.batch import Batch
from netwright.records.errors import DataError
from netwright.records.recipe import Recipe
from netwright.tasks.classification import Classification
from netwright.tasks.own_loss import OwnLoss, task_of

CLASSES = torch.tensor([0, 2, 1, 2, 0])


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def batch(targets: Tensor) -> Batch:
    return Batch((numbers(len(targets), 3),), (targets,), torch.arange(len(targets)))


def mean_of_rows(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(outputs, targets)


@pytest.mark.parametrize(
    ("loss", "targets"),
    [
        (nn.CrossEntropyLoss(label_smoothing=0.1), CLASSES),
        (F.cross_entropy, CLASSES),
        (mean_of_rows, CLASSES),
        (torch.nn.functional.mse_loss, numbers(5, 3)),
        (nn.BCEWithLogitsLoss(), numbers(5, 3).sigmoid()),
        (lambda outputs, targets: (outputs - targets).abs(), numbers(5, 3)),
    ],
    ids=["module", "function", "mean only", "several outputs", "logits", "unreduced"],
)
def test_mean_over_the_examples_is_the_loss_itself(loss: Callable[..., Tensor], targets: Tensor) -> None:
    task, rows = OwnLoss(loss), batch(targets)
    losses = task.losses(nn.Identity(), rows)
    assert losses.shape == (5,)
    torch.testing.assert_close(losses.mean(), loss(rows.inputs[0], targets).mean())
    alone = task.losses(nn.Identity(), rows.head(2))
    torch.testing.assert_close(alone, losses[:2])
    score = task.score()
    score.add(rows.inputs[0], rows)
    assert score.quick()["loss"] == pytest.approx(float(losses.mean()))
    assert score.result().count == 5


def test_a_plain_cross_entropy_of_logits_is_classification() -> None:
    rows = batch(CLASSES)
    logits = rows.inputs[0]
    for loss in (nn.CrossEntropyLoss(), F.cross_entropy):
        task = task_of(loss, logits, rows)
        assert task == Classification(("0", "1", "2"))
        torch.testing.assert_close(
            task.objective(Recipe())(nn.Identity(), rows), F.cross_entropy(logits, CLASSES, reduction="none")
        )
    weighted = nn.CrossEntropyLoss(weight=torch.ones(3))
    for loss in (weighted, nn.CrossEntropyLoss(label_smoothing=0.1), nn.CrossEntropyLoss(ignore_index=2), F.nll_loss):
        assert isinstance(task_of(loss, logits, rows), OwnLoss)
    assert isinstance(task_of(F.cross_entropy, logits, batch(logits.softmax(1))), OwnLoss)  # soft targets


def test_what_a_loss_does_not_say_is_refused() -> None:
    task = OwnLoss(F.mse_loss)
    assert task.describe() == "the loss mse_loss"
    assert task.constant(batch(numbers(5, 3)).targets) is None
    assert not OwnLoss.matches(pl.DataFrame({"y": [1.0]}))
    rows = batch(numbers(5, 3))
    for ask in (
        lambda: OwnLoss.learn(pl.DataFrame({"y": [1.0]})),
        lambda: task.encode(pl.DataFrame({"y": [1.0]})),
        lambda: task.predict(nn.Identity(), rows),
    ):
        with pytest.raises(DataError, match="a loss alone"):
            ask()


def ranked(outputs: Tensor, targets: Tensor) -> Tensor:
    """Pairs of rows in the right order: a row alone has no pair."""
    wanted = torch.sign(targets[:, None] - targets[None])
    return F.softplus(-wanted * (outputs - outputs.T)).mean()


def correlated(outputs: Tensor, targets: Tensor) -> Tensor:
    return 1 - torch.corrcoef(torch.stack([outputs[:, 0], targets]))[0, 1]


def farthest(outputs: Tensor, targets: Tensor) -> Tensor:
    """Of two rows at least."""
    return (outputs[1:] - outputs[:-1]).abs().amax(0).mean() + 0 * targets.sum()


@pytest.mark.filterwarnings("ignore:cov")
@pytest.mark.parametrize("loss", [ranked, correlated, farthest])
def test_a_loss_that_compares_rows_keeps_its_mean_and_its_gradient(loss: Callable[..., Tensor]) -> None:
    rows = batch(numbers(5, 1)[:, 0])
    network = nn.Linear(3, 1)
    expected = loss(network(rows.inputs[0]), rows.targets[0])
    (slope,) = torch.autograd.grad(expected, network.weight)
    losses = OwnLoss(loss).losses(network, rows)
    assert losses.shape == (5,)
    torch.testing.assert_close(losses.mean(), expected)
    torch.testing.assert_close(torch.autograd.grad(losses.mean(), network.weight)[0], slope)


def test_a_sum_over_rows_stays_a_loss_for_each_row() -> None:
    def total(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets, reduction="sum")

    rows = batch(CLASSES)
    expected = F.cross_entropy(rows.inputs[0], CLASSES, reduction="none")
    torch.testing.assert_close(OwnLoss(total).losses(nn.Identity(), rows), expected)
