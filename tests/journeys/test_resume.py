"""A training that is killed anywhere, and the same command again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

import netwright as nw
from netwright import run_folder
from netwright.machine.measure import Measured
from netwright.records.errors import RunError
from netwright.records.history import Epoch
from netwright.records.options import silent
from netwright.records.run import Run
from netwright.records.source import Source
from netwright.stages import training
from netwright.verbs.train import Options
from netwright.verbs.train import train as train_verb

PLAIN = {"precision": "fp32", "kernels": "torch", "compile": "never", "threads": 1}
SMALL = {"epochs": 3, "width": 8, "depth": 1, "members": 1, "checkpoint_seconds": 0.0, **PLAIN}


class Killed(BaseException):
    """As by kill -9."""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    numbers = np.random.default_rng(0).random((120, 2)).round(4)
    labels = ["high" if a + b > 1 else "low" for a, b in numbers]
    pl.DataFrame({"a": numbers[:, 0], "b": numbers[:, 1], "y": labels}).write_csv(tmp_path / "t.csv")
    return tmp_path / "t.csv"


def train(table: Path, folder: Path, **given: Any) -> Run:
    settings = SMALL | given.pop("settings", {})
    return nw.train(str(table), target="y", folder=folder, settings=settings, audit=False, **given)


def killed_after_an_epoch(event: object) -> None:
    if isinstance(event, Epoch):
        raise Killed


def content(folder: Path) -> dict[str, bytes]:
    """All that does not hold times."""
    timed = ("diagnosis.json", "history.jsonl", "outcome.json", "origin.json", "digests.json")
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in timed}


STAGES = ("fit", "calibrate", "scored", "diagnosed")


@pytest.mark.parametrize("stage", STAGES)
def test_killed_before_any_stage_the_same_command_gives_the_same_run(
    stage: str, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*given: Any, **named: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(training, stage, kill)
        with pytest.raises(Killed):
            train(table, tmp_path / "run")
    run = train(table, tmp_path / "run")
    train(table, tmp_path / "whole")
    assert content(tmp_path / "run") == content(tmp_path / "whole")
    assert run_folder.left(tmp_path / "run") == ()
    assert run.diagnosis is not None
    assert nw.load(tmp_path / "run").scores == run.scores


@pytest.mark.parametrize("names", [["diagnosis.json"], ["scores.json"], ["scores.json", "baselines.json"]])
def test_results_that_are_gone_are_made_again_from_the_same_weights(
    names: list[str], table: Path, tmp_path: Path
) -> None:
    train(table, tmp_path / "run")
    before = content(tmp_path / "run")
    for name in names:
        (tmp_path / "run" / name).unlink()
    told = list[object]()
    train(table, tmp_path / "run", show=told.append)
    assert content(tmp_path / "run") == before
    assert (tmp_path / "run" / "diagnosis.json").exists()
    assert any("holds a trained run without" in str(text) for text in told)


def test_a_finished_run_is_not_trained_again_and_one_to_complete_not_with_other_settings(
    table: Path, tmp_path: Path
) -> None:
    train(table, tmp_path / "run")
    with pytest.raises(RunError, match="holds a finished run"):
        train(table, tmp_path / "run")
    (tmp_path / "run" / "diagnosis.json").unlink()
    with pytest.raises(RunError, match=r"lr was .*, now 0\.5"):
        train(table, tmp_path / "run", settings={"lr": 0.5})


def test_a_run_that_was_not_to_be_diagnosed_is_finished_without(table: Path, tmp_path: Path) -> None:
    train(table, tmp_path / "run", diagnose=False)
    with pytest.raises(RunError, match="holds a finished run"):
        train(table, tmp_path / "run", diagnose=False)


def test_stopped_and_resumed_equals_never_stopped_file_by_file(table: Path, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(table, tmp_path / "run", show=killed_after_an_epoch)
    assert run_folder.is_resumable(tmp_path / "run")
    train(table, tmp_path / "run")
    train(table, tmp_path / "whole")
    assert content(tmp_path / "run") == content(tmp_path / "whole")


def trained_on(run: Run, folder: Path, **given: Any) -> Run:
    return nw.train(run, folder=folder, settings={"epochs": 2}, **given)


def test_training_on_resumes_too_and_with_the_same_settings_only(table: Path, tmp_path: Path) -> None:
    run = train(table, tmp_path / "first")
    with pytest.raises(Killed):
        trained_on(run, tmp_path / "run", show=killed_after_an_epoch)
    with pytest.raises(RunError, match="epochs was 2, now 9"):
        nw.train(run, folder=tmp_path / "run", settings={"epochs": 9})
    trained_on(run, tmp_path / "run")
    trained_on(run, tmp_path / "whole")
    assert content(tmp_path / "run") == content(tmp_path / "whole")


def edit_a_cell(data: Path) -> None:
    cells = pl.read_csv(data)
    cells[3, "a"] = 0.25
    cells.write_csv(data)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"drop": "b"}, r'drop was \[\], now \["b"\]'),
        ({"kinds": {"a": "category"}}, "kinds was {}, now"),
        ({"settings": {"seed": 1}}, "seed was 0, now 1"),
    ],
)
def test_another_reading_is_not_resumed(change: dict[str, Any], problem: str, table: Path, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(table, tmp_path / "run", show=killed_after_an_epoch)
    with pytest.raises(RunError, match=problem):
        train(table, tmp_path / "run", **change)


def test_a_picture_that_changed_behind_the_same_name_size_and_time_is_noticed(tmp_path: Path) -> None:
    for label, grey in (("a", 40), ("b", 200)):
        (tmp_path / "i" / label).mkdir(parents=True)
        for number in range(20):
            Image.new("L", (8, 8), grey + number).save(tmp_path / "i" / label / f"{number:02}.bmp")

    def go(**given: Any) -> Run:
        folder = tmp_path / "run"
        return nw.train(str(tmp_path / "i"), folder=folder, settings=SMALL, audit=False, diagnose=False, **given)

    with pytest.raises(Killed):
        go(show=killed_after_an_epoch)
    path = tmp_path / "i" / "a" / "07.bmp"
    before = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(RunError, match=r"the content of the data .* has changed"):
        go()


def test_a_start_that_was_killed_at_once_keeps_its_arithmetic(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is remembered, so a second measurement might find otherwise."""

    def measured(found: str) -> Callable[..., Any]:
        return lambda *given, **named: Measured(found, "torch", 1, "never", 1.0, is_kept=False)

    def kill(*given: Any, **named: Any) -> Any:
        raise Killed

    open_ = {"precision": "auto", "kernels": "auto"}
    with monkeypatch.context() as patched:
        patched.setattr(training, "measured", measured("fp32"))
        patched.setattr(training, "fit", kill)
        with pytest.raises(Killed):
            train(table, tmp_path / "run", settings=open_)
    monkeypatch.setattr(training, "measured", measured("bf16"))
    assert train(table, tmp_path / "run", settings=open_, diagnose=False).recipe.precision == "fp32"
    other = train(table, tmp_path / "other", settings=open_, diagnose=False)
    assert other.recipe.precision == "bf16"
    assert any("not remembered" in note and "--set precision=bf16" in note for note in other.notes)


def test_the_summary_says_that_the_same_command_may_give_other_digits_and_what_keeps_them(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def summary() -> str:
        options = Options(audit=False, diagnose=False, settings=SMALL | {"precision": "auto"})
        return str(train_verb(Source(str(table), target="y"), options, silent))

    found = Measured("fp32", "torch", 1, "never", 1.0)
    monkeypatch.setattr(training, "measured", lambda *given, **named: found)
    assert "the same command may" not in summary()
    monkeypatch.setattr(training, "measured", lambda *given, **named: replace(found, is_kept=False))
    assert "the same command may choose otherwise" in summary()
    assert "--set precision=fp32" in summary()


def test_a_program_that_is_asked_to_end_says_that_it_saved(table: Path, tmp_path: Path) -> None:
    settings = {**SMALL, "epochs": 100_000, "checkpoint_seconds": 1e6}
    command = [
        sys.executable, "-c", "from netwright.cli import main; main()", "train", str(table), "-t", "y", "--run", "run",
        "--quiet", "--no-audit", *(f"--set={name}={value}" for name, value in settings.items()),
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    history = tmp_path / "run" / "history.jsonl"
    while process.poll() is None and not (history.exists() and history.stat().st_size > 5000):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert errors == "stopped; saved in run. To resume, run the same command again.\n"
    assert run_folder.is_resumable(tmp_path / "run")
    assert json.loads((tmp_path / "run" / "digests.json").read_text())["left"] == ["scores", "diagnosis"]
