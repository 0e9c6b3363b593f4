from dataclasses import replace
from pathlib import Path

from torch import nn

from netwright.data.examples import empty
from netwright.explanations.weights import Connection, LayerWeights, Learned
from netwright.records.history import Epoch, History
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.records.schema import Schema
from netwright.records.standing import Standing, standing
from netwright.records.task import Metric, Scores
from netwright.reports.text import ending, scores_table, summary, verdict, weights_table
from netwright.tasks.classification import Classification


def scored(value: float, *, higher_is_better: bool = False, **more: object) -> Scores:
    """A score with an interval of 0.1 to both sides."""
    name = "accuracy" if higher_is_better else "log_loss"
    metric = Metric(name, value, value - 0.1, value + 0.1, higher_is_better=higher_is_better)
    right = () if higher_is_better else (Metric("accuracy", 1 - value, 0.6, 0.8, higher_is_better=True),)
    return Scores((metric, *right), 1234, **more)  # type: ignore[arg-type]  confusion and labels


def run(scores: Scores | None, *baselines: tuple[str, Scores], folder: Path | None = None) -> Run:
    network = nn.Linear(2, 2)
    task, part = Classification(("no", "yes")), empty()
    results = {"baselines": baselines} if scores is None else {"scores": scores, "baselines": baselines}
    return Run(
        network, task, Schema(()), Recipe(), part, part, part, lambda: network, folder=folder, results=results
    )  # fmt: skip


def test_network_beats_simple_models_outside_of_its_interval() -> None:
    assert verdict(run(scored(0.3), ("constant", scored(0.69)), ("linear", scored(0.45)))) == (
        "The network beats the simple models: log_loss 0.3000 against 0.4500 of the linear model.\n"
        "70 of 100 rows it never saw are right (60 to 80); guessing gives 31."
    )
    assert verdict(run(scored(0.9, higher_is_better=True), ("linear", scored(0.7, higher_is_better=True)))) == (
        "The network beats the simple models: accuracy 0.9000 against 0.7000 of the linear model.\n"
        "90 of 100 rows it never saw are right (80 to 100)."
    )


def test_a_simple_model_within_the_interval_is_as_good() -> None:
    assert verdict(run(scored(0.3), ("linear", scored(0.35)))).startswith(
        "The linear model is about as good: the network has log_loss 0.3000 against 0.3500 of the linear model, "
        "within its 95 % interval.\n70 of 100 rows"
    )
    assert verdict(run(scored(0.3), ("boosted trees", scored(0.25)))).startswith(
        "Boosted trees are as good: the network has log_loss 0.3000 against 0.2500 of boosted trees.\n70 of 100 rows"
    )


def test_a_simple_model_beyond_the_interval_is_better() -> None:
    assert verdict(run(scored(0.3), ("linear", scored(0.2)), ("boosted trees", scored(0.1)))).startswith(
        "Boosted trees are better: the network has log_loss 0.3000 against 0.1000 of boosted trees."
    )
    lower = scored(0.5, higher_is_better=True)
    assert verdict(run(lower, ("linear", scored(0.7, higher_is_better=True)))).startswith("The linear model is better")


def test_a_paired_difference_is_said_with_its_interval() -> None:
    for value, low, high, text in (
        (0.02, 0.01, 0.03, "The network beats the simple models: {}, by 0.0200 (0.0100 to 0.0300)."),
        (-0.02, -0.04, 0.01, "The linear model is about as good: the network has {}; 0.0200 (-0.0100 to 0.0400) may be "
         "chance."),
        (-0.02, -0.03, -0.01, "The linear model is better: the network has {}, by 0.0200 (0.0100 to 0.0300)."),
    ):  # fmt: skip
        lead = Metric("log_loss", value, low, high, higher_is_better=True)
        both = f"log_loss 0.3000 against {0.3 + value:.4f} of the linear model"
        told = verdict(run(scored(0.3), ("linear", replace(scored(0.3 + value), lead=lead))))
        assert told.splitlines()[0] == text.format(both)


def test_verdict_without_simple_models_says_so() -> None:
    told = "No simple model was scored.\n70 of 100 rows it never saw are right (60 to 80)."
    assert verdict(run(scored(0.3))) == told


def test_summary_names_the_run_folder_and_a_missing_test_part() -> None:
    assert summary(run(scored(0.3), folder=Path("runs/x"))).endswith("\n\nrun folder: runs/x")
    assert summary(run(None)) == "There is no test part: nothing was scored."


def test_scores_stand_in_a_table_beside_the_simple_models() -> None:
    baselines = (("constant", scored(0.69)), ("nearest neighbors", scored(1234.5)))
    head, line, _ = scores_table(scored(0.3), baselines).splitlines()
    assert head.split("  ")[0] == "on 1,234 test rows"
    assert head.split()[-3:] == ["constant", "nearest", "neighbors"]
    assert line.split() == ["log_loss", "0.3000", "[0.2000,", "0.4000]", "0.6900", "1,234.5"]
    assert len(head) == len(line), "columns are aligned"


def test_small_confusion_matrices_are_told_and_large_ones_are_not() -> None:
    told = scores_table(scored(0.3, confusion=((5, 1), (2, 1007)), labels=("no", "yes"))).splitlines()
    assert [line.split() for line in told[-3:]] == [
        ["true", "/", "predicted", "no", "yes"],
        ["no", "5", "1"],
        ["yes", "2", "1,007"],
    ]
    many = tuple(f"c{n}" for n in range(13))
    assert "predicted" not in scores_table(scored(0.3, confusion=((0,) * 13,) * 13, labels=many))


def test_ending_names_the_epoch_that_was_kept() -> None:
    best = Epoch(2, 20, 0.6, {"loss": 0.5, "log_loss": 0.51239}, 1e-3, 1.0, 2.0, 100.0, 2**20, is_best=True)
    ended = "no better for 5 epochs"
    assert ending(History((best,), ended), "log_loss") == f"{ended}; kept epoch 2 with log_loss 0.5124"
    assert ending(History((), ended), "log_loss") == f"{ended}; the last weights were kept"


def test_weights_are_told_by_layer_then_the_strongest_columns() -> None:
    layer = LayerWeights("head.weight", (2, 16), 0.5, 0.25, 0.25, 0.0, 0.125, 1.0)
    connections = (Connection("age", 3, 0.75, 1), Connection("town", 0, 0.5, 0), Connection("height", 1, 0.25, -1))
    told = weights_table(Learned((layer,), connections, None)).splitlines()
    assert told[1].split() == ["head.weight", "2", "x", "16", "50.0%", "25.0%", "25.0%", "0.1250"]
    assert [line.split() for line in told[4:]] == [
        ["+", "age", "3", "0.7500"],
        ["town", "0", "0.5000"],
        ["-", "height", "1", "0.2500"],
    ]
    assert weights_table(Learned((), (), None)).count("\n") == 0


def test_weights_of_long_names_keep_their_columns_apart() -> None:
    name = "branches.0.trunk.blocks.1.norm.weight"
    layers = tuple(LayerWeights(n, (2, 2), 0.5, 0.5, 0.0, 0.0, 1.0, 1.0) for n in (name, "short"))
    connections = (Connection("a column with a very long name indeed", 7, 0.5, 1),)
    told = weights_table(Learned(layers, connections, None)).splitlines()
    assert told[1].index("2 x 2") == told[2].index("2 x 2") == told[0].index("shape") == told[-1].index("7")


def test_a_network_that_does_not_beat_a_trivial_model_is_no_better_than_it() -> None:
    ours = Metric("mase", 1.27, 1.1, 1.4, False)
    close, beaten = Metric("mase", 0.01, -0.01, 0.04, True), Metric("mase", 0.2, 0.1, 0.3, True)
    trivial = Scores((replace(ours, value=1.28),), 50, lead=close)
    better = Scores((replace(ours, value=1.26),), 50, lead=close)
    names = (("last value", trivial), ("ridge", better))
    found = standing(Scores((ours,), 50), names, ("last value",))
    assert found is not None and found.name == "last value" and found.is_trivial
    assert standing(Scores((ours,), 50), names) == Standing("ridge", ours, better.metrics[0], close)
    found = standing(Scores((ours,), 50), (("last value", replace(trivial, lead=beaten)),), ("last value",))
    assert found is not None and not found.is_trivial
    told = verdict(run(scored(0.3), ("constant", replace(scored(0.31), lead=close)), ("linear", scored(0.29))))
    assert told.startswith(
        "The network is no better than the constant: it has log_loss 0.3000 against 0.3100 of the constant model; "
        "0.0100 (-0.0100 to 0.0400) may be chance."
    )
