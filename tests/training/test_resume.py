"""Interrupted and resumed training equals one that was never stopped, bit for bit.

Run as a script it trains into a folder and prints a line for each step, so that the test knows when to kill it.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from netwright.data.examples import InMemory
from netwright.machine.interrupts import Ended
from netwright.records.batch import Examples
from netwright.records.errors import RunError
from netwright.records.history import Epoch, History, Progress
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.tasks.classification import Classification
from netwright.training import checkpoint, fit
from netwright.training.adopt import adopt
from netwright.training.weights import named

NEVER = 1e6  # seconds


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Ctrl-C as a terminal sends it: a shell that starts programs behind `&` has them ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def untrained(optimizer: str, checkpoint_seconds: float) -> Run:
    """Dropout, batch norm, averaging, shuffling, plateau, accumulation with a remainder, L1 and channels last."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(230, 1, 6, 6, generator=generator)
    y = (x.mean((1, 2, 3)) > 0).long()

    def rows(start: int, stop: int) -> Examples:
        return InMemory((x,), (y,), torch.arange(start, stop), "row {}".format)

    with torch.random.fork_rng(devices=()):
        torch.manual_seed(1)
        network = nn.Sequential(
            *(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2), nn.Flatten()),
            *(nn.Linear(128, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2)),
        ).to(memory_format=torch.channels_last)
    recipe = Recipe(
        epochs=6, batch_size=16, accumulate=2, average=0.2, schedule="plateau", patience=2, warmup=0.1, lr=0.05,
        optimizer=optimizer, checkpoint_seconds=checkpoint_seconds, l1=1e-4, seed=5,
    )  # fmt: skip
    run = adopt(network, Classification(("low", "high")), [(x[:16], y[:16])])
    return replace(run, train=rows(0, 170), valid=rows(170, 230), recipe=recipe)


def trained(events: fit.Events) -> Run:
    while True:
        try:
            next(events)
        except StopIteration as stop:
            return stop.value


def facts(history: History) -> list[tuple[object, ...]]:
    """Everything but times and memory."""
    return [
        (e.epoch, e.step, e.train_loss, tuple(e.valid.items()), e.lr, e.grad_norm, e.is_best) for e in history.epochs
    ]


def assert_same(a: Run, b: Run) -> None:
    assert facts(a.history) == facts(b.history)
    assert a.history.ended == b.history.ended
    theirs = named(b.network)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in named(a.network).items())


def test_killed_in_mid_epoch_and_resumed_equals_never_stopped(tmp_path: Path) -> None:
    command = [sys.executable, __file__, str(tmp_path / "killed")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(9):  # six steps make an epoch
        assert process.stdout.readline(), process.communicate()[1]
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)

    position = checkpoint.load(tmp_path / "killed")
    assert position is not None
    assert position.position.step >= 7, "at most the steps since the last checkpoint are lost"
    resumed = trained(fit.fit(untrained("adamw", NEVER), folder=tmp_path / "killed"))
    assert_same(resumed, trained(fit.fit(untrained("adamw", NEVER))))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop", "muon"])
def test_a_loop_left_early_three_times_equals_one_that_was_not(
    optimizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "SHOW_SECONDS", 0.0)  # a Progress after each step
    for count in (4, 3, 8):
        for _ in islice(fit.fit(untrained(optimizer, NEVER), folder=tmp_path), count):
            pass
    resumed = trained(fit.fit(untrained(optimizer, NEVER), folder=tmp_path))
    assert_same(resumed, trained(fit.fit(untrained(optimizer, NEVER))))


def test_ctrl_c_saves_after_the_step_it_came_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "SHOW_SECONDS", 0.0)
    before = signal.getsignal(signal.SIGINT)
    events = fit.fit(untrained("adamw", NEVER), folder=tmp_path)
    for _ in range(8):
        next(events)
    os.kill(os.getpid(), signal.SIGINT)  # waits: no exception here
    with pytest.raises(KeyboardInterrupt):
        next(events)
    assert signal.getsignal(signal.SIGINT) is before
    saved = checkpoint.load(tmp_path)
    assert saved is not None
    assert saved.position.step == 8  # seven steps and an epoch were shown, and one step more was done
    resumed = trained(fit.fit(untrained("adamw", NEVER), folder=tmp_path))
    assert_same(resumed, trained(fit.fit(untrained("adamw", NEVER))))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_end_saves_and_ends_with_its_exit_code(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, __file__, str(tmp_path / "ended")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(9):
        assert process.stdout.readline(), process.communicate()[1]
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (128 + number, "")
    resumed = trained(fit.fit(untrained("adamw", NEVER), folder=tmp_path / "ended"))
    assert_same(resumed, trained(fit.fit(untrained("adamw", NEVER))))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_evaluation_does_not_wait_for_its_end(tmp_path: Path, number: signal.Signals) -> None:
    """Weights are averaged: those that are evaluated are not those that train on."""

    def signalling(cells: Tensor) -> None:
        os.kill(os.getpid(), number)

    before = signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    run = untrained("adamw", NEVER)
    assert isinstance(run.valid, InMemory)
    with pytest.raises((KeyboardInterrupt, Ended)):
        trained(fit.fit(replace(run, valid=replace(run.valid, steps=(signalling,))), folder=tmp_path))
    signal.signal(number, before)
    saved = checkpoint.load(tmp_path)
    assert saved is not None
    assert (saved.position.epoch, saved.position.step) == (1, 6)
    resumed = trained(fit.fit(untrained("adamw", NEVER), folder=tmp_path))
    assert_same(resumed, trained(fit.fit(untrained("adamw", NEVER))))


def test_ctrl_c_is_not_lost_where_the_caller_leaves_its_loop_too(tmp_path: Path) -> None:
    events = fit.fit(untrained("adamw", NEVER), folder=tmp_path)
    next(events)
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        events.close()


def test_an_ended_training_is_not_trained_again(tmp_path: Path) -> None:
    first = trained(fit.fit(untrained("adamw", NEVER), folder=tmp_path))
    events = fit.fit(untrained("adamw", NEVER), folder=tmp_path)
    with pytest.raises(StopIteration) as stop:
        next(events)
    assert_same(stop.value.value, first)


def test_epochs_after_the_checkpoint_are_taken_out_of_the_history(tmp_path: Path) -> None:
    events = fit.fit(untrained("adamw", NEVER), folder=tmp_path)
    next(event for event in events if isinstance(event, Epoch))
    events.close()
    history = tmp_path / "history.jsonl"
    lines = history.read_text().splitlines()
    with history.open("a") as file:
        file.write(lines[-1] + "\n" + '{"epoch": 9, "st')  # an epoch whose checkpoint was never written, half a line
    resumed = trained(fit.fit(untrained("adamw", NEVER), folder=tmp_path))
    assert [e.epoch for e in checkpoint.read_history(tmp_path)] == [e.epoch for e in resumed.history.epochs]


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    list(islice(fit.fit(untrained("adamw", NEVER), folder=tmp_path), 1))
    other = untrained("adamw", NEVER)
    other.network[10] = nn.Linear(16, 2, bias=False)  # type: ignore[operator]  a Sequential
    with pytest.raises(RunError, match=r"is of another network: the network has no '10.bias'"):
        next(fit.fit(other, folder=tmp_path))


def test_a_truncated_checkpoint_says_what_to_do(tmp_path: Path) -> None:
    list(islice(fit.fit(untrained("adamw", NEVER), folder=tmp_path), 1))
    path = tmp_path / "resume.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(RunError, match=r"resume\.safetensors cannot be read") as caught:
        next(fit.fit(untrained("adamw", NEVER), folder=tmp_path))
    assert caught.value.remedy == f"delete {path} and run the same command again: training starts from its beginning."


def test_a_history_shorter_than_the_checkpoint_says_what_to_do(tmp_path: Path) -> None:
    events = fit.fit(untrained("adamw", NEVER), folder=tmp_path)
    next(event for event in events if isinstance(event, Epoch))
    events.close()
    (tmp_path / "history.jsonl").unlink()
    with pytest.raises(RunError, match=r"history\.jsonl has 0 epochs, but the checkpoint has"):
        next(fit.fit(untrained("adamw", NEVER), folder=tmp_path))


def main(folder: Path) -> None:
    fit.SHOW_SECONDS = 0.0
    for event in fit.fit(untrained("adamw", 0.0), folder=folder):
        assert isinstance(event, Epoch | Progress)
        print(event, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
