"""From a trained network to one that holds under attack."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

import netwright as nw
from netwright import run_folder
from netwright.attacks import plans
from netwright.models import guards
from netwright.records.errors import DataError, RecipeError, RunError
from netwright.records.history import Epoch
from netwright.records.run import Run
from netwright.stages import hardening, robustness, training

PLAIN = {"precision": "fp32", "kernels": "torch", "compile": "never", "threads": 1}
SMALL = {"epochs": 3, "width": 8, "depth": 1, "members": 1, "checkpoint_seconds": 0.0, **PLAIN}


class Killed(BaseException):
    """As by kill -9."""


@pytest.fixture(autouse=True)
def few_attacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What attacks find is tested elsewhere, and most of their time goes into those without gradients."""
    monkeypatch.setattr(plans, "QUICK", plans.QUICK[:3])
    monkeypatch.setattr(plans, "NUMBERS", plans.NUMBERS[:3])
    monkeypatch.setattr(robustness, "RETRIED", {"steps": 2, "labels": 1})
    monkeypatch.setattr(guards, "COPIES", 2)
    monkeypatch.setattr(hardening, "PROVEN", 4)


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    numbers = np.random.default_rng(0).random((160, 2)).round(4)
    labels = ["high" if a + b > 1 else "low" for a, b in numbers]
    pl.DataFrame({"a": numbers[:, 0], "b": numbers[:, 1], "y": labels}).write_csv(tmp_path / "t.csv")
    return tmp_path / "t.csv"


def train(table: Path, **settings: Any) -> Run:
    return nw.train(str(table), target="y", folder="run", settings=SMALL | settings, audit=False, diagnose=False)


def killed_after_an_epoch(event: object) -> None:
    if isinstance(event, Epoch):
        raise Killed


def content(folder: str) -> dict[str, bytes]:
    """All that does not hold times."""
    timed = ("history.jsonl", "outcome.json", "origin.json", "digests.json", "hardening.json", "robustness.json")
    return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.name not in timed}


def test_a_run_is_hardened_on_the_command_line(table: Path, netwright: Callable[..., Any]) -> None:
    train(table)
    done = netwright(
        "harden", "run", "--method", "adversarial", "--method", "quantize", "--eps", "0.1", "--set", "epochs=2"
    )
    assert done.code == 0, done.err
    assert "no defense" in done.out
    assert "quantized inputs" in done.out
    assert "a lesson" in done.out
    assert "quantize is a lesson" in done.err
    for name in ("adversarial", "quantize"):
        folder = Path(f"run-{name}")
        assert run_folder.is_whole(folder)
        assert run_folder.left(folder) == ()
        assert run_folder.origin(folder).parent == "run"
        assert nw.load(folder).recipe.epochs == 2
    assert "run folder: run-adversarial\n" in done.out
    best = nw.load("run-adversarial")
    assert best.hardening is not None
    assert [row.name for row in best.hardening.rows] == ["none", "adversarial", "quantize"]
    assert netwright("diagnose", "run-adversarial", "--fail-on", "never").code == 0


def test_smoothed_and_joined_networks_answer_as_any_other_and_have_a_radius(
    table: Path, netwright: Callable[..., Any]
) -> None:
    train(table)
    found = nw.harden("run", method=["smoothing", "ensemble"], settings={"epochs": 1}).hardening
    assert found is not None
    assert [row.results["radius"] is not None for row in found.rows] == [False, True, False]
    for verb in (("predict", "FOLDER", table), ("show", "FOLDER"), ("evaluate", "FOLDER", table)):
        for name in ("smoothing", "ensemble"):
            done = netwright(*(f"run-{name}" if word == "FOLDER" else word for word in verb))
            assert done.code == 0, done.err


def test_the_table_is_json_too(table: Path, netwright: Callable[..., Any]) -> None:
    train(table)
    done = netwright("harden", "run", "--method", "label_smoothing", "--json", "--quiet")
    record = json.loads(done.out)
    assert record["best"] == "label_smoothing"
    assert record["rows"][1]["folder"] == "run-label_smoothing"


def test_interrupted_hardening_resumes_as_if_it_had_never_stopped(table: Path) -> None:
    train(table)
    with pytest.raises(Killed):
        nw.harden("run", eps=0.1, show=killed_after_an_epoch)
    assert run_folder.is_resumable(Path("run-adversarial"))
    told = list[object]()
    nw.harden("run", eps=0.1, show=told.append)
    assert any("interrupted training: resuming it" in str(text) for text in told)
    nw.harden("run", eps=0.1, folder="whole")
    assert content("run-adversarial") == content("whole")


def test_finished_methods_are_not_trained_again_and_others_get_the_next_number(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(table)
    nw.harden("run", eps=0.1)
    before = content("run-adversarial")

    def kill(*given: Any, **named: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(training, "fit", kill)
        again = nw.harden("run", eps=0.1)
    assert again.folder == Path("run-adversarial")
    assert content("run-adversarial") == before
    other = nw.harden("run", eps=0.2)
    assert other.folder == Path("run-adversarial-2")
    with pytest.raises(RunError, match=r"holds another run: .*defense_eps was 0.1, now 0.3"):
        nw.harden("run", eps=0.3, folder="run-adversarial")


def test_ctrl_c_saves_and_says_how_to_go_on(table: Path) -> None:
    train(table)

    def interrupt(event: object) -> None:
        if isinstance(event, Epoch):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"saved in both.adversarial\. To resume, run the same command again"):
        nw.harden("run", eps=0.1, method=["adversarial", "noise"], folder="both", show=interrupt)
    assert run_folder.is_resumable(Path("both/adversarial"))
    assert not Path("both/noise").exists()
    nw.harden("run", eps=0.1, method=["adversarial", "noise"], folder="both")
    assert run_folder.is_whole(Path("both/adversarial"))
    assert run_folder.is_whole(Path("both/noise"))


def test_a_student_is_opened_with_its_teacher_and_not_without(table: Path) -> None:
    train(table)
    student = nw.harden("run", method="distillation")
    assert student.teacher is not None
    assert run_folder.origin(Path("run-distillation")).teacher == "run"
    assert nw.diagnose("run-distillation").subject == "run-distillation"
    Path("run").rename("moved")
    nw.predict("run-distillation", str(table))
    with pytest.raises(RunError, match="the teacher that run-distillation learned from is not at 'run'"):
        nw.diagnose("run-distillation")


def test_the_teacher_stays_that_of_the_first_training(table: Path) -> None:
    train(table)
    student = nw.harden("run", method="distillation")
    nw.train(student, folder="more", settings={"epochs": 1}, diagnose=False)
    assert run_folder.origin(Path("more")).teacher == "run"
    second = nw.harden(student, method="distillation", folder="second")
    assert second.teacher is student
    assert run_folder.origin(Path("second")).teacher == "run-distillation"


def test_bad_input_is_refused_before_anything_is_trained(table: Path, netwright: Callable[..., Any]) -> None:
    run = train(table)
    with pytest.raises(RecipeError, match="there is no method 'adversary'"):
        nw.harden(run, method=["noise", "adversary"])
    with pytest.raises(RecipeError, match="defense_eps must be 0 to 10, not -1"):
        nw.harden(run, eps=-1.0)
    assert not Path("run-noise").exists()
    refused = netwright("harden", "run", "--norm", "3")
    assert refused.code == 2
    assert "Traceback" not in refused.err
    with pytest.raises(RunError, match="there is no run folder"):
        nw.harden("nowhere")


def test_words_alone_cannot_be_hardened_against_small_changes(tmp_path: Path) -> None:
    words = pl.DataFrame({"color": ["red", "green", "blue", "grey"] * 30, "y": ["a", "b", "b", "a"] * 30})
    run = nw.train(words, target="y", settings=SMALL, audit=False, diagnose=False)
    with pytest.raises(DataError, match="no input has values that can move"):
        nw.harden(run, eps=0.1)


def test_an_own_network_is_hardened_within_its_bounds() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(120, 2, generator=generator)
    y = (x.sum(1) > 1).long()
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
    recipe = nw.Recipe(epochs=3, lr=0.01, **PLAIN)
    task = nw.Classification(("low", "high"))
    run = nw.train(nw.adopt(network, task, (x, y), (x, y), recipe=recipe, bounds=(0.0, 1.0)), diagnose=False)
    hard = nw.harden(run, eps=0.1, method=["adversarial", "distillation"])
    assert hard.hardening is not None
    assert hard.bounds == (0.0, 1.0)
    with pytest.raises(RecipeError, match="ensemble sets ensemble, which only networks that netwright builds follow"):
        nw.harden(run, method="ensemble")


def test_numbers_are_hardened_too_and_less_harm_is_better(table: Path) -> None:
    cells = pl.read_csv(table).with_columns(y=pl.col("a") * 2 + pl.col("b"))
    run = nw.train(cells, target="y", settings=SMALL, audit=False, diagnose=False)
    hard = nw.harden(run, eps=0.1, method=["adversarial", "trades", "smoothing"])
    assert hard.hardening is not None
    assert not hard.hardening.is_share
    harms = {row.name: row.results["all"] for row in hard.hardening.rows}
    assert min((harm, name) for name, harm in harms.items() if name != "none")[1] == hard.hardening.best
