"""Loops of an engineer's own, watched and diagnosed."""

import importlib.util
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import netwright as nw
from netwright.training import watch as module

EXAMPLE = Path(__file__).parents[2] / "examples" / "watched_loop.py"


def trained(fault: str) -> nw.Run:
    spec = importlib.util.spec_from_file_location("watched_loop", EXAMPLE)
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    return example.trained(fault)


@pytest.mark.parametrize(("fault", "code"), [("never cleared", "NW311"), ("detached", "NW312")])
def test_a_fault_of_the_loop_is_named_first(fault: str, code: str) -> None:
    first = nw.diagnose(trained(fault)).findings[0]
    assert (first.code, first.severity) == (code, "error")


def test_a_healthy_loop_is_called_healthy() -> None:
    run = trained("")
    report = nw.diagnose(run)
    assert not report.fails("warning")
    assert not any("initial weights" in check.skipped for check in report.checks)
    assert (run.recipe.optimizer, run.recipe.lr, run.recipe.batch_size, run.recipe.epochs) == ("adam", 5e-3, 64, 20)
    losses = [epoch.train_loss for epoch in run.history.epochs]
    assert len(losses) == 20
    assert losses[-1] < 0.1 * losses[0]
    assert run.history.epochs[-1].step == run.watched.steps == 380


def loop(steps: int, watch_from: int = 0) -> tuple[nn.Module, dict[str, torch.Tensor], module.Watching]:
    network = nn.Linear(2, 2)
    first = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters())

    def step() -> None:
        F.cross_entropy(network(torch.ones(4, 2)), torch.zeros(4, dtype=torch.long)).backward()
        optimizer.step()

    for _ in range(watch_from):
        step()
    with nw.watch(network, optimizer) as watch:
        for _ in range(steps):
            step()
    return network, first, watch


def test_the_network_is_built_as_it_was_before_the_first_step() -> None:
    network, first, watch = loop(3)
    assert watch.build is not None
    built = watch.build().state_dict()
    assert all(torch.equal(built[name], first[name]) for name in first)
    assert not torch.equal(built["weight"], network.state_dict()["weight"])


def test_first_weights_are_not_claimed_of_a_training_that_had_begun() -> None:
    assert loop(3, watch_from=1)[2].build is None


def test_first_weights_that_take_too_much_memory_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_BYTES", 20)
    assert loop(3)[2].build is None


def test_a_loop_that_made_no_step_has_no_history() -> None:
    assert loop(0)[2].history(10).epochs == ()
