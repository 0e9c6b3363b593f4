import polars as pl
import pytest
import torch
from sklearn.datasets import load_diabetes, load_digits
from torch import nn

from netwright.records.batch import Batch
from netwright.records.errors import DataError, NetworkError, RecipeError, Unreadable
from netwright.records.recipe import Recipe
from netwright.records.task import Metric, Scores
from netwright.simple_models.wanted import Wanted
from netwright.tasks import classification
from netwright.tasks.classification import Classification


class Lookup(nn.Module):
    """Gives the outputs it holds, by row."""

    def __init__(self, outputs: torch.Tensor) -> None:
        super().__init__()
        self.outputs = nn.Parameter(outputs)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.outputs[rows]


def _cells(*values: object) -> pl.DataFrame:
    return pl.DataFrame({"y": list(values)})


def _batch(targets: torch.Tensor) -> Batch:
    rows = torch.arange(len(targets))
    return Batch((rows,), (targets,), rows)


@pytest.mark.parametrize("cells", [(2, 10, 2), (2.0, 10.0, 2.0), ("2", "10", " 2 ")])
def test_whole_numbers_are_the_same_labels_however_they_are_written_and_sorted_by_size(cells):
    task = Classification.learn(_cells(*cells))
    assert task == Classification(("2", "10"), (2, 1))
    assert task.encode(_cells("10", "2"))[0].tolist() == task.encode(_cells(10, 2))[0].tolist() == [1, 0]


def test_truth_values_and_categories_are_labels():
    assert Classification.learn(_cells(True, False, True)).labels == ("false", "true")
    words = _cells("b", "a", "b").cast(pl.Categorical)
    assert Classification.learn(words) == Classification(("a", "b"), (1, 2))
    assert Classification.learn(_cells(0.5, 1.5, 0.5)).labels == ("0.5", "1.5")


def test_unknown_and_missing_labels_are_unreadable_and_the_others_are_read():
    task = Classification(("cat", "dog"))
    with pytest.raises(Unreadable) as caught:
        task.encode(_cells("dog", "bird", None))
    assert caught.value.encoded[0].tolist() == [1, -1, -1]
    assert caught.value.bad == {1: "the label is 'bird'", 2: "the label is None"}
    assert str(caught.value) == (
        "in 2 rows 'y' holds no known label: the first is row 1, 'bird'\n  fix: choose labels from cat, dog."
    )


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        (
            ("a", "a"),
            "'y' is 'a' in every row: there must be two classes or more\n  fix: add rows of another class.",
        ),
        (
            ("a", "b", "c"),
            "'y' is different in every row: a network cannot learn classes seen once\n  fix: choose another target.",
        ),
        (
            ("1.5", "2.5", "n.d."),
            "'y' is different in every row: a network cannot learn classes seen once\n"
            "  fix: choose another target, or the task regression.",
        ),
        (
            ("a", None, "b", ""),
            "'y' holds no label in 2 rows\n  fix: leave these rows out, or fill in their labels.",
        ),
    ],
)
def test_targets_that_cannot_be_learned_are_refused(cells, text: str):
    with pytest.raises(DataError) as caught:
        Classification.learn(_cells(*cells))
    assert str(caught.value) == text


def test_several_columns_are_refused():
    with pytest.raises(DataError, match="classification predicts one column, but 2 were given"):
        Classification.learn(pl.DataFrame({"a": ["x"], "b": ["y"]}))


def test_a_class_with_one_row_is_learned():
    assert Classification.learn(_cells("a", "a", "b")).counts == (2, 1)


def test_digits_are_classes_and_a_disease_score_is_a_quantity():
    assert Classification.matches(pl.DataFrame({"y": load_digits().target}))
    assert not Classification.matches(pl.DataFrame({"y": load_diabetes().target}))
    assert not Classification.matches(_cells(*range(15)))
    assert not Classification.matches(_cells("a.png", "b.PNG"))
    assert Classification.matches(_cells("0", "1", "0", "0", "1", "1"))


def test_predictions_are_labels_with_their_probabilities():
    network = Lookup(torch.tensor([[0.0, 2.0], [1.0, 0.0]]))
    answers = Classification(("no", "yes")).predict(network, _batch(torch.tensor([0, 1])))
    assert answers.columns == ["prediction", "probability", "p_no", "p_yes"]
    assert answers["prediction"].to_list() == ["yes", "no"]
    assert answers["probability"].to_list() == answers.select(pl.max_horizontal("p_no", "p_yes")).to_series().to_list()


def test_members_answers_are_averaged_when_the_network_gives_them_apart():
    network = Lookup(torch.tensor([[[0.0, 2.0], [0.0, -1.0]]]))
    answers = Classification(("no", "yes")).predict(network, _batch(torch.tensor([0])))
    assert answers["p_yes"][0] == pytest.approx(torch.tensor(0.5).sigmoid().item())


def test_f1_and_average_precision_are_about_the_rarer_class():
    task, targets = Classification(("bad", "good"), (5, 95)), torch.tensor([0, 1, 1, 1])
    score = task.score()
    score.add(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]), _batch(targets))
    assert score.result()["f1"].value == pytest.approx(2 / 3)  # precision 1/2, recall 1
    assert score.result()["average_precision"].value == 0.5
    assert score.result().confusion == ((1, 0), (1, 2))


def test_weighted_losses_do_not_depend_on_how_the_batch_is_cut():
    task, targets = Classification(("a", "b"), (3, 1)), torch.tensor([0, 0, 0, 1])
    network = Lookup(torch.randn(4, 2, generator=torch.Generator().manual_seed(0)))
    objective = task.objective(Recipe(class_weights="balanced"))
    whole = objective(network, _batch(targets)).detach()
    assert torch.equal(whole, task.losses(network, _batch(targets)).detach() * torch.tensor([2 / 3, 2 / 3, 2 / 3, 2]))
    alone = objective(network, Batch((torch.tensor([3]),), (targets[3:],), torch.tensor([3]))).detach()
    assert torch.equal(alone[0], whole[3])


def test_a_network_with_outputs_of_another_shape_is_refused():
    with pytest.raises(NetworkError) as caught:
        Classification(("a", "b", "c")).losses(Lookup(torch.zeros(2, 2)), _batch(torch.tensor([0, 1])))
    assert str(caught.value) == (
        "the network returned (2, 2), but classification into 3 classes: a, b, c needs (2, 3)\n"
        "  fix: give the network outputs of shape (2, 3)."
    )


def test_losses_of_other_tasks_are_refused():
    with pytest.raises(RecipeError, match="the loss 'huber' does not suit classification"):
        Classification(("a", "b")).objective(Recipe(loss="huber"))


def test_engineers_targets_may_be_small_integers_in_a_column():
    task, network = Classification(("a", "b")), Lookup(torch.randn(3, 2))
    plain = task.losses(network, _batch(torch.tensor([0, 1, 1])))
    assert torch.equal(plain, task.losses(network, _batch(torch.tensor([[0], [1], [1]], dtype=torch.uint8))))


def test_a_test_part_of_one_class_is_scored_without_auc():
    score = Classification(("a", "b")).score()
    score.add(torch.zeros(3, 2), _batch(torch.tensor([1, 1, 1])))
    names = [metric.name for metric in score.result().metrics]
    assert "auc" not in names and "log_loss" in names


def _answers(task: Classification) -> pl.Series:
    network = Lookup(torch.eye(len(task.labels)))
    return task.predict(network, _batch(torch.arange(len(task.labels))))["prediction"]


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        ((True, False, True), [False, True]),
        ((3, 1, 3, 20), [1, 3, 20]),
        ((0.5, 1.5, 0.5), [0.5, 1.5]),
        (("b", "a", "b"), ["a", "b"]),
    ],
)
def test_answers_have_the_type_that_labels_came_in(cells, labels):
    answers = _answers(Classification.learn(_cells(*cells)))
    assert answers.to_list() == labels
    assert type(answers[0]) is type(labels[0])


def test_truth_values_are_known_however_they_are_written_and_other_words_only_as_they_are():
    task = Classification.learn(_cells("True", "False", "True"))
    for cells in ((True, False), ("TRUE", "FALSE"), (" true", "false ")):
        assert task.encode(_cells(*cells))[0].tolist() == [1, 0]
    with pytest.raises(Unreadable):
        Classification(("n", "p")).encode(_cells("N", "P"))


def test_labels_of_older_runs_are_known_as_they_were_and_as_they_look():
    task = Classification(("cafe\u0301", "bar"))
    assert task.encode(_cells("cafe\u0301", "caf\u00e9", "bar\u200b"))[0].tolist() == [0, 0, 1]


def test_a_score_is_said_in_a_sentence_for_everybody():
    def scored(value: float, low: float, high: float) -> Scores:
        return Scores((Metric("accuracy", value, low, high, True),), 100)

    task = Classification(("cat", "dog"))
    said = task.plainly(scored(0.63, 0.56, 0.7), "pictures it never saw", scored(0.25, 0.2, 0.3))
    assert said == "63 of 100 pictures it never saw are right (56 to 70); guessing gives 25."
    assert task.plainly(scored(0.996, 0.99, 0.999), "texts") == "99.6 of 100 texts are right (99.0 to 99.9)."


@pytest.mark.parametrize("write", ["{}h 5min", "{}\u00bd", "{}ft 2in", "{}/7"])
def test_measures_in_words_are_no_classes(write: str):
    """Whatever the notation is: each text hardly ever repeats."""
    cells = [write.format(number) for number in range(400)]
    with pytest.raises(DataError, match="to predict each text as a class, name the task classification"):
        Classification.matches(_cells(*cells))
    assert Classification.matches(_cells(*(cells[:15] * 10)))  # few classes, whatever they are called
    assert Classification.matches(_cells(*(f"id {cell}" for cell in cells)))  # names


def test_scores_of_many_labels_equal_those_of_few_and_keep_no_row_of_all_labels(monkeypatch: pytest.MonkeyPatch):
    generator = torch.Generator().manual_seed(0)
    task = Classification(tuple("abcde"), (3, 4, 5, 6, 7))
    outputs, targets = torch.randn(60, 5, generator=generator), torch.randint(5, (60,), generator=generator)
    found = list[Scores]()
    for most in (100, 2):
        monkeypatch.setattr(classification, "MOST_CLASSES", most)
        score = task.score()
        score.add(outputs, _batch(targets))
        found.append(score.result())
        names = [metric.name for metric in found[-1].metrics]
        assert ("auc" in names, bool(found[-1].confusion)) == (most == 100, most == 100)
    for name in ("log_loss", "accuracy", "balanced_accuracy", "f1", "calibration_error"):
        assert found[0][name].value == found[1][name].value


def test_a_hundred_thousand_labels_are_scored_and_answered_within_the_memory_of_one_batch():
    labels = tuple(f"k{number}" for number in range(100_000))
    task, score = Classification(labels, (3,) * len(labels)), Classification(labels, (3,) * len(labels)).score()
    outputs = torch.zeros(4, len(labels))
    outputs[:, 7] = 5.0
    for _ in range(10):
        score.add(outputs, _batch(torch.tensor([7, 7, 7, 8])))
    assert score.quick()["accuracy"] == 0.75
    batch = Batch((torch.arange(4),), (), torch.arange(4))
    assert task.predict(Lookup(outputs), batch).columns == ["prediction", "probability"]
    wanted = Wanted.of(task, (torch.tensor([7, 8]),))
    assert not wanted.form  # a simple model would answer with a matrix of all labels
