import json
import os
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from netwright import predict, run_folder
from netwright.blueprint import load_recipe
from netwright.data.examples import InMemory, empty
from netwright.data.fingerprint import Fingerprint
from netwright.files import read_tensors
from netwright.kinds.category import Category
from netwright.kinds.number import Number
from netwright.records.errors import RunError
from netwright.records.finding import Finding, Fix, Remedy, Report
from netwright.records.history import Epoch
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.records.schema import Schema
from netwright.records.source import Source
from netwright.records.task import Metric, Scores
from netwright.records.watched import Watched
from netwright.run_folder import create, load, write
from netwright.run_folder.records import Outcome
from netwright.run_folder.seal import SEAL
from netwright.stages.runs import reopened
from netwright.tasks.classification import Classification
from netwright.training import checkpoint
from netwright.training.weights import named

TABLE = pl.DataFrame(
    {
        "age": [float(n % 50) for n in range(60)],
        "town": ["Bonn", "Köln", "Łódź"] * 20,
        "income": ["high" if n % 50 > 20 else "low" for n in range(60)],
    }
)
DATA = Fingerprint(1, 0.0, "abc")
ROWS = {"train": list(range(40)), "valid": list(range(40, 50)), "test": list(range(50, 60))}
EPOCH = Epoch(1, 3, 0.7, {"log_loss": 0.6}, 1e-3, 1.0, 0.5, 100.0, 2**27, is_best=True)


def untrained(**settings: object) -> Run:
    schema = Schema((Number.learn("age", TABLE["age"]), Category.learn("town", TABLE["town"])))
    task = Classification.learn(TABLE.select("income"))
    recipe = Recipe(width=8, depth=1, precision="fp32").edit(settings)
    part = InMemory(schema.encode(TABLE), task.encode(TABLE.select("income")), torch.arange(60), "row {}".format)
    return Run(
        network=task.network(schema, recipe),
        task=task,
        schema=schema,
        recipe=recipe,
        train=part,
        valid=empty(),
        test=empty(),
        build=lambda: task.network(schema, recipe),
        source=Source(target=("income",)),
        sample=tuple(x[:5] for x in part.columns),
    )


def started(folder: Path, run: Run | None = None) -> Run:
    run = run or untrained()
    create(run, folder, data="people.csv", fingerprint=DATA, rows=ROWS, seed=3, command=("train", "people.csv"))
    return run


def finished(folder: Path, run: Run | None = None) -> Run:
    run = started(folder, run)
    checkpoint.append_epoch(folder, EPOCH)
    scores = Scores(
        (Metric("log_loss", 0.5, 0.4, float("inf"), higher_is_better=False),), 10, ((4, 1), (2, 3)), ("a", "b")
    )
    history = replace(run.history, epochs=(EPOCH,), ended="all 1 epochs done")
    results = {"scores": scores, "baselines": (("constant", scores),)}
    return write(replace(run, history=history, results=results, notes=("a note",)), folder)


def test_a_loaded_run_is_the_one_that_was_written(tmp_path: Path) -> None:
    run = finished(tmp_path / "run")
    loaded = load(tmp_path / "run")
    for name in ("task", "schema", "recipe", "history", "results", "folder", "notes", "source"):
        assert getattr(loaded, name) == getattr(run, name), name
    theirs = named(run.network)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in named(loaded.network).items())
    assert all(torch.equal(a, b) for a, b in zip(loaded.sample, run.sample, strict=True))
    assert (len(loaded.train), len(loaded.test)) == (0, 0)
    batch = next(run.train.batches(5, seed=None))
    assert torch.equal(loaded.network(*batch.inputs), run.network.eval()(*batch.inputs))


def test_parts_that_are_given_are_the_loaded_runs_parts(tmp_path: Path) -> None:
    run = finished(tmp_path / "run")
    assert load(tmp_path / "run", test=run.train).test is run.train


def test_split_and_origin_say_where_a_run_comes_from(tmp_path: Path) -> None:
    finished(tmp_path / "run")
    split = run_folder.load_split(tmp_path / "run")
    assert (split.seed, split.parts["valid"].rows) == (3, tuple(range(40, 50)))
    origin = run_folder.origin(tmp_path / "run")
    assert (origin.data, origin.command, origin.fingerprint) == ("people.csv", ("train", "people.csv"), DATA)
    assert origin.versions.keys() == {"netwright", "torch", "polars", "python", "system"}


def test_rows_of_big_data_are_hashed_and_not_listed(tmp_path: Path) -> None:
    run = untrained()
    for name, rows in (("a", range(200_000)), ("b", range(1, 200_001))):
        create(run, tmp_path / name, data="", fingerprint=DATA, rows={"train": rows})
    a, b = (run_folder.load_split(tmp_path / name).parts["train"] for name in ("a", "b"))
    assert (a.count, a.rows) == (200_000, None)
    assert a.digest != b.digest
    assert (tmp_path / "a" / "split.json").stat().st_size < 1000


def test_written_down_layers_and_every_setting_survive_the_folder(tmp_path: Path) -> None:
    layers = ({"dense": 8}, "relu", {"residual": [{"dense": 8}, "relu"]}, {"dropout": 0.1})
    run = started(tmp_path / "run", untrained(layers=layers, lr=3e-4, nesterov=False))
    assert load_recipe(tmp_path / "run") == run.recipe


def test_a_users_own_network_is_loaded_into_the_module_that_is_given(tmp_path: Path) -> None:
    run = replace(untrained(), schema=Schema(()), network=nn.Linear(3, 2), sample=())
    finished(tmp_path / "run", run)
    with pytest.raises(RunError, match="is the user's own") as caught:
        load(tmp_path / "run")
    assert caught.value.remedy == "give it: load(folder, network=...)."
    given = nn.Linear(3, 2)
    loaded = load(tmp_path / "run", network=given)
    assert isinstance(run.network, nn.Linear)
    assert torch.equal(loaded.network.weight, run.network.weight)  # type: ignore[arg-type]  a Linear's
    assert not torch.equal(given.weight, run.network.weight)


def test_nothing_in_a_run_is_a_pickle(tmp_path: Path) -> None:
    finished(tmp_path / "run")
    for path in (tmp_path / "run").iterdir():
        assert path.suffix in (".json", ".jsonl", ".toml", ".safetensors")
        assert not path.read_bytes().startswith((b"\x80", b"PK"))


def test_every_file_of_a_run_is_readable_by_those_who_may_read_text_files(tmp_path: Path) -> None:
    finished(tmp_path / "run")
    (tmp_path / "text").write_text("")
    assert {p.stat().st_mode for p in (tmp_path / "run").iterdir()} == {(tmp_path / "text").stat().st_mode}


# Folders that cannot be loaded.


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("task.json", None, "there is no file {}"),
        ("schema.json", '[{"kind": "number"', "{} is not valid JSON: "),
        ("schema.json", '[{"kind": "smell", "name": "a"}]', "{}: there is no kind 'smell'"),
        ("schema.json", '[{"name": "a"}]', "{} has an entry without 'kind'"),
        (
            "schema.json",
            '[{"kind": "builtins:print"}]',
            "{} names code from outside netwright: kind = 'builtins:print'",
        ),
        ("schema.json", "{}", "{} is not a list of columns"),
        ("task.json", '{"task": "classification", "labels": ["a"], "smell": 1}', "{}: Classification has no 'smell'"),
        ("task.json", '{"task": "classification", "labels": 7}', "{}: Classification: labels: "),
        ("recipe.toml", "lr = ", "{} is not valid TOML: "),
        ("recipe.toml", "lr = 99.0", "{}: lr must be 1e-07 to 10, not 99"),
        ("recipe.toml", "speed = 3", "{}: there is no setting 'speed'"),
        ("outcome.json", "{}", "{}: Outcome: ended: Field required"),
        ("outcome.json", None, "there is no file {}"),
        ("scores.json", "{}", "{}: Scores: metrics: Field required"),
        ("baselines.json", '[["linear"]]', "{}: entry: 0.1: Field required"),
        ("history.jsonl", '{"epoch": 1}\n', "{}, line 1 is not an epoch: "),
        ("weights.safetensors", "cut off", "{} cannot be read: "),
        ("origin.json", None, "is not a run folder: it has no origin.json"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, text: str | None, problem: str) -> None:
    folder = tmp_path / "run"
    finished(folder)
    path = folder / name
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(RunError) as caught:
        load(folder)
    assert problem.format(path) in caught.value.problem
    assert caught.value.remedy


def test_a_newer_run_says_to_upgrade(tmp_path: Path) -> None:
    finished(tmp_path / "run")
    path = tmp_path / "run" / "origin.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 9, "smell": "new"}))
    with pytest.raises(RunError, match=r"by a newer netwright \(format 9; this one reads up to 2\)") as caught:
        load(tmp_path / "run")
    assert caught.value.remedy == "upgrade: pip install --upgrade netwright"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"there is no run folder .*nowhere"):
        load(tmp_path / "nowhere")


def test_a_run_that_was_never_finished_says_how_to_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    started(folder)
    with pytest.raises(RunError, match=r"has no weights\.safetensors: training never finished"):
        load(folder)
    (folder / "resume.safetensors").write_bytes(b"")
    with pytest.raises(RunError, match="was interrupted") as caught:
        load(folder)
    assert "training resumes from its last checkpoint" in caught.value.remedy


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    finished(folder)
    (folder / SEAL).unlink()  # as in runs of older versions
    (folder / "recipe.toml").write_text((folder / "recipe.toml").read_text().replace("width = 8", "width = 16"))
    with pytest.raises(RunError, match=r"weights\.safetensors does not fit the network of its recipe: '.*' has shape"):
        load(folder)


EVIL = "foreign_code:thing"


@pytest.mark.parametrize(
    ("stage", "change", "entry"),
    [
        ("diagnosis", {"edit": {"activation": EVIL}}, "edit = 'foreign_code:thing'"),
        ("audit", {"edit": {"layers": [{"residual": ["relu", EVIL]}]}}, "edit = 'foreign_code:thing'"),
        ("diagnosis", {"mend": EVIL}, "mend = 'foreign_code:thing'"),
    ],
)
def test_remedies_of_a_run_name_no_code(tmp_path: Path, stage: str, change: dict[str, Any], entry: str) -> None:
    run = finished(tmp_path / "run")
    remedy = replace(Remedy("Do it."), **change)
    report = Report("run", 1, (Finding(severity="error", summary="", remedies=(remedy,)),), ())
    run_folder.write_result(tmp_path / "run", stage, report)
    with pytest.raises(RunError, match=rf"{stage}\.json names code from outside netwright: {entry}"):
        load(tmp_path / "run")
    assert load(tmp_path / "run", allow_code=True).results == {**run.results, stage: report}


@pytest.mark.parametrize("change", [{"kinds": {"town": EVIL}}, {"task": EVIL}])
def test_what_was_said_of_a_runs_data_names_no_code(tmp_path: Path, change: dict[str, Any]) -> None:
    finished(tmp_path / "run")
    (tmp_path / "run" / SEAL).unlink()
    path = tmp_path / "run" / "origin.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"reading": record["reading"] | change}))
    with pytest.raises(RunError, match=r"origin\.json names code .*'foreign_code:thing'"):
        load(tmp_path / "run")
    path.write_text(
        json.dumps(
            record | {"reading": record["reading"] | {"kinds": {"photo": "image:64"}, "task": "classification:7"}}
        )
    )
    assert load(tmp_path / "run").source.kinds == {"photo": "image:64"}


@pytest.mark.parametrize("name", ["weights.safetensors", "task.json", "recipe.toml", "history.jsonl", "origin.json"])
def test_a_pipe_among_the_files_of_a_run_is_refused(tmp_path: Path, name: str) -> None:
    finished(tmp_path / "run")
    (tmp_path / "run" / name).unlink()
    os.mkfifo(tmp_path / "run" / name)
    with pytest.raises(RunError, match=rf"{name} is not a regular file"):
        load(tmp_path / "run")


# Folders that cannot be written.


def test_a_run_is_not_written_over_another_one_or_over_anything_else(tmp_path: Path) -> None:
    finished(tmp_path / "whole")
    with pytest.raises(RunError, match="holds a finished run"):
        started(tmp_path / "whole")
    started(tmp_path / "stopped")
    (tmp_path / "stopped" / "resume.safetensors").write_bytes(b"")
    with pytest.raises(RunError, match="holds an interrupted training"):
        started(tmp_path / "stopped")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"")
    with pytest.raises(RunError, match="photos is not empty and not a run folder"):
        started(tmp_path / "photos")
    with pytest.raises(RunError, match=r"cat\.jpg is a file"):
        started(tmp_path / "photos" / "cat.jpg")
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.jpg"]


def test_a_run_that_never_came_to_a_checkpoint_is_started_again(tmp_path: Path) -> None:
    started(tmp_path / "run")
    started(tmp_path / "run")


def test_a_folder_under_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written: Not a directory"):
        started(tmp_path / "file" / "run")


def test_what_a_killed_process_left_unfinished_goes_when_a_run_is_started_there(tmp_path: Path) -> None:
    for name in (".writing", ".netwright-abc"):  # the first is that of an older version
        (tmp_path / name).mkdir()
        (tmp_path / name / "origin.json").write_bytes(b"{")
    finished(tmp_path)
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_each_part_that_is_given_is_that_part_of_the_loaded_run(tmp_path: Path) -> None:
    run = finished(tmp_path / "run")
    parts = [run.train.part(np.arange(n)) for n in (1, 2, 3)]
    loaded = load(tmp_path / "run", train=parts[0], valid=parts[1], test=parts[2])
    assert [loaded.train, loaded.valid, loaded.test] == parts
    assert [len(part) for part in (loaded.train, loaded.valid, loaded.test)] == [1, 2, 3]


def test_all_files_of_a_run_say_its_format(tmp_path: Path) -> None:
    finished(tmp_path / "run")
    assert json.loads((tmp_path / "run" / "origin.json").read_text())["format"] == 2
    for name in ("weights.safetensors", "sample.safetensors"):
        _, metadata = read_tensors(tmp_path / "run" / name)
        assert metadata["format"] == "2"


def test_a_run_of_another_run_names_it_and_keeps_its_parts_and_fixes(tmp_path: Path) -> None:
    fixes = (Fix(3, "people.csv, line 5", "drop"), Fix(4, "people.csv, line 6", "impute", "age", "", "7"))
    run = untrained()
    create(run, tmp_path / "a", data="people.csv", fingerprint=DATA, rows=ROWS, fixes=fixes)
    run = write(run, tmp_path / "a")
    run_folder.write_from(run, tmp_path / "b", tmp_path / "a", command=("treat", "a"))
    before, after = (run_folder.origin(tmp_path / name) for name in "ab")
    assert (before.parent, after.parent, after.command) == ("", str(tmp_path / "a"), ("treat", "a"))
    assert (after.data, after.fingerprint) == ("people.csv", DATA)
    assert run_folder.load_split(tmp_path / "b") == run_folder.load_split(tmp_path / "a")
    assert run_folder.load_split(tmp_path / "a").seed == 0
    assert run_folder.load_fixes(tmp_path / "b") == fixes
    assert run_folder.load_fixes(started_in(tmp_path / "c")) == ()


def started_in(folder: Path) -> Path:
    started(folder)
    return folder


def test_fixes_that_are_no_list_are_refused(tmp_path: Path) -> None:
    folder = started_in(tmp_path / "run")
    (folder / "fixes.json").write_text("{}")
    with pytest.raises(RunError, match=r"fixes\.json .* list of fixes"):
        run_folder.load_fixes(folder)


def test_a_run_without_a_recorder_was_not_watched(tmp_path: Path) -> None:
    finished(tmp_path / "run")
    (tmp_path / "run" / "watched.json").unlink()
    assert run_folder.load_watched(tmp_path / "run") == Watched()
    (tmp_path / "run" / "watched.json").write_text("[")
    with pytest.raises(RunError, match=r"watched\.json cannot be read"):
        run_folder.load_watched(tmp_path / "run")


def test_other_data_than_a_run_was_trained_on_are_refused(tmp_path: Path) -> None:
    folder = started_in(tmp_path / "run")
    run_folder.require_same_data(folder, replace(DATA, modified=9.0))
    with pytest.raises(RunError, match=r"the data have changed since .*run was trained on people\.csv"):
        run_folder.require_same_data(folder, replace(DATA, digest="xyz"))


def test_a_run_is_stopped_or_whole_or_neither(tmp_path: Path) -> None:
    def state(folder: Path) -> tuple[bool, bool]:
        return run_folder.is_resumable(folder), run_folder.is_whole(folder)

    folder = started_in(tmp_path / "run")
    assert state(folder) == (False, False)
    (folder / "resume.safetensors").write_bytes(b"")
    assert state(folder) == (True, False)
    (folder / "weights.safetensors").write_bytes(b"")
    assert state(folder) == (False, True)


def test_the_checkpoint_goes_when_a_run_is_whole(tmp_path: Path) -> None:
    run = started(tmp_path / "run")
    (tmp_path / "run" / "resume.safetensors").write_bytes(b"")
    assert write(run, tmp_path / "run").folder == tmp_path / "run"
    assert not (tmp_path / "run" / "resume.safetensors").exists()


def test_records_of_a_folder_cannot_be_changed(tmp_path: Path) -> None:
    folder = started_in(tmp_path / "run")
    for record, name in ((run_folder.origin(folder), "data"), (run_folder.load_split(folder), "seed")):
        with pytest.raises(FrozenInstanceError):
            setattr(record, name, "other")
    with pytest.raises(FrozenInstanceError):
        Outcome("done", ()).ended = "otherwise"  # type: ignore[misc]  that is the test


def test_names_of_the_data_are_written_as_they_are(tmp_path: Path) -> None:
    create(untrained(), tmp_path / "run", data="Łódź.csv", fingerprint=DATA, rows=ROWS)
    assert "Łódź.csv" in (tmp_path / "run" / "origin.json").read_text(encoding="utf-8")


# Runs of older versions, on a table of 120 people by `netwright train --fixes` and `diagnose --treat` of that time,
# beside the answers that they gave.

RUNS = Path(__file__).parent / "old_runs"


def test_a_run_of_the_first_format_gives_the_answers_of_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(RUNS / "first")
    run = load("run")
    answers = pl.read_csv("answers.csv")
    now = predict(run, "people.csv")
    assert now["prediction"].to_list() == answers["prediction"].to_list()
    assert np.allclose(now["p_high"], answers["p_high"], atol=1e-6)
    assert run.results.keys() == run_folder.RESULTS.keys() - {
        "robustness",
        "hardening",
        "origins",
    }  # stages of later versions
    assert run.scores is not None
    assert run.scores["accuracy"].value == pytest.approx(0.9583, abs=1e-4)
    assert [name for name, _ in run.baselines] == ["constant", "linear"]
    assert (run.history.ended, len(run.history.epochs)) == ("all 4 epochs done", 4)
    assert len(reopened(run).train) > 0


def test_a_run_of_the_first_format_is_written_in_todays(tmp_path: Path) -> None:
    run = load(RUNS / "first" / "run")
    run_folder.write_from(run, tmp_path / "run", RUNS / "first" / "run")
    again = load(tmp_path / "run")
    assert run_folder.origin(tmp_path / "run").format == run_folder.FORMAT
    assert repr(sorted(again.results.items())) == repr(sorted(run.results.items()))  # NaN is not itself
    for name in ("history", "notes", "recipe", "schema", "task", "watched"):
        assert repr(getattr(again, name)) == repr(getattr(run, name)), name
