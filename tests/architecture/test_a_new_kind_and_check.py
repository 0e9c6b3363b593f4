"""A kind and a check are one file and one line each."""

from pathlib import Path

import pytest

import netwright as nw
from netwright.checks import DATA_CHECKS
from netwright.checks.evidence import all_checks
from netwright.kinds import KINDS

KIND = '''
"""Colors written as #rrggbb."""

from dataclasses import dataclass
from typing import ClassVar, Self, final

import polars as pl
import torch
from torch import Tensor, nn

from netwright.models.stems import encoded
from netwright.records.recipe import Recipe
from netwright.records.schema import Field, Signal


@final
@dataclass(frozen=True)
class Color(Field):
    """Three shares of red, green and blue."""

    kind: ClassVar[str] = "color"
    seen_as: ClassVar[str] = "color"

    @staticmethod
    def matches(cells: pl.Series) -> bool:
        return cells.dtype == pl.String and bool(cells.drop_nulls().str.contains("^#[0-9a-f]{6}$").all())

    @classmethod
    def learn(cls, name: str, cells: pl.Series, detail: str = "") -> Self:
        return cls(name, 0.0, 1.0, 1 / 255)

    def encode(self, cells: pl.Series) -> Tensor:
        return torch.tensor([[int(c[k : k + 2], 16) / 255 if c else 0.5 for k in (1, 3, 5)] for c in cells])

    @classmethod
    def stem(cls, fields: tuple[Self, ...], recipe: Recipe) -> tuple[nn.Module, Signal]:
        return encoded((3,), recipe)

    def describe(self) -> str:
        return "colors"

    def show(self, cell: object, attribution: Tensor | None = None) -> str:
        return "a color"
'''

CHECK = '''
"""Rows of one color."""

from collections.abc import Iterator

from netwright.checks.evidence import DataEvidence, Skip
from netwright.records.finding import Finding


def much_red(evidence: DataEvidence) -> Iterator[Finding]:
    """Much red.

    Why it matters: red fades.

    How it is decided: a row is #ff0000.
    """
    names = [field.name for field in evidence.fields if field.kind == "color"]
    if not names:
        raise Skip("there are no colors")
    for name in names:
        rows = (evidence.dataset.table[name] == "#ff0000").arg_true().to_list()
        yield Finding("warning", f"{len(rows)} rows of {name} are red", rows=tuple(rows), columns=(name,))
'''


@pytest.fixture
def colors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = tmp_path / "painting"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "color.py").write_text(KIND)
    (package / "red.py").write_text(CHECK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(KINDS, "color", "painting.color:Color")
    rest = {name: KINDS[name] for name in KINDS if name != "color"}
    for name in rest:  # asked first: kinds are recognized in the order of the table
        monkeypatch.delitem(KINDS, name)
        monkeypatch.setitem(KINDS, name, rest[name])
    monkeypatch.setitem(DATA_CHECKS, "NW199", "painting.red:much_red")
    words = ["#ff0000,warm", "#00ff00,cold", "#0000ff,cold", "#ee1100,warm"]
    (tmp_path / "colors.csv").write_text("color,feeling\n" + "\n".join(words * 30) + "\n")
    return tmp_path / "colors.csv"


def test_a_new_kind_is_recognized_trained_on_written_and_read(colors: Path, tmp_path: Path) -> None:
    run = nw.train(colors, target="feeling", folder=tmp_path / "run", settings={"epochs": 2, "width": 8})
    assert run.schema.inputs[0].kind == "color" and "color: colors" in run.notes
    loaded = nw.load(tmp_path / "run")
    assert nw.predict(loaded, colors)["prediction"].len() == 120


def test_a_new_check_reports_with_its_code_its_title_and_its_page(colors: Path) -> None:
    report = nw.audit(colors, target="feeling", fast=True)
    found = next(finding for finding in report.findings if finding.code == "NW199")
    assert (found.title, found.places[0]) == ("Much red", f"{colors}, line 2")
    assert "NW199" in all_checks()
    assert next(check for check in report.checks if check.code == "NW199").title == "Much red"
