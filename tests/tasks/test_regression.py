import numpy as np
import polars as pl
import pytest
import torch
from sklearn.datasets import load_diabetes
from torch import nn

from netwright.records.batch import Batch
from netwright.records.errors import DataError, RecipeError, Unreadable
from netwright.records.recipe import Recipe
from netwright.records.task import Metric, Scores
from netwright.tasks.regression import Regression


class Same(nn.Module):
    """Its input is its output."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def _cells(*values: object) -> pl.DataFrame:
    return pl.DataFrame({"y": list(values)})


def _predicted(task: Regression, *outputs: float) -> list[float]:
    x = torch.tensor(outputs)[:, None]
    return task.predict(Same(), Batch((x,), (), torch.arange(len(x))))["prediction"].to_list()


def test_targets_are_standardised_and_answers_are_in_their_own_units():
    task = Regression.learn(_cells(1, 2, 3, 6))
    assert (task.mean, task.low, task.high, task.on_log) == (3.0, 1.0, 6.0, False)
    encoded = task.encode(_cells("1", "2", "3", "6"))[0]
    assert float(encoded.mean()) == pytest.approx(0.0, abs=1e-6)
    assert float(encoded.std(correction=0)) == pytest.approx(1.0)
    assert _predicted(task, *encoded.tolist()) == pytest.approx([1, 2, 3, 6])


def test_answers_stay_inside_the_training_range():
    assert _predicted(Regression.learn(_cells(1, 2, 3)), -99.0, 99.0) == [1.0, 3.0]
    skewed = Regression.learn(_cells(*np.exp(np.random.default_rng(0).normal(size=100) * 2)))
    assert _predicted(skewed, -1e30, 1e30) == pytest.approx([skewed.low, skewed.high])


def test_very_skewed_positive_targets_are_learned_on_a_log_scale():
    skewed = np.exp(np.random.default_rng(0).normal(size=300))
    task = Regression.learn(_cells(*skewed))
    assert task.on_log
    assert task.describe().endswith("learned on a log scale: they are skewed")
    assert _predicted(task, *task.encode(_cells(*skewed))[0].tolist()) == pytest.approx(skewed, rel=1e-5)


@pytest.mark.parametrize("shift", [0.0, -10.0])
def test_even_or_negative_targets_are_not(shift: float):
    targets = np.random.default_rng(0).normal(5, 1, 300) if shift == 0 else np.exp(np.arange(30) / 3) + shift
    assert not Regression.learn(_cells(*targets)).on_log
    assert not Regression.learn(pl.DataFrame({"y": load_diabetes().target})).on_log


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        ((3.0, 3.0), "'y' is 3 in every row: there is nothing to predict\n  fix: choose another target."),
        (("a", "b"), "'y' holds no numbers: the first cell is 'a'\n  fix: choose another target."),
        (
            ("a", "b", "a"),
            "'y' holds no numbers: the first cell is 'a'\n  fix: choose another target, or the task classification.",
        ),
    ],
)
def test_targets_that_cannot_be_learned_are_refused(cells, text: str):
    with pytest.raises(DataError) as caught:
        Regression.learn(_cells(*cells))
    assert str(caught.value) == text


def test_targets_that_are_no_finite_numbers_are_unreadable_and_the_others_are_read():
    with pytest.raises(Unreadable) as caught:
        Regression(mean=1.0).encode(_cells("2", "many", "inf"))
    assert caught.value.encoded[0].tolist() == pytest.approx([1.0, float("nan"), float("nan")], nan_ok=True)
    assert caught.value.bad == {1: "the target is 'many'", 2: "the target is 'inf'"}
    assert str(caught.value) == (
        "in 2 rows 'y' holds no finite number: the first is row 1, 'many'\n"
        "  fix: leave these rows out, or correct them."
    )
    with pytest.raises(Unreadable, match="in 1 row 'y' holds no positive number: the first is row 0, -1"):
        Regression(low=1.0, high=9.0, on_log=True).encode(_cells(-1, 2))


@pytest.mark.parametrize(("loss", "expected"), [("auto", 4.0), ("mae", 2.0), ("huber", 1.5), ("quantile", 1.0)])
def test_each_loss_is_of_the_standardised_target(loss: str, expected: float):
    batch = Batch((torch.tensor([[2.0]]),), (torch.tensor([0.0]),), torch.arange(1))
    assert Regression().objective(Recipe(loss=loss))(Same(), batch).tolist() == [expected]


def test_members_losses_are_averaged():
    batch = Batch((torch.tensor([[[2.0], [0.0]]]),), (torch.tensor([0.0]),), torch.arange(1))
    assert Regression().losses(Same(), batch).tolist() == [2.0]


def test_class_weights_are_refused():
    with pytest.raises(RecipeError, match="regression has no class weights"):
        Regression().objective(Recipe(class_weights="balanced"))


def test_engineers_targets_may_be_doubles_in_a_column():
    x = torch.randn(3, 1)
    plain = Regression().losses(Same(), Batch((x,), (torch.zeros(3),), torch.arange(3)))
    column = Batch((x,), (torch.zeros(3, 1, dtype=torch.float64),), torch.arange(3))
    assert torch.equal(plain, Regression().losses(Same(), column))


def test_a_score_is_said_in_a_sentence_for_everybody():
    def scored(value: float) -> Scores:
        return Scores((Metric("mae", value, value - 0.44, value + 0.52, False),), 100)

    task = Regression.learn(_cells(100, 200))
    said = task.plainly(scored(12.34), "rows it never saw", scored(40.2))
    assert said == "On average off by 12.3 (11.9 to 12.9) on rows it never saw; always answering 150 is off by 40.2."
    assert task.plainly(scored(12_345.6), "rows") == "On average off by 12,300 (12,300 to 12,300) on rows."
