"""Columns, classes, cells and files named to take over a terminal: every verb, on both streams."""

import io
import json
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

import netwright as nw

MOVES = "\x1b]0;PWN\x07\x1b[2J\x9b31m\u202e\u2028\u2066\x7f\x08"  # a title, a wiped screen, colors, letters reversed
FORGED = "\nerror   NW999  forged: a line that no check wrote"
HOSTILE = f"±{MOVES}{FORGED}"
SMALL = [f"--set={s}" for s in ("epochs=2", "members=1", "width=8", "depth=1", "precision=fp32", "kernels=torch")]
FAST = ["--fail-on", "never"]
ROWS = 160


def _table(folder: Path) -> Path:
    r = np.random.default_rng(1)
    size, yes = r.normal(0, 1, ROWS).round(2), r.normal(0, 0.3, ROWS)
    table = {
        f"size{HOSTILE}": [*size[:-1].tolist(), 1e6],
        f"=town{HOSTILE}": [f"{'Bonn' if k % 3 else 'Oslo'}{HOSTILE if k < 150 else f'rare{k}'}" for k in range(ROWS)],
        f"same{HOSTILE}": ["1"] * ROWS,
        f"y{HOSTILE}": [f"{'yes' if v > 0 else 'no'}{HOSTILE}" for v in size + yes],
    }
    frame = pl.DataFrame(table, strict=False)
    path = folder / f"people{MOVES}.csv"
    pl.concat([frame, frame[:5]]).write_csv(path)
    return path


def _pictures(folder: Path) -> Path:
    r = np.random.default_rng(2)
    for k, name in enumerate((f"dark{HOSTILE}", f"light{HOSTILE}")):
        (folder / f"photos{MOVES}" / name).mkdir(parents=True)
        for i in range(12):
            pixels = r.integers(100 * k, 100 * k + 90, (8, 8)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"photos{MOVES}" / name / f"{i}{HOSTILE}.png")
    (folder / f"photos{MOVES}" / f"dark{HOSTILE}" / f"broken{HOSTILE}.png").write_text("no picture")
    return folder / f"photos{MOVES}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    settings = {"epochs": 2, "members": 1, "width": 8, "depth": 1, "precision": "fp32", "kernels": "torch"}
    table, photos = _table(folder), _pictures(folder)
    nw.train(table, target=f"y{HOSTILE}", folder=folder / f"run{MOVES}", settings=settings)
    nw.train(photos, folder=folder / f"seen{MOVES}", settings=settings | {"width": 4})
    cells = pl.read_csv(table.read_bytes(), infer_schema=False)
    half = cells.with_columns(pl.when(pl.int_range(pl.len()) % 3 > 0).then(pl.col(f"y{HOSTILE}")))
    half.write_csv(folder / f"half{MOVES}.csv")
    nw.write_fixes([nw.Fix(3, f"{table}, row 3", "drop", confidence=0.95)], folder / f"wrong{MOVES}.csv")
    return folder


DATA, TARGET, RUN = f"people{MOVES}.csv", ("-t", f"y{HOSTILE}"), f"run{MOVES}"
VERBS = {
    "audit": ("audit", DATA, *TARGET, "--fast", *FAST),
    "audit of pictures": ("audit", f"photos{MOVES}", "--fast", *FAST),
    "audit without a column": ("audit", DATA, "-t", f"z{HOSTILE}"),
    "fix": ("fix", DATA, f"fixes{MOVES}.csv", *TARGET, "--fast"),
    "fix with other fixes": ("fix", DATA, "--fixes", f"wrong{MOVES}.csv", "--to", "fixed.csv", *TARGET),
    "prove": ("prove", DATA, f"wrong{MOVES}.csv", *TARGET, *SMALL),
    "label": ("label", f"half{MOVES}.csv", *TARGET, "--count", "5", *SMALL),
    "train": ("train", DATA, *TARGET, "--run", f"again{MOVES}", *SMALL),
    "train on pictures": ("train", f"photos{MOVES}", "--run", f"more{MOVES}", *SMALL),
    "diagnose": ("diagnose", RUN, *FAST),
    "treat": ("treat", RUN, "NW110", "--seeds", "2", *FAST),
    "recipe": ("recipe", f"lr{HOSTILE}"),
    "rule": ("rule", f"NW{HOSTILE}"),
    "predict": ("predict", RUN, DATA, "--keep", f"=town{HOSTILE}"),
    "predict pictures": ("predict", f"seen{MOVES}", f"photos{MOVES}"),
    "predict to a file": ("predict", RUN, DATA, "--to", f"answers{MOVES}.csv"),
    "predict nothing": ("predict", RUN, f"nothing{HOSTILE}.csv"),
    "predict an unknown column": ("predict", RUN, "--row", f"z{HOSTILE}=1"),
    "evaluate": ("evaluate", RUN),
    "evaluate on data": ("evaluate", RUN, DATA),
    "show": ("show", RUN),
    "weights": ("weights", RUN),
    "cache": ("cache",),
    "an unknown verb": (f"verb{HOSTILE}",),
    "an unknown option": ("audit", f"--option{HOSTILE}"),
    "a word too many": ("show", RUN, f"more{HOSTILE}"),
    "a bad pair": ("train", DATA, "--set", f"lr{HOSTILE}"),
}


def _raw(text: str) -> set[str]:
    moves = {c for c in text if unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs")} - {"\n", "\t"}
    return moves | (set(text) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"))


@pytest.mark.parametrize("words", [pytest.param(words, id=name) for name, words in VERBS.items()])
def test_no_verb_lets_names_reach_a_terminal_raw_or_forge_a_line(
    made: Path, words: tuple[str, ...], netwright: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    said = netwright(*words)
    assert said.code in (0, 2) and "Traceback" not in said.err, said.err
    assert not _raw(said.out) and not _raw(said.err)
    assert not [line for line in (said.out + said.err).split("\n") if line.startswith("error   NW999")]


def test_what_verbs_print_as_json_is_json_and_says_the_names_as_they_are(
    made: Path, netwright: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)
    for words in (VERBS["audit"], VERBS["evaluate"], VERBS["predict"], VERBS["label"], VERBS["weights"]):
        said = netwright(*words, "--json")
        assert not _raw(said.out) and said.out.isascii()
        record = json.loads(said.out, parse_constant=pytest.fail)
        if words[0] == "predict":
            assert record[0][f"=town{HOSTILE}"] == f"Oslo{HOSTILE}"


def test_cells_are_exact_where_no_terminal_reads_them(
    made: Path, netwright: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)
    said = netwright(*VERBS["predict"])
    answers = pl.read_csv(said.out.encode())
    assert answers[f"'=town{HOSTILE}"][0] == f"Oslo{HOSTILE}"
    assert set(answers["prediction"]) <= {f"{word}{HOSTILE}" for word in ("yes", "no")}


SPEAKING = [
    *(VERBS[name] for name in ("audit", "label", "predict", "evaluate", "show", "weights", "cache")),
    (*VERBS["predict"], "--json"),
    ("train", f"photos{MOVES}", *SMALL),
    ("recipe",),
]


class Gone(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("words", SPEAKING)
def test_no_verb_complains_if_its_reader_leaves(
    made: Path, words: tuple[str, ...], netwright: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)
    before = set(made.iterdir())
    monkeypatch.setattr(sys, "stdout", Gone())
    said = netwright(*words)
    assert said.code == 0 and "Traceback" not in said.err
    assert {path.suffix for path in set(made.iterdir()) - before} <= {""}, "a run, and no half file"


@pytest.mark.parametrize("words", SPEAKING)
def test_a_terminal_that_knows_ascii_alone_is_no_error(
    made: Path, words: tuple[str, ...], netwright: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="ascii") for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    assert netwright(*words).code == 0
    assert streams[0].buffer.getvalue().isascii() and streams[0].buffer.getvalue()  # type: ignore[attr-defined]


def test_a_page_shows_control_characters_as_escapes(made: Path, netwright: Callable, monkeypatch) -> None:
    monkeypatch.chdir(made)
    assert netwright(*VERBS["audit"], "--page", f"page{MOVES}.html").code == 0
    page = (made / f"page{MOVES}.html").read_text()
    assert not _raw(page) and "PWN" in page
