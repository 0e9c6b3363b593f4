"""What people really bring: each case ends with what to do, or with a note of what was left out.

Whether disks are full and folders may not be written is told in test_run_folder.py.
"""

import json
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
import torch
from PIL import Image

import netwright as nw
from netwright.run_folder import FORMAT

Files = dict[str, str | bytes]
SMALL = ("--set", "epochs=2", "--set", "width=8", "--set", "batch_size=32", "--set", "depth=1")
COUNT = 60


def table(change: Callable[[int, list[str]], list[str]] = lambda _, row: row, header: str = "a,b,town,y") -> str:
    """COUNT rows of two numbers, a town and a label; `change` is given the number and the cells of a row."""
    chance = random.Random(0)
    number, towns, labels = "{:.3f}".format, ("Bonn", "Oslo"), ("no", "yes")
    rows = [
        [number(chance.random()), number(chance.random()), chance.choice(towns), chance.choice(labels)]
        for _ in range(COUNT)
    ]
    return "\n".join([header, *(",".join(change(n, row)) for n, row in enumerate(rows))]) + "\n"


def target(value: Callable[[int], object]) -> str:
    return table(lambda number, row: [*row[:3], str(value(number))])


def picture(shade: int) -> bytes:
    out = BytesIO()
    Image.new("L", (8, 8), shade).save(out, "PNG")
    return out.getvalue()


def bomb() -> bytes:
    """A PNG of a few bytes that says it is 60,000 pixels wide and high."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 100)
    chunks = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, data, b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def pictures(**bad: bytes) -> Files:
    """20 dark and 20 bright pictures, and bad ones among the dark."""
    good = {
        f"d/{kind}/{n:02}.png": picture(base + n) for kind, base in (("dark", 10), ("light", 200)) for n in range(20)
    }
    return {**good, **{f"d/dark/{name}.png": content for name, content in bad.items()}}


@dataclass(frozen=True)
class Case:
    name: str
    files: Files
    said: tuple[str, ...]  # on standard error; {at} is the folder of the files
    words: str = "t.csv -t y"  # behind `netwright train`


def csv(text: str | bytes) -> Files:
    return {"t.csv": text}


ONE_FOLDER = "put one subfolder of files for each label into it."
NAMES = "add a first line with the column names."
UNREADABLE = {f"d/{kind}/{n}.png": b"no picture"[: n % 3] for kind in "ab" for n in range(10)}

REFUSED = [
    Case("empty folder", {"d/.keep": ""}, ("{at}/d is empty", ONE_FOLDER), "d"),
    Case("empty table", csv(""), ("{at}/t.csv is empty", "give a table with a line of column names")),
    Case("header alone", csv("a,b,y\n"), ("{at}/t.csv has no rows", "add a line for each row.")),
    Case("no header", csv(table(header="0.5,0.2,Bonn,no")), ("it starts with '0.5, 0.2, Bonn, no'", NAMES)),
    Case("one name twice", csv(table(header="a,a,town,y")), ("'a' (columns 1 and 2)", "rename one of them.")),
    Case("mostly ragged", csv(table(lambda _, row: row[:3])), ("the first is line 2 (3 cells)", "correct the header")),
    Case("missing target", csv(table()), ("has no column 'yy'", "did you mean 'y'?"), "t.csv -t yy"),
    Case("no target said", csv(table()), ("has no target", "choose the target from a, b, town, y."), "t.csv"),
    Case("one class", csv(target(lambda _: "no")), ("'y' is 'no' in every row", "add rows of another class.")),
    Case(
        "constant target",
        csv(target(lambda _: 1.5)),
        ("'y' is 1.5 in every row: there is nothing to predict", "choose another target."),
        "t.csv -t y --task regression",
    ),
    Case(
        "another label in every row",
        csv(target(lambda n: f"name {n}")),
        ("'y' is different in every row", "choose another target."),
        "t.csv -t y --task classification",
    ),
    Case("no target anywhere", csv(target(lambda _: "")), ("every row is without a 'y'", "or fill it in.")),
    Case(
        "no picture opens",
        UNREADABLE,
        ("can be read; the first is '{at}/d/a/0.png': the file is empty", "check the paths and"),
        "d",
    ),
    Case("no file", {"tables.csv": table()}, ("there is no file or folder", "did you mean"), "table.csv -t y"),
    Case(
        "settings, all told at once",
        csv(table()),
        (
            "there is no setting 'depht': did you mean 'depth'?",
            "dropout must be 0 to 0.95, not 2",
            "epochs must be a whole number, not 'x'",
            "`netwright recipe` lists the settings and their ranges.",
        ),
        "t.csv -t y --set depht=3 --set dropout=2 --set epochs=x",
    ),
    Case(
        "layers that do not fit",
        csv(table()),
        ("cannot follow", "put other layers before layer 1, or leave it out."),
        't.csv -t y --set layers=[{"conv":8}]',
    ),
]

STRANGE = ("nan", "inf", "-inf", "0.5")
TAKEN = [
    Case(
        "ragged rows",
        csv(table(lambda n, row: row[:3] if n in (3, 9) else row)),
        ("t.csv: 2 rows without 4 cells left out, the first is line 5 (3 cells)",),
    ),
    Case(
        "another encoding",
        csv(table().replace("Bonn", "Köln").encode("cp1252")),
        ("t.csv is not UTF-8 (byte 0xf6", "read as cp1252"),
    ),
    Case(
        "NaN and infinite numbers",
        csv(table(lambda n, row: [str(n) if n % 2 else STRANGE[n // 2 % 4], *row[1:]])),
        ("% missing", "cells are infinite, read as missing"),
    ),
    Case(
        "NaN and infinite targets",
        csv(target(lambda n: {1: "nan", 2: "inf", 3: ""}.get(n, n / 7))),
        (
            "2 rows without a 'y' left out, the first is {at}/t.csv, line 3",
            "1 row with an infinite 'y' left out, the first is {at}/t.csv, line 4",
        ),
    ),
    Case(
        "class of one row",
        csv(target(lambda n: "rare" if n == 5 else ("no", "yes")[n % 2])),
        ("1 value of 'y' in only one row, the first is 'rare' ({at}/t.csv, line 7); such rows are kept for training",),
    ),
    Case(
        "broken images",
        pictures(zero=b"", cut=picture(9)[:40], bomb=bomb(), words=b"no picture"),
        ("unreadable training rows, the first is {at}/d/dark/bomb.png: it has more than 80,000,000 pixels",),
        "d",
    ),
]


def put(files: Files, folder: Path) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def words(case: Case, folder: Path) -> list[str]:
    data, *options = case.words.split(" ")
    return ["train", str(folder / data), *options, "--run", str(folder / "run")]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_what_cannot_be_learned_from_is_refused_with_what_to_do(
    case: Case, tmp_path: Path, netwright: Callable
) -> None:
    put(case.files, tmp_path)
    outcome = netwright(*words(case, tmp_path))
    assert (outcome.code, outcome.out) == (2, "")
    assert "\n  fix: " in outcome.err and "Traceback" not in outcome.err
    for text in case.said:
        assert text.format(at=tmp_path) in outcome.err
    assert not (tmp_path / "run").exists(), "nothing is written"


@pytest.mark.parametrize("case", TAKEN, ids=lambda case: case.name)
def test_what_can_be_learned_from_is_taken_and_what_was_left_out_is_told(
    case: Case, tmp_path: Path, netwright: Callable
) -> None:
    put(case.files, tmp_path)
    outcome = netwright(*words(case, tmp_path), *SMALL)
    assert outcome.code == 0, outcome.err
    for text in case.said:
        assert text.format(at=tmp_path) in outcome.err


def test_new_data_without_what_the_network_takes_are_refused(tmp_path: Path, netwright: Callable) -> None:
    put({"t.csv": table(), "new.csv": "town,b,a\nRome,,\nOslo,1e400,0.5\n", "less.csv": "a,town\n1,Bonn\n"}, tmp_path)
    put({"labels.csv": table().replace(",no\n", ",perhaps\n", 1)}, tmp_path)
    run = tmp_path / "run"
    assert netwright("train", tmp_path / "t.csv", "-t", "y", "--run", run, *SMALL, "--quiet").code == 0
    answers = netwright("predict", run, tmp_path / "new.csv")
    assert answers.code == 0, answers.err
    assert [line.split(",")[0] for line in answers.out.splitlines()] == ["line", "2", "3"]

    less = netwright("predict", run, tmp_path / "less.csv")
    assert (less.code, less.out) == (2, "")
    assert less.err == "error: less.csv has no column 'b'\n  fix: include all of a, b, town.\n"
    assert netwright("predict", run).code == netwright("predict", run, "--row", "a").code == 2
    other = netwright("predict", run, tmp_path / "new.csv", "--to", tmp_path / "answers.docx")
    assert (other.code, "choose from .csv, .parquet, .jsonl, .xlsx." in other.err) == (2, True)

    scores = netwright("evaluate", run, tmp_path / "labels.csv")
    assert scores.code == 0
    assert "1 row cannot be read, the first is" in scores.err and "perhaps" in scores.err


@pytest.mark.parametrize("path", ["x" * 5000, "loop", "loop/below"])
@pytest.mark.parametrize(
    "words",
    [
        "audit {} -t y", "audit t.csv -t y --against {}", "audit t.csv -t y --page {}", "train t.csv -t y --run {}",
        "train t.csv -t y --fixes {}", "train t.csv -t y --recipe {}", "predict {} t.csv", "evaluate {}", "show {}",
        "diagnose {}", "treat {}", "fix t.csv {} -t y",
    ],
)  # fmt: skip
def test_paths_that_the_system_does_not_take_are_refused(
    words: str, path: str, tmp_path: Path, netwright: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    put({"t.csv": table()}, tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.chdir(tmp_path)
    outcome = netwright(*words.format(path).split())
    assert outcome.code == 2, outcome.err
    assert "fix: " in outcome.err and outcome.out == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == ["loop", "t.csv"]


@pytest.mark.parametrize("verb", ["evaluate", "predict", "show", "weights"])
def test_runs_that_are_newer_half_written_or_none_at_all_are_refused(
    verb: str, tmp_path: Path, netwright: Callable
) -> None:
    put({"t.csv": table()}, tmp_path)
    data = [tmp_path / "t.csv"] if verb == "predict" else []
    run = tmp_path / "run"
    assert netwright("train", tmp_path / "t.csv", "-t", "y", "--run", run, *SMALL, "--quiet").code == 0
    origin = run / "origin.json"
    text = origin.read_text()
    origin.write_text(json.dumps(json.loads(text) | {"format": 99}))
    newer = netwright(verb, run, *data)
    origin.write_text(text)
    (run / "weights.safetensors").unlink()
    half = netwright(verb, run, *data)
    none = netwright(verb, tmp_path, *data)
    assert f"{run} was written by a newer netwright (format 99; this one reads up to {FORMAT})" in newer.err
    assert f"{run} has no weights.safetensors: training never finished" in half.err
    assert f"{tmp_path} is not a run folder: it has no origin.json" in none.err
    for outcome in (newer, half, none):
        assert (outcome.code, outcome.out) == (2, "")
        assert "\n  fix: " in outcome.err and "Traceback" not in outcome.err


def test_a_network_of_another_output_is_refused_before_it_trains() -> None:
    loader = [(torch.zeros(4, 3), torch.zeros(4, dtype=torch.long))]
    with pytest.raises(nw.NetwrightError, match=r"\(4, 7\)") as caught:
        nw.adopt(torch.nn.Linear(3, 7), nw.Classification(("no", "yes")), loader)
    assert "\n  fix: " in str(caught.value)


@pytest.mark.parametrize("words", [("--task", "os:getcwd"), ("--kind", "x=os:getcwd")])
def test_an_import_path_to_something_else_is_refused(
    words: tuple[str, str], tmp_path: Path, netwright: Callable
) -> None:
    table = tmp_path / "t.csv"
    table.write_text("x,y\n" + "1,a\n2,b\n" * 20)
    outcome = netwright("train", table, "-t", "y", *words, "--quiet")
    assert outcome.code == 2
    assert f"os:getcwd is not a {words[0][2:]}" in outcome.err
