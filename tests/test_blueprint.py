import importlib
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import tomli_w

from netwright.blueprint import blueprint, load_recipe, load_schema, load_task
from netwright.kinds.number import Number
from netwright.records.errors import RunError
from netwright.records.recipe import Recipe, flat
from netwright.records.schema import Schema
from netwright.records.task import Task
from netwright.tasks.classification import Classification

WAY = "if you trust its author, allow it: allow_code=True, or --allow-code on the command line."
FOREIGN = "import sys\nsys.foreign_code_ran = True\ndef thing(*given, **named): ...\nclass Thing: ...\n"


def write_blueprint(folder: Path, recipe: Recipe, schema: Schema, task: Task) -> None:
    for name, text in blueprint(recipe, schema, task).items():
        (folder / name).write_text(text, encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A blueprint, and beside it modules that leave a mark if they are imported."""
    schema = Schema((Number.learn("age", pl.Series("age", [1.0, 2.0, 4.0])),))
    write_blueprint(tmp_path, Recipe(), schema, Classification(("a", "b")))
    (tmp_path / "modules" / "inner").mkdir(parents=True)
    for name in ("foreign_code.py", "inner/__init__.py", "inner/foreign_code.py"):
        (tmp_path / "modules" / name).write_text(FOREIGN)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    return tmp_path


def is_unrun() -> bool:
    return not hasattr(sys, "foreign_code_ran") and not {"foreign_code", "inner"} & sys.modules.keys()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("activation", "foreign_code:thing"), ("optimizer", "inner.foreign_code:thing"), ("loss", "foreign_code:thing"),
        ("schedule", "foreign_code:thing"), ("backbone", "os:abort"), ("normalization", "sys:exit"),
        ("init", "foreign_code:Thing.method"), ("embedding", "foreign_code:thing"), ("activation", ":"),
        ("augment", ["flip", "foreign_code:thing"]), ("layers", ["foreign_code:thing"]),
        ("layers", [{"residual": [{"dense": 8}, {"parallel": [["relu"], ["foreign_code:thing"]]}]}]),
        ("layers", [{"repeat": 2, "layers": [{"dense": 8}, "inner.foreign_code:thing"]}]),
        ("layers", [{"foreign_code:thing": 3}]),
    ],
)  # fmt: skip
def test_a_recipe_of_a_file_names_no_code(folder: Path, setting: str, value: Any) -> None:
    record = flat(tomllib.loads((folder / "recipe.toml").read_text())) | {setting: value}
    (folder / "recipe.toml").write_text(tomli_w.dumps(record))
    with pytest.raises(RunError, match=rf"recipe\.toml names code from outside netwright: {setting} = '") as caught:
        load_recipe(folder)
    assert caught.value.remedy == WAY
    assert is_unrun()
    allowed = getattr(load_recipe(folder, allow_code=True), setting)
    assert allowed == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize("path", ["foreign_code:Thing", "inner.foreign_code:Thing", "subprocess:Popen", "a:b:c"])
def test_a_schema_and_a_task_of_a_file_name_no_code(folder: Path, path: str) -> None:
    for name, key, load in (("schema.json", "kind", load_schema), ("task.json", "task", load_task)):
        record = json.loads((folder / name).read_text())
        (record[0] if key == "kind" else record)[key] = path
        (folder / name).write_text(json.dumps(record))
        with pytest.raises(RunError) as caught:
            load(folder)
        assert f"{name} names code from outside netwright: {key} = {path!r}" in caught.value.problem
        assert caught.value.remedy == WAY
    assert is_unrun()


def test_a_class_of_ones_own_is_loaded_if_code_is_allowed(folder: Path) -> None:
    path = f"{Number.__module__}:{Number.__qualname__}"
    record = json.loads((folder / "schema.json").read_text())
    (folder / "schema.json").write_text(json.dumps([record[0] | {"kind": path}]))
    with pytest.raises(RunError, match="names code"):
        load_schema(folder)
    assert load_schema(folder, allow_code=True).inputs[0].name == "age"


def test_what_is_not_a_class_of_its_sort_is_refused_though_code_is_allowed(folder: Path) -> None:
    (folder / "task.json").write_text('{"task": "builtins:dict"}')
    with pytest.raises(RunError, match="'builtins:dict' is not a task"):
        load_task(folder, allow_code=True)


@pytest.mark.parametrize(
    "text",
    ["layers = " + "[" * 3000 + "]" * 3000, "seed = " + "9" * 5000, "lr = 1e999", "lr = ", "lr = nan"],
    ids=["nested", "digits", "infinite", "cut", "nan"],
)
def test_a_recipe_that_cannot_be_read_is_an_error_of_the_run(folder: Path, text: str) -> None:
    (folder / "recipe.toml").write_text(text)
    with pytest.raises(RunError, match=r"recipe\.toml"):
        load_recipe(folder)


def test_deep_and_long_json_is_an_error_of_the_run(folder: Path) -> None:
    for text in (
        "[" * 100_000,
        '{"task": "classification", "labels": ' + "[" * 100_000,
        '{"task": 1' + "0" * 5000 + "}",
    ):
        (folder / "task.json").write_text(text)
        with pytest.raises(RunError, match=r"task\.json"):
            load_task(folder)


OWN = """
from dataclasses import dataclass
from typing import ClassVar

from netwright.records.recipe import setting
from netwright.tasks.classification import Classification


@dataclass(frozen=True)
class Options:
    horizon: int = setting(24, "steps ahead", low=1, high=1000)


@dataclass(frozen=True)
class Forecasting(Classification):
    options: ClassVar[type] = Options
"""


def test_a_tasks_own_settings_are_a_section_of_the_recipe_and_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_task.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("own_task")
    recipe = Recipe(own=module.Options()).edit({"horizon": 96, "lr": 0.5})
    write_blueprint(tmp_path, recipe, Schema(()), module.Forecasting(("a", "b")))
    assert tomllib.loads((tmp_path / "recipe.toml").read_text())["task"] == {"horizon": 96}
    assert load_recipe(tmp_path, allow_code=True) == load_recipe(tmp_path, own=module.Options()) == recipe
    with pytest.raises(RunError, match=r"task\.json names code from outside netwright: task = 'own_task:Forecasting'"):
        load_recipe(tmp_path)
    (tmp_path / "task.json").write_text('{"task": "classification", "labels": ["a", "b"]}')
    with pytest.raises(RunError, match=r"recipe\.toml: there is no setting 'horizon'"):
        load_recipe(tmp_path)
