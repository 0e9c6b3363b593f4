from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import polars as pl
import pytest
import torch
from torch import nn

from netwright.data.examples import InMemory, empty
from netwright.kinds.category import Category
from netwright.kinds.number import Number
from netwright.models import stems
from netwright.records.errors import NetwrightError, RecipeError
from netwright.records.history import Epoch
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.records.schema import Schema
from netwright.records.task import Task
from netwright.tasks.classification import Classification
from netwright.tasks.multilabel import Multilabel
from netwright.tasks.regression import Regression
from netwright.training.fit import Events, fit
from netwright.training.population import STACK, population, unstackable
from netwright.training.weights import copied, named

ROWS, TRAINED = 150, 120
SETTINGS = {"epochs": 4, "width": 16, "depth": 3, "batch_size": 32, "dropout": 0.2, "embedding": "none"}
# Each differs from the defaults in what members of one stack may differ in.
MIX: tuple[dict[str, object], ...] = (
    {"seed": 1, "lr": 3e-3, "dropout": 0.0, "momentum": 0.8, "clip": 0.0},
    {"seed": 2, "weight_decay": 0.3, "average": 0.5, "schedule": "cosine", "warmup": 0.5, "clip": 0.05},
    {"seed": 3, "beta2": 0.9, "epochs": 2, "dropout": 0.6, "l1": 1e-3, "keep": "last"},
    {"seed": 3, "lr": 0.03, "patience": 1, "schedule": "plateau", "epochs": 6},
)
CLOSE = 1e-5  # float32 sums in another order, over 16 steps; the same settings with another seed differ by 0.1 and more


def table(seed: int = 0) -> pl.DataFrame:
    """Two numbers, one with gaps, and a category; the answers depend on all three."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(ROWS, 2, generator=generator)
    color = torch.randint(0, 3, (ROWS,), generator=generator)
    y = x[:, 0] + x[:, 1].abs() + color
    return pl.DataFrame(
        {
            "a": x[:, 0].numpy(),
            "b": [None if k % 7 == 0 else v for k, v in enumerate(x[:, 1].tolist())],
            "color": [("red", "green", "blue")[k] for k in color.tolist()],
            "class": [("low", "middle", "high")[k] for k in torch.bucketize(y, torch.tensor([0.5, 2.0])).tolist()],
            "y": y.numpy(),
            "odd": [[name for name, is_on in (("p", v > 1), ("q", v < 2)) if is_on] for v in y.tolist()],
        }
    )


CELLS = table()
TARGETS: dict[type[Task], str] = {Classification: "class", Regression: "y", Multilabel: "odd"}


def runs_of(task: type[Task], mix: tuple[Mapping[str, object], ...] = MIX, **shared: object) -> list[Run]:
    """A run for each of the settings, on folds of different sizes."""
    target = CELLS.select(TARGETS[task])
    learned = task.learn(target[:TRAINED])
    schema = Schema(
        (*(Number.learn(n, CELLS[n][:TRAINED]) for n in ("a", "b")), Category.learn("color", CELLS["color"][:TRAINED]))
    )
    inputs, targets = schema.encode(CELLS), learned.encode(target)
    runs: list[Run] = []
    for fold, own in enumerate(mix):
        recipe = Recipe().edit({**SETTINGS, **shared, **own})
        held_out = torch.arange(ROWS) % 5 == fold % 5
        held_out[: fold * 3] = False  # no two folds are of one size
        train = InMemory(inputs, targets, torch.where(~held_out)[0], "row {}".format)
        valid = InMemory(inputs, targets, torch.where(held_out)[0], "row {}".format)
        build = partial(learned.network, schema, recipe)
        runs.append(Run(build(), learned, schema, recipe, train, valid, valid, build))
    return runs


def outcome(events: Events) -> Run:
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


def trained(runs: list[Run]) -> tuple[list[tuple[int, Epoch]], list[Run]]:
    told: list[tuple[int, Epoch]] = []
    events = population(runs)
    while True:
        try:
            index, event = next(events)
        except StopIteration as end:
            return told, list(end.value)
        if isinstance(event, Epoch):
            told.append((index, event))


def check_same(together: Run, alone: Run) -> None:
    assert together.history.ended == alone.history.ended
    assert len(together.history.epochs) == len(alone.history.epochs)
    for ours, theirs in zip(together.history.epochs, alone.history.epochs, strict=True):
        assert (ours.epoch, ours.step, ours.is_best) == (theirs.epoch, theirs.step, theirs.is_best)
        assert ours.lr == theirs.lr
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=CLOSE)
        assert ours.grad_norm == pytest.approx(theirs.grad_norm, rel=CLOSE * 10)
        assert ours.valid == pytest.approx(theirs.valid, rel=CLOSE * 10, abs=CLOSE)
    found, wanted = named(together.network), named(alone.network)
    assert found.keys() == wanted.keys()
    for name in wanted:
        assert torch.allclose(found[name], wanted[name], rtol=0, atol=CLOSE), name
    assert not together.network.training


def check_all_same(runs: list[Run]) -> None:
    assert not any(map(unstackable, runs))
    for together, run in zip(trained(runs)[1], runs, strict=True):
        check_same(together, outcome(fit(run)))


@pytest.mark.parametrize("task", TARGETS, ids=lambda task: task.name)
@pytest.mark.parametrize("members", [1, 3])
def test_results_equal_those_of_training_alone(task: type[Task], members: int) -> None:
    check_all_same(runs_of(task, members=members))


@pytest.mark.parametrize(
    "shared",
    [
        {"embedding": "piecewise", "members": 2},
        {"embedding": "periodic", "activation": "softmax", "normalization": "rms"},
        {"optimizer": "adam"},
        {"optimizer": "sgd", "nesterov": True},
        {"optimizer": "sgd", "nesterov": False, "normalization": "none"},
        {"loss": "focal", "class_weights": "balanced", "label_smoothing": 0.2},
        {"layers": ({"dense": 8}, "layer_norm", "gelu", {"dropout": 0.5}, {"dense": 8})},
        {"batch_size": 200},  # one batch an epoch, and as many sizes as folds
        {"batch_size": 13},  # 131 rows: a last batch of one row takes a second one
    ],
    ids=str,
)
def test_so_they_do_for_every_part_that_has_a_stacked_form(shared: Mapping[str, object]) -> None:
    check_all_same(runs_of(Classification, **shared))


@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
def test_members_smooth_labels_each_in_their_own_way(loss: str) -> None:
    mix = tuple({"seed": k, "label_smoothing": share} for k, share in enumerate((0.0, 0.1, 0.9)))
    check_all_same(runs_of(Classification, mix, loss=loss))


def test_bfloat16_is_that_of_training_alone() -> None:
    found = trained(runs_of(Regression, MIX[:2], precision="bf16"))[1]
    fp32 = trained(runs_of(Regression, MIX[:2]))[1]
    for together, exact, run in zip(found, fp32, runs_of(Regression, MIX[:2], precision="bf16"), strict=True):
        losses, others, alone = ([e.train_loss for e in r.history.epochs] for r in (together, exact, outcome(fit(run))))
        assert losses == pytest.approx(alone, rel=2**-8)  # the bits that bfloat16 keeps
        assert losses != pytest.approx(others, rel=CLOSE)


def test_networks_of_plain_layers_are_stacked_too() -> None:
    runs = runs_of(Regression)
    inputs = (torch.randn(ROWS, 4, 3),)
    for seed, run in enumerate(runs):
        torch.manual_seed(seed)
        network = nn.Sequential(
            *(nn.Linear(3, 5, bias=False), stems.Flat(), nn.LayerNorm(20, bias=False)),
            *(nn.Dropout(0.1 * seed), nn.Linear(20, 1)),
        )
        parts = {"train": replace(run.train, columns=inputs), "valid": replace(run.valid, columns=inputs)}
        runs[seed] = replace(run, network=network, **parts)
    check_all_same(runs)


def test_without_a_validation_part_the_last_weights_are_kept() -> None:
    check_all_same([replace(run, valid=empty()) for run in runs_of(Classification)])


def test_runs_are_left_as_they_were() -> None:
    runs = runs_of(Classification)
    before = [copied(run.network) for run in runs]
    state = torch.random.get_rng_state()
    trained(runs)
    assert torch.equal(torch.random.get_rng_state(), state)
    for run, tensors in zip(runs, before, strict=True):
        assert all(torch.equal(t, tensors[name]) for name, t in named(run.network).items())
        assert run.network.training


def test_more_runs_than_a_stack_holds_are_told_in_their_own_order() -> None:
    runs = runs_of(Regression, tuple({"seed": seed % 3, "width": 4} for seed in range(STACK + 2)), epochs=1)
    runs = [replace(run, train=runs[0].train, valid=runs[0].valid) for run in runs]
    told, found = trained(runs)
    assert sorted(index for index, _ in told) == list(range(len(runs)))
    for together, run in zip(found, runs, strict=True):
        assert together.recipe == run.recipe
        for name, tensor in named(found[run.recipe.seed].network).items():
            assert torch.allclose(named(together.network)[name], tensor, rtol=0, atol=CLOSE)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"optimizer": "muon"}, "optimizer 'muon'"),
        ({"normalization": "batch"}, "BatchNorm1d"),
        ({"accumulate": 2}, "accumulate=2"),
        ({"defense": ("noise",)}, "its defense (noise)"),
        ({"loss": "torch.nn.functional:cross_entropy"}, "the loss"),
    ],
)
def test_what_has_no_stacked_form_is_told(settings: Mapping[str, object], why: str) -> None:
    assert why in unstackable(runs_of(Classification, MIX[:1], **settings)[0])


def test_what_is_used_twice_has_no_stacked_form() -> None:
    run = runs_of(Regression, MIX[:1])[0]
    activation = nn.ReLU()
    twice = nn.Sequential(nn.Linear(3, 3), activation, nn.Linear(3, 1), activation)
    assert unstackable(replace(run, network=twice)) == "layers are used twice"
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    assert unstackable(replace(run, network=tied)) == "weights are used twice"


def test_what_has_no_stacked_form_is_trained_alone() -> None:
    runs = [*runs_of(Classification, MIX[:2]), *runs_of(Classification, MIX[2:], optimizer="muon")]
    for together, run in zip(trained(runs)[1], runs, strict=True):
        check_same(together, outcome(fit(run)))


def test_a_run_that_diverges_gives_its_error_and_the_others_go_on() -> None:
    runs = runs_of(Regression)
    runs[1] = replace(runs[1], recipe=runs[1].recipe.edit({"lr": 10.0, "optimizer": "sgd", "clip": 0}))
    runs[2] = replace(runs[2], recipe=runs[2].recipe.edit({"optimizer": "sgd"}))
    runs[3] = replace(runs[3], recipe=runs[3].recipe.edit({"loss": "huber", "class_weights": "balanced"}))
    with pytest.raises(NetwrightError) as alone:
        outcome(fit(runs[1]))
    found = trained(runs)[1]
    assert isinstance(found[1], RecipeError) and str(found[1]) == str(alone.value)
    assert isinstance(found[3], RecipeError) and "class_weights" in str(found[3])
    for index in (0, 2):
        check_same(found[index], outcome(fit(runs[index])))


def test_no_runs_give_no_runs() -> None:
    assert trained([]) == ([], [])
