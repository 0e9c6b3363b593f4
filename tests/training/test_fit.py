import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import polars as pl
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.data.examples import InMemory
from netwright.machine.randomness import epoch_seed
from netwright.records.batch import Batch, Examples
from netwright.records.errors import BudgetError, DataError, NetworkError, RecipeError, RunError
from netwright.records.history import Epoch, Progress
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.records.schema import Schema
from netwright.records.task import NO_INPUTS, Objective, Score, Scores, Task
from netwright.reports.text import ending
from netwright.tasks.classification import Classification
from netwright.training import fit as fitting
from netwright.training.epochs import AT_START
from netwright.training.fit import Events, fit
from netwright.training.weights import copied, named

ROWS, COLUMNS = 120, 5


@dataclass(frozen=True)
class ByAccuracy(Task):
    """Two classes, scored by accuracy alone: a metric that stays equal while the weights move a little."""

    name: ClassVar[str] = "by_accuracy"
    metric: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[bool] = True

    @staticmethod
    def matches(cells: pl.DataFrame) -> bool:
        return False

    @classmethod
    def learn(cls, cells: pl.DataFrame, schema: Schema = NO_INPUTS) -> Self:
        return cls()

    def encode(self, cells: pl.DataFrame) -> tuple[Tensor, ...]:
        return (cells.to_series().to_torch(),)

    def network(self, schema: Schema, recipe: Recipe) -> nn.Module:
        return nn.Linear(COLUMNS, 2)

    def objective(self, recipe: Recipe) -> Objective:
        return lambda net, batch: F.cross_entropy(net(*batch.inputs), batch.targets[0], reduction="none")

    def score(self) -> Score:
        return Accuracy()

    def predict(self, network: nn.Module, batch: Batch) -> pl.DataFrame:
        return pl.DataFrame({"answer": network(*batch.inputs).argmax(1).numpy()})

    def chance_loss(self, targets: tuple[Tensor, ...]) -> float:
        return 1.0

    def constant(self, targets: tuple[Tensor, ...]) -> Tensor:
        return torch.zeros(1, 2)

    def describe(self) -> str:
        return "two classes by accuracy"


@dataclass(frozen=True)
class FromAFit(ByAccuracy):
    """The same, if its networks start at an answer."""

    starts_at_fit: ClassVar[bool] = True


class Accuracy(Score):
    def __init__(self) -> None:
        self.hits: list[Tensor] = []

    def add(self, outputs: Tensor | tuple[Tensor, ...], batch: Batch) -> None:
        assert isinstance(outputs, Tensor)
        self.hits.append(outputs.argmax(1) == batch.targets[0])

    def quick(self) -> dict[str, float]:
        return {"accuracy": torch.cat(self.hits).float().mean().item()}

    def result(self, groups: torch.Tensor | None = None) -> Scores:
        return Scores((), 0)


def data(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(ROWS, COLUMNS, generator=generator)
    return x, (x[:, 0] + x[:, 1] > 0).long()


def examples(start: int, stop: int, x: Tensor | None = None) -> Examples:
    inputs, targets = data()
    return InMemory((inputs if x is None else x,), (targets,), torch.arange(start, stop), "people.csv, line {}".format)


def network(*, dropout: float = 0.0) -> nn.Module:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(3)
        return nn.Sequential(nn.Linear(COLUMNS, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 2))


def untrained(net: nn.Module | None = None, *, valid: int = 30, **settings: object) -> Run:
    recipe = Recipe(epochs=3, batch_size=20, lr=0.01, precision="fp32", warmup=0.0).edit(settings)
    return Run(
        network=net or network(),
        task=Classification(("no", "yes")),
        schema=Schema(()),
        recipe=recipe,
        train=examples(0, 90),
        valid=examples(90, 90 + valid),
        test=examples(0, 0),
        build=network,
    )


def play(events: Events) -> tuple[Run, list[Progress | Epoch]]:
    seen: list[Progress | Epoch] = []
    while True:
        try:
            seen.append(next(events))
        except StopIteration as stop:
            return stop.value, seen


def trained(run: Run, folder: Path | None = None) -> Run:
    return play(fit(run, folder=folder))[0]


def same(a: nn.Module, b: nn.Module) -> bool:
    theirs = named(b)
    return all(torch.equal(tensor, theirs[name]) for name, tensor in named(a).items())


def test_training_leaves_the_run_and_torchs_generator_as_they_were() -> None:
    run = untrained(network(dropout=0.5))
    before, state = copied(run.network), torch.get_rng_state()
    out = trained(run)
    assert all(torch.equal(before[name], tensor) for name, tensor in named(run.network).items())
    assert torch.equal(torch.get_rng_state(), state)
    assert not same(out.network, run.network)
    assert not run.history.epochs


def test_same_seed_same_weights_and_another_seed_others() -> None:
    runs = [trained(untrained(network(dropout=0.5), seed=seed)) for seed in (1, 1, 2)]
    assert same(runs[0].network, runs[1].network)
    assert not same(runs[0].network, runs[2].network)


def test_random_numbers_drawn_by_the_watcher_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "SHOW_SECONDS", 0.0)
    events = fit(untrained(network(dropout=0.5)))
    while True:
        try:
            next(events)
        except StopIteration as stop:
            watched = stop.value
            break
        torch.rand(7)
    assert same(watched.network, trained(untrained(network(dropout=0.5))).network)


def test_seeds_of_epochs_are_far_apart() -> None:
    seeds = {epoch_seed(seed, epoch) for seed in range(50) for epoch in range(1, 50)}
    assert len(seeds) == 50 * 49
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_best_weights_on_the_validation_part_are_kept_and_marked() -> None:
    run = trained(untrained(epochs=12, lr=0.3, optimizer="sgd", momentum=0.0, schedule="constant"))
    best = run.history.best
    assert best is not None
    losses = [epoch.valid["log_loss"] for epoch in run.history.epochs]
    assert best.valid["log_loss"] == min(losses)
    assert run.task.losses(run.network, whole(run.valid)).mean().item() == pytest.approx(min(losses), rel=1e-5)


def test_of_two_equal_scores_the_earlier_weights_are_kept() -> None:
    run = trained(replace(untrained(lr=1e-7, optimizer="sgd", momentum=0.0), task=ByAccuracy()))
    assert len({epoch.valid["accuracy"] for epoch in run.history.epochs}) == 1
    assert [epoch.is_best for epoch in run.history.epochs] == [True, False, False]


def test_a_fit_that_training_starts_at_is_kept_until_an_epoch_is_better(tmp_path: Path) -> None:
    start = replace(untrained(lr=1e-7, optimizer="sgd", momentum=0.0), task=FromAFit())
    run, events = play(fit(start))
    before = next(event for event in events if isinstance(event, str))
    assert before == f"before the first step accuracy is {run.history.epochs[0].valid['accuracy']:.4f}"
    assert not any(epoch.is_best for epoch in run.history.epochs)
    assert run.history.ended == f"all 3 epochs done; {AT_START}"
    assert ending(run.history, "accuracy") == run.history.ended
    assert same(run.network, start.network)
    stopped = fit(start, folder=tmp_path)
    for event in stopped:
        if isinstance(event, Epoch):
            break
    stopped.close()
    assert same(trained(start, tmp_path).network, start.network)
    better = trained(replace(untrained(lr=0.3, epochs=8), task=FromAFit()))
    assert better.history.best is not None and not same(better.network, start.network)


def test_training_stops_when_the_score_has_not_improved_for_patience_epochs() -> None:
    run = trained(replace(untrained(lr=1e-7, optimizer="sgd", momentum=0.0, epochs=30, patience=2), task=ByAccuracy()))
    assert run.history.ended == "no better for 2 epochs"
    assert len(run.history.epochs) == 3


def test_without_a_validation_part_the_last_weights_are_kept_and_this_is_said() -> None:
    run = trained(untrained(valid=0, patience=1))
    assert run.history.ended == "all 3 epochs done; there is no validation part, so the last weights are kept"
    assert [epoch.is_best for epoch in run.history.epochs] == [False, False, True]
    assert run.history.epochs[0].valid == {}


def test_plateau_lowers_the_rate_when_the_score_stops_improving() -> None:
    settings = {"lr": 1e-7, "optimizer": "sgd", "momentum": 0.0, "epochs": 30, "patience": 4, "schedule": "plateau"}
    run = trained(replace(untrained(**settings), task=ByAccuracy()))
    factors = [epoch.lr / 1e-7 for epoch in run.history.epochs]
    assert factors == pytest.approx([1, 1, 1, 0.3, 0.3])  # lowered after two epochs without a better score


def test_kept_weights_are_the_average_where_the_recipe_asks_for_one() -> None:
    run = trained(untrained(average=1.0, epochs=4))
    best = run.history.best
    assert best is not None
    own = run.task.losses(run.network, whole(run.valid)).mean().item()
    assert own == pytest.approx(best.valid["log_loss"], rel=1e-5)
    assert not same(run.network, trained(untrained(epochs=4)).network)


def test_history_counts_steps_rows_and_losses() -> None:
    run = trained(untrained(accumulate=2))
    assert [epoch.step for epoch in run.history.epochs] == [3, 6, 9]  # 90 rows: batches of 20, 20 | 20, 20 | 10
    assert run.history.epochs[0].train_loss == pytest.approx(0.7, abs=0.2)
    assert all(epoch.grad_norm > 0 and epoch.memory_bytes > 2**20 for epoch in run.history.epochs)
    assert run.history.epochs[-1].train_loss < run.history.epochs[0].train_loss


def test_progress_tells_step_loss_rate_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "SHOW_SECONDS", 0.0)
    ticks = iter(range(10**6))
    _, events = play(fit(untrained(schedule="constant"), clock=lambda: float(next(ticks))))
    shown = [event for event in events if isinstance(event, Progress)]
    assert [event.step for event in shown] == list(range(1, 16))
    assert {event.steps for event in shown} == {15}
    assert {event.lr for event in shown} == {0.01}
    assert all(event.rows_per_second > 0 for event in shown)
    assert shown[-1].seconds_left == 0.0
    assert shown[3].seconds_left > shown[10].seconds_left


def test_progress_is_no_more_frequent_than_people_read() -> None:
    _, events = play(fit(untrained(), clock=lambda: 0.0))
    assert not [event for event in events if isinstance(event, Progress)]


def test_clip_of_zero_clips_nothing_and_still_measures() -> None:
    ours = trained(untrained(clip=0.0))
    theirs = trained(untrained(clip=1e6))
    assert same(ours.network, theirs.network)
    # Five steps an epoch: without clipping the first is noted, with it all are.
    assert ours.history.epochs[0].grad_norm > 0
    assert ours.history.epochs[0].grad_norm != theirs.history.epochs[0].grad_norm


def test_training_in_another_thread_works_without_a_handler_for_ctrl_c() -> None:
    runs: list[Run] = []
    thread = threading.Thread(target=lambda: runs.append(trained(untrained())))
    thread.start()
    thread.join()
    assert same(runs[0].network, trained(untrained()).network)


# What goes wrong, and what is said.


def test_a_diverging_loss_stops_with_step_rate_row_and_remedy() -> None:
    x = data()[0] * 1e18
    run = replace(untrained(lr=10.0, optimizer="sgd", clip=0.0, epochs=50), train=examples(0, 90, x))
    with pytest.raises(RecipeError) as caught:
        trained(run)
    text = caught.value.problem
    assert " in step 2 of 250 (epoch 1, learning rate 10), for " in text
    assert "first people.csv, line " in text
    assert text.endswith("their cells are finite, so training has diverged")
    assert caught.value.remedy == "lower the learning rate to lr=1 and clip gradients with clip=1."


def test_infinite_inputs_are_the_datas_fault_and_named_by_row() -> None:
    x = data()[0].clone()
    x[37, 2] = math.inf
    with pytest.raises(DataError) as caught:
        trained(replace(untrained(), train=examples(0, 90, x)))
    assert "the loss is nan in step " in caught.value.problem
    assert "for 1 of 20 rows, first people.csv, line 37: input 1 holds infinite numbers there" in caught.value.problem
    assert caught.value.remedy == "correct these cells or drop the rows."


def test_a_network_that_gives_nan_from_the_start_is_the_networks_fault() -> None:
    class Root(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(COLUMNS, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x).sqrt()

    with pytest.raises(NetworkError, match=r"in step 1 of 15 .* their cells are finite and nothing was learned yet"):
        trained(untrained(Root()))


def test_an_infinite_gradient_under_a_finite_loss_is_found() -> None:
    class Steep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(2, COLUMNS))

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.weight.abs().sqrt().T  # the root's slope at 0 is infinite

    with pytest.raises(NetworkError, match="the loss is finite but its gradient is not in step 1"):
        trained(untrained(Steep()))


def test_a_checkpoint_is_never_written_with_weights_that_are_no_numbers(tmp_path: Path) -> None:
    x = data()[0] * 1e18
    run = untrained(lr=10.0, optimizer="sgd", clip=0.0, checkpoint_seconds=0.0)
    with pytest.raises(RecipeError):
        trained(replace(run, train=examples(0, 90, x)), tmp_path)
    saved = fitting.checkpoint.load(tmp_path)
    assert saved is None or saved.position.step == 1


def test_outputs_of_a_wrong_shape_are_told_before_the_first_step() -> None:
    with pytest.raises(NetworkError) as caught:
        trained(untrained(nn.Linear(COLUMNS, 7)))
    assert "(20, 7)" in caught.value.problem
    assert "(20, 2)" in caught.value.problem


def test_inputs_that_the_network_does_not_take_are_told() -> None:
    with pytest.raises(NetworkError, match=r"the network does not take inputs of shape \(20, 5\): mat1 and mat2"):
        trained(untrained(nn.Linear(9, 2)))


def test_a_precision_that_torch_lacks_for_the_network_is_told_before_the_first_step() -> None:
    class WithoutBf16(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            if torch.is_autocast_enabled("cpu"):
                raise RuntimeError("no such kernel")
            return super().forward(x)

    trained(untrained(WithoutBf16(COLUMNS, 2)))
    with pytest.raises(RecipeError, match="cannot compute this network in bf16 on this device: no such") as caught:
        trained(untrained(WithoutBf16(COLUMNS, 2), precision="bf16"))
    assert "precision=auto" in caught.value.remedy


def test_no_training_rows_is_an_error() -> None:
    with pytest.raises(DataError, match="there are no training rows"):
        trained(replace(untrained(), train=examples(0, 0)))


def test_batch_norm_with_batches_of_one_row_says_what_to_set() -> None:
    net = nn.Sequential(nn.Linear(COLUMNS, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    with pytest.raises(RecipeError, match="batch normalization cannot learn from a batch of one row") as caught:
        trained(untrained(net, batch_size=1))
    assert caught.value.remedy == "set batch_size=4 or more."


class Failing(Examples):
    """Examples whose third batch fails."""

    def __init__(self, error: Callable[[], Exception]) -> None:
        self.error, self.inner = error, examples(0, 90)

    def __len__(self) -> int:
        return len(self.inner)

    def batches(self, size: int, *, seed: int | None, start: int = 0, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        for number, batch in enumerate(self.inner.batches(size, seed=seed, start=start), start):
            if number == 2:
                raise self.error()
            yield batch

    def locate(self, row: int) -> str:
        return self.inner.locate(row)


def test_a_path_that_vanishes_while_training_is_named(tmp_path: Path) -> None:
    gone = tmp_path / "cat.jpg"

    def fail() -> Exception:
        try:
            gone.read_bytes()
        except OSError as error:
            return error
        raise AssertionError("the file is there")

    with pytest.raises(DataError, match=r"cat\.jpg cannot be read while training: No such file or directory") as caught:
        trained(replace(untrained(), train=Failing(fail)))
    assert "run the same command again" in caught.value.remedy


def test_memory_that_does_not_suffice_is_told_with_the_next_smaller_batch() -> None:
    def fail() -> Exception:
        return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    with pytest.raises(BudgetError, match="batches of 20 rows needs more memory than cpu has") as caught:
        trained(replace(untrained(), train=Failing(fail)))
    assert caught.value.remedy == "set batch_size=10 accumulate=2."


def test_errors_of_unknown_cause_come_through_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="something of the user's own"):
        trained(replace(untrained(), train=Failing(lambda: RuntimeError("something of the user's own"))))


def test_a_run_folder_that_vanishes_while_training_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "SHOW_SECONDS", 0.0)
    folder = tmp_path / "run"
    events = fit(untrained(), folder=folder)
    next(events)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    with pytest.raises(RunError, match=r"run/history\.jsonl cannot be written: No such file or directory"):
        play(events)


def whole(part: Examples) -> Batch:
    return next(part.batches(len(part), seed=None))
