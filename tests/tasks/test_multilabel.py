import polars as pl
import pytest
import torch
from torch import nn

from netwright.records.batch import Batch
from netwright.records.errors import DataError, RecipeError, Unreadable
from netwright.records.recipe import Recipe
from netwright.tasks.multilabel import Multilabel


class Same(nn.Module):
    """Its input is its output."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_columns_of_yes_and_no_are_labels():
    cells = pl.DataFrame({"red": [1, 0, 0], "green": ["Yes", "no", "TRUE"], "blue": [True, False, False]})
    task = Multilabel.learn(cells)
    assert task == Multilabel(("red", "green", "blue"), (1, 2, 1))
    assert task.encode(cells)[0].tolist() == [[1, 1, 1], [0, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("cells", [["b; a", "", "a", None], [["b", "a"], [], ["a"], []]])
def test_separated_text_and_lists_are_labels(cells):
    column = pl.DataFrame({"tags": cells})
    task = Multilabel.learn(column)
    assert (task.labels, task.counts) == (("a", "b"), (2, 1))
    assert task.encode(column)[0].tolist() == [[1, 1], [0, 0], [1, 0], [0, 0]]


def test_one_column_of_words_or_of_few_numbers_is_not_several_labels():
    assert not Multilabel.matches(pl.DataFrame({"y": ["a", "b", "c"]}))
    assert not Multilabel.matches(pl.DataFrame({"y": ["a|1", "b|2", "c|3"]}))  # as many parts as cells: a code
    assert not Multilabel.matches(pl.DataFrame({"y": [0, 1, 0]}))
    assert not Multilabel.matches(pl.DataFrame({"a": [0, 1], "b": [2, 3]}))
    assert Multilabel.matches(pl.DataFrame({"y": ["a|b", "b", "a", "b|c|a", "c|a"]}))


def test_unknown_labels_are_unreadable_and_the_others_are_read():
    with pytest.raises(Unreadable) as caught:
        Multilabel(("a", "b"), separator=";").encode(pl.DataFrame({"tags": ["a", "b;x"]}))
    assert caught.value.bad == {1: "the label is 'x'"}
    assert caught.value.encoded[0][0].tolist() == [1.0, 0.0]
    assert str(caught.value) == (
        "in 1 row tags cannot be read as labels: the first is row 1, where the label is 'x'\n"
        "  fix: give 0 or 1 for each label, or labels from a, b."
    )
    with pytest.raises(Unreadable, match="the first is row 1, where 'a' is 7"):
        Multilabel(("a", "b")).encode(pl.DataFrame({"a": [1, 7], "b": [0, 1]}))


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        (
            {"a": [1, 1], "b": [0, 0]},
            "none of the labels a, b differs between rows: there is nothing to predict\n  fix: choose other targets.",
        ),
        (
            {"y": ["a", "b"]},
            "'y' has neither lists nor text separated by ; or |\n"
            "  fix: name one column for each label, or choose the task classification.",
        ),
    ],
)
def test_targets_that_cannot_be_learned_are_refused(cells, text: str):
    with pytest.raises(DataError) as caught:
        Multilabel.learn(pl.DataFrame(cells))
    assert str(caught.value) == text


def test_predictions_are_the_labels_at_one_half_or_above_joined():
    batch = Batch((torch.tensor([[1.0, 0.0], [-1.0, -1.0]]),), (), torch.arange(2))
    answers = Multilabel(("a", "b"), separator="|").predict(Same(), batch)
    assert answers.columns == ["prediction", "p_a", "p_b"]
    assert answers["prediction"].to_list() == ["a|b", ""]
    assert answers["p_b"][0] == 0.5


def test_scores_agree_with_counts_by_hand():
    targets = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    outputs = torch.tensor([[2.0, 1.0], [1.0, 2.0], [-1.0, -1.0]])
    score = Multilabel(("a", "b")).score()
    score.add(outputs, Batch((outputs,), (targets,), torch.arange(3)))
    found = {metric.name: metric.value for metric in score.result().metrics}
    assert found["f1_macro"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["f1_micro"] == pytest.approx(6 / 7)
    assert found["subset_accuracy"] == pytest.approx(2 / 3)
    assert found["hamming_loss"] == pytest.approx(1 / 6)
    assert found["auc"] == 1.0


def test_class_weights_and_other_losses_are_refused():
    with pytest.raises(RecipeError, match="multilabel classification has no class weights"):
        Multilabel(("a", "b")).objective(Recipe(class_weights="balanced"))
    with pytest.raises(RecipeError, match="the loss 'focal' does not suit multilabel"):
        Multilabel(("a", "b")).objective(Recipe(loss="focal"))


def test_labels_that_always_exclude_each_other_give_one_answer_each():
    cells = pl.DataFrame({"a": [1, 0, 0, 1], "b": [0, 1, 0, 0], "c": [0, 0, 1, 0]})
    task = Multilabel.learn(cells)
    assert task.exclusive and task.remarks()
    assert not Multilabel.learn(cells.with_columns(c=pl.lit(1))).exclusive


def test_labels_in_lists_are_known_however_invisibly_they_differ():
    task = Multilabel.learn(pl.DataFrame({"y": [["caf\u00e9"], ["cafe\u0301", "bar"], ["bar"]]}))
    assert task.labels == ("bar", "caf\u00e9")
    assert task.encode(pl.DataFrame({"y": [["cafe\u0301"]]}))[0].tolist() == [[0, 1]]
