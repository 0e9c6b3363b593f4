"""What must be the same where training resumes."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.test_run_folder import DATA, ROWS, finished, started, untrained

from netwright import run_folder
from netwright.data.fingerprint import Fingerprint
from netwright.kinds.number import Number
from netwright.records.errors import RunError
from netwright.records.finding import Fix
from netwright.records.run import Run
from netwright.records.schema import Schema
from netwright.records.source import Source
from netwright.run_folder import require_same, started_recipe
from netwright.tasks.classification import Classification

FIX = Fix(4, "people.csv, line 6", "impute", "age", "", "7")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = untrained(layers=({"dense": 8}, "relu"))
    run_folder.create(
        run, tmp_path / "run", data="people.csv", fingerprint=DATA, rows=ROWS, fixes=(FIX,), checksum="sum",
        command=("train",), left=("scores",),
    )  # fmt: skip
    (tmp_path / "run" / "resume.safetensors").write_bytes(b"")
    return run


def test_a_run_made_from_another_resumes_only_as_the_same_run_of_the_same_parent(tmp_path: Path) -> None:
    parent, other, child = (tmp_path / name for name in ("parent", "other", "child"))
    for folder in (parent, other):
        run_folder.create(untrained(), folder, data="people.csv", fingerprint=DATA, rows=ROWS, fixes=(FIX,))
    run = untrained()
    run_folder.create_from(run, child, parent, command=("harden",), left=("scores",))
    assert run_folder.origin(child).parent == str(parent)
    assert run_folder.load_split(child) == run_folder.load_split(parent)
    run_folder.require_same_from(child, run, parent)
    with pytest.raises(RunError, match=r"it is made from .*parent, not from .*other"):
        run_folder.require_same_from(child, run, other)
    with pytest.raises(RunError, match=r"lr was 0\.001, now 0\.5"):
        run_folder.require_same_from(child, replace(run, recipe=run.recipe.edit({"lr": 0.5})), parent)
    run_folder.create(untrained(), tmp_path / "none", data="people.csv", fingerprint=DATA, rows=ROWS)
    with pytest.raises(RunError, match=r"made from no run, not from .*; the fixes differ"):
        run_folder.require_same_from(tmp_path / "none", run, parent)


def told(folder: Path, run: Run, **others: Any) -> str:
    same = {"fingerprint": DATA, "rows": ROWS, "fixes": (FIX,), "checksum": "sum"}
    with pytest.raises(RunError, match="was interrupted and cannot resume") as caught:
        require_same(folder, run, **(same | others))
    assert caught.value.remedy == "run the command that started it, or choose another folder."
    return caught.value.problem.partition("cannot resume: ")[2]


def test_the_same_training_resumes(tmp_path: Path, run: Run) -> None:
    touched = replace(DATA, modified=7.0)
    require_same(tmp_path / "run", run, fingerprint=touched, rows=ROWS, fixes=(FIX,), checksum="sum")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda run: replace(run, recipe=run.recipe.edit({"lr": 0.5, "epochs": 7})),
         "lr was 0.001, now 0.5; epochs was 30, now 7"),
        (lambda run: replace(run, source=Source(target=("town",))), 'target was ["income"], now ["town"]'),
        (lambda run: replace(run, source=replace(run.source, group="town")), 'group was "", now "town"'),
        (lambda run: replace(run, source=replace(run.source, drop="age")), 'drop was [], now ["age"]'),
        (lambda run: replace(run, source=replace(run.source, kinds={"age": "category"})),
         'kinds was {}, now {"age": "category"}'),
        (lambda run: replace(run, schema=Schema(run.schema.inputs[:1])), "columns differ: town"),
        (lambda run: replace(run, schema=Schema(run.schema.inputs[::-1])), "the order of the columns has changed"),
        (lambda run: replace(run, schema=Schema((Number.learn("age", pl.Series([1.0, 2.0])), run.schema.inputs[1]))),
         "columns differ: age"),
        (lambda run: replace(run, task=Classification(("yes", "no"))),
         'the task was {"task": "classification", "labels": ["high", "low"]'),
    ],
)  # fmt: skip
def test_another_run_is_refused_and_each_difference_named(
    tmp_path: Path, run: Run, change: Callable[[Run], Run], problem: str
) -> None:
    assert told(tmp_path / "run", change(run)).startswith(problem)


@pytest.mark.parametrize(
    ("others", "problem"),
    [
        ({"fingerprint": Fingerprint(2, 0.0, "xyz")}, "the data (people.csv) have changed"),
        ({"checksum": "other"}, "the content of the data (people.csv) has changed"),
        ({"fixes": ()}, "the fixes applied to the data differ: 1 before, 0 now"),
        ({"fixes": (replace(FIX, new="8"),)}, "the fixes applied to the data differ: 1 before, 1 now"),
        ({"rows": ROWS | {"valid": list(range(41, 51))}}, "the valid part holds other rows"),
        ({"rows": ROWS | {"test": list(range(50, 59))}}, "the test part had 10 rows, now 9"),
    ],
)
def test_other_data_are_refused(tmp_path: Path, run: Run, others: dict[str, Any], problem: str) -> None:
    assert told(tmp_path / "run", run, **others) == problem


def test_a_file_that_was_changed_by_hand_is_not_resumed(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "run" / "split.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(RunError, match=r"split\.json is damaged, or was changed"):
        require_same(tmp_path / "run", run, fingerprint=DATA, rows=ROWS, fixes=(FIX,), checksum="sum")


def test_a_start_without_a_checkpoint_gives_its_settings_to_the_same_command_only(tmp_path: Path) -> None:
    run = untrained(threads=7)
    folder, own = tmp_path / "run", run.recipe.own
    assert started_recipe(folder, own, DATA, ("train",)) is None
    run_folder.create(run, folder, data="people.csv", fingerprint=DATA, rows=ROWS, command=("train",))
    assert started_recipe(folder, own, DATA, ("train",)) == run.recipe
    assert started_recipe(folder, own, DATA, ("train", "-t", "y")) is None
    assert started_recipe(folder, own, replace(DATA, digest="x"), ("train",)) is None
    (folder / "recipe.toml").write_text("[")  # killed while a much older version wrote it
    assert started_recipe(folder, own, DATA, ("train",)) is None
    (folder / "resume.safetensors").write_bytes(b"")
    with pytest.raises(RunError, match=r"recipe\.toml is not valid TOML"):
        started_recipe(folder, own, DATA, ("train",))


def test_a_finished_run_gives_its_settings_to_none(tmp_path: Path) -> None:
    run = finished(tmp_path / "run")
    assert started_recipe(tmp_path / "run", run.recipe.own, DATA, ("train", "people.csv")) is None


def test_other_rows_than_a_part_held_are_refused(tmp_path: Path) -> None:
    started(tmp_path / "run")
    run_folder.require_same_rows(tmp_path / "run", {name: np.array(rows) for name, rows in ROWS.items()})
    with pytest.raises(RunError, match=r"the valid part had 10 rows, now 9: .*run was trained on others"):
        run_folder.require_same_rows(tmp_path / "run", {**ROWS, "valid": range(40, 49)})
    with pytest.raises(RunError, match="the test part holds other rows"):
        run_folder.require_same_rows(tmp_path / "run", {**ROWS, "test": range(51, 61)})


def test_what_an_earlier_start_left_does_not_stay(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run_folder.create(untrained(), folder, data="a.csv", fingerprint=DATA, rows=ROWS, fixes=(FIX,), left=("scores",))
    for name in ("scores", "baselines", "audit", "diagnosis", "treatment", "outcome", "watched"):
        (folder / f"{name}.json").write_text("{}")
    (folder / "history.jsonl").write_text("{}\n")
    (folder / "augmented.png").write_bytes(b"")
    run_folder.create(untrained(), folder, data="b.csv", fingerprint=DATA, rows=ROWS)
    left = {"origin", "recipe", "schema", "task", "split", "sample", "digests"}
    assert {path.stem for path in folder.iterdir()} == left
    assert json.loads((folder / "origin.json").read_text())["data"] == "b.csv"
    assert run_folder.load_fixes(folder) == ()


def test_a_folder_with_a_seal_alone_was_killed_before_its_origin_and_is_free(tmp_path: Path) -> None:
    started(tmp_path / "run")
    for path in (tmp_path / "run").iterdir():
        if path.name != "digests.json":
            path.unlink()
    started(tmp_path / "run")
