"""From raw data through audit, fixes, a training with them and their proof, on the command line and in Python.

The only check is one of the test's own, listed by its import path: it finds labels that end in "?".
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

import netwright as nw
from netwright.checks import DATA_CHECKS
from netwright.records.errors import DataError, RecipeError, RunError

CHECK = '''
from netwright.records.finding import Finding, Fix, Remedy

def doubted(evidence):
    """doubted labels

    Labels that end in a question mark. Why it matters: nobody is sure. How it is decided: by the last letter.
    """
    name = evidence.dataset.targets[0]
    labels = evidence.dataset.table[name]
    rows = tuple(row for row in evidence.rows().tolist() if labels[row].endswith("?"))
    fixes = tuple(
        Fix(row, evidence.dataset.locate(row), "relabel", name, labels[row], labels[row][:-1], confidence=0.9)
        for row in rows
    )
    if rows:
        yield Finding("warning", f"{len(rows)} labels are doubted", rows=rows, fixes=fixes,
                      remedies=(Remedy("Apply the fixes."),))
'''
ROWS = 120
SETTINGS = {"epochs": 2, "width": 8, "depth": 1, "members": 1, "batch_size": 32, "precision": "fp32"}
SET = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]


@pytest.fixture(autouse=True)
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "own_checks.py").write_text(CHECK)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    for code in list(DATA_CHECKS):
        monkeypatch.delitem(DATA_CHECKS, code)
    monkeypatch.setitem(DATA_CHECKS, "NW199", "own_checks:doubted")


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Two columns that decide the label; a third of the labels is doubted, which makes classes of their own."""
    chance = np.random.default_rng(0)
    x = chance.normal(size=(ROWS, 2))
    doubted = chance.random(ROWS) < 0.3
    labels = [("yes" if a > 0 else "no") + "?" * bool(d) for a, d in zip(x[:, 0], doubted, strict=True)]
    path = tmp_path / "people.csv"
    pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "label": labels}).write_csv(path)
    return path


def test_from_an_audit_to_proven_fixes_of_a_table(people: Path, tmp_path: Path, netwright: Callable) -> None:
    data = (people, "--target", "label", "--quiet")
    fixes, run = tmp_path / "fixes.csv", tmp_path / "run"
    found = netwright("audit", *data, "--fast", "--fix", fixes)
    assert found.code == 1
    assert "warning NW199  doubted labels" in found.out
    assert f"fixes written to {fixes}" in found.err
    written = pl.read_csv(fixes)
    assert set(written["apply"]) == {"yes"}
    assert written["place"][0].startswith(f"{people}, line ")

    assert netwright("audit", *data, "--fast", "--fixes", fixes).code == 0
    trained = netwright("train", *data, "--fixes", fixes, "--run", run, *SET)
    assert trained.code == 0, trained.err
    assert json.loads((run / "audit.json").read_text())["findings"] == []
    assert f"fixes applied: {len(written)} relabel" in json.loads((run / "outcome.json").read_text())["notes"]
    assert set(nw.load(run).task.labels) == {"no", "yes"}

    # The flags of before.
    with_a_proof = netwright("audit", *data, "--fast", "--fix", fixes, "--prove", "--json", *SET)
    assert with_a_proof.code == 1
    assert "--fix is now a command of its own: netwright fix;" in with_a_proof.err
    assert "--prove is now a command of its own: netwright prove;" in with_a_proof.err
    proof = json.loads(with_a_proof.out)["proof"]
    assert proof["together"]["gains"][0]["metric"] == "accuracy"
    told = {"yes" if proof["together"]["is_kept"] else "no"}
    assert set(pl.read_csv(fixes)["apply"]) == told


def test_fixing_and_proving_are_verbs_of_their_own(people: Path, tmp_path: Path, netwright: Callable) -> None:
    data, fixes, fixed = ("--target", "label", "--quiet"), tmp_path / "fixes.csv", tmp_path / "fixed.csv"
    written = netwright("fix", people, fixes, *data, "--fast")
    assert (written.code, written.err) == (0, "")
    assert f"fixes written to {fixes}, 29 of them with apply = yes. Review them" in written.out
    found = nw.fix(people, target="label", fast=True, file=tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == fixes.read_text()
    assert set(found) == set(nw.read_fixes(fixes))

    assert netwright("fix", people, "--fixes", fixes, "--to", fixed, *data).out == f"{ROWS} rows written to {fixed}\n"
    assert set(pl.read_csv(fixed)["label"]) == {"no", "yes"}
    assert netwright("fix", people, *data).code == 2

    proven = netwright("prove", people, fixes, *data, "--seeds", 3, "--to", fixes, "--json", *SET)
    assert proven.code == 0, proven.err
    assert proven.err == f"{fixes} has apply = no for those rolled back\n"
    proof = json.loads(proven.out)
    assert set(pl.read_csv(fixes)["apply"]) == {"yes" if proof["together"]["is_kept"] else "no"}
    few = netwright("prove", people, fixes, *data, "--seeds", 2)
    assert (few.code, "2 seeds prove nothing" in few.err) == (2, True)


def test_moves_between_parts_are_written_with_the_fixed_data(people: Path, tmp_path: Path) -> None:
    table = pl.read_csv(people).with_columns(part=pl.Series(["train", "valid", "test"] * (ROWS // 3)))
    table.write_csv(people)
    move = nw.Fix(0, f"{people}, line 4", "move", "", "test", "train")
    nw.fix(people, target="label", split="part", fixes=(move,), to=tmp_path / "fixed.csv")
    fixed = pl.read_csv(tmp_path / "fixed.csv")
    assert fixed["part"].to_list() == ["train", "valid", "train", *table["part"].to_list()[3:]]
    assert fixed.drop("part").equals(table.drop("part"))


def test_from_an_audit_to_a_training_on_a_fixed_folder(tmp_path: Path, netwright: Callable) -> None:
    chance = np.random.default_rng(0)
    for n in range(60):
        label = ("dark", "light", "light?")[n % 3]
        (tmp_path / "photos" / label).mkdir(parents=True, exist_ok=True)
        pixels = chance.integers(0, 100, (8, 8), np.uint8) + (0 if label == "dark" else 150)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photos" / label / f"{n}.png")
    fixes = tmp_path / "fixes.csv"
    page = tmp_path / "audit.html"
    found = netwright("audit", tmp_path / "photos", "--fast", "--quiet", "--fix", fixes, "--page", page)
    assert (found.code, f"page written to {page}" in found.err) == (1, True), found.err
    told = page.read_text(encoding="utf-8")
    assert f"<title>Audit of {tmp_path / 'photos'}</title>" in told
    assert "light? → light" in told
    assert told.count('<img src="data:image/png;base64,') >= 12
    trained = netwright("train", tmp_path / "photos", "--quiet", "--fixes", fixes, "--run", tmp_path / "run", *SET)
    assert trained.code == 0, trained.err
    assert nw.load(tmp_path / "run").task.labels == ("dark", "light")


def test_rows_to_label_next_are_listed_on_the_command_line(people: Path, tmp_path: Path, netwright: Callable) -> None:
    table = pl.read_csv(people).with_columns(pl.col("label").str.strip_chars("?"))
    table[list(range(0, ROWS, 2)), "label"] = None
    table.write_csv(people)
    data = ("label", people, "--target", "label", "--quiet", "--count", 4, *SET)
    listed = netwright(*data)
    before = netwright("audit", people, "--target", "label", "--quiet", "--next", 4, *SET)
    assert before.out == listed.out
    assert "--next is now a command of its own: netwright label;" in before.err
    assert nw.next_labels(people, target="label", count=4, settings=SETTINGS).write_csv() == listed.out
    assert listed.code == 0, listed.err
    assert listed.out.startswith("place,prediction,uncertainty,reason\n")
    assert (
        netwright(*data, "--to", tmp_path / "next.csv").out == f"4 rows to label first written to {tmp_path}/next.csv\n"
    )
    assert (tmp_path / "next.csv").read_text() == listed.out
    assert [row["place"] for row in json.loads(netwright(*data, "--json").out)] == list(
        pl.read_csv(tmp_path / "next.csv")["place"]
    )


@pytest.mark.parametrize(("level", "code"), [("error", 0), ("warning", 1), ("note", 1), ("never", 0)])
def test_exit_code_follows_what_was_found(level: str, code: int, people: Path, netwright: Callable) -> None:
    found = netwright("audit", people, "--target", "label", "--fast", "--quiet", "--json", "--fail-on", level)
    assert found.code == code
    report = json.loads(found.out)
    assert [finding["code"] for finding in report["findings"]] == ["NW199"]
    assert report["count"] == ROWS


def test_what_the_user_must_correct_is_exit_code_2(people: Path, tmp_path: Path, netwright: Callable) -> None:
    (tmp_path / "wrong.csv").write_text("apply,action,place\nyes,drop,elsewhere.csv, line 2\n")
    data = ("audit", people, "--target", "label", "--fast", "--quiet")
    for words, told in (
        (("--fixes", tmp_path / "nowhere.csv"), "there is no file or folder"),
        (("--fixes", tmp_path / "wrong.csv"), "wrong.csv, line 2 has 4 cells instead of 3"),
        (("--prove",), "--prove needs --fix FILE"),
        (("--next", 3, "--fix", tmp_path / "fixes.csv"), "--next only lists rows"),
        (("--to", tmp_path / "next.csv"), "--to is for --next"),
        (("--fix", tmp_path / "no" / "fixes.csv"), "its folder does not exist"),
        (("--page", tmp_path / "no" / "audit.html"), "its folder does not exist"),
        (("--page", tmp_path), "it is a folder"),
    ):
        outcome = netwright(*data, *words)
        assert (outcome.code, told in outcome.err) == (2, True), outcome.err


def test_findings_are_told_before_training_and_kept_with_the_run(people: Path, tmp_path: Path) -> None:
    heard: list[object] = []
    run = nw.train(people, target="label", settings=SETTINGS, folder=tmp_path / "run", show=heard.append)
    assert run.audit is not None
    assert [finding.code for finding in run.audit.findings] == ["NW199"]
    assert nw.load(tmp_path / "run").audit == run.audit
    assert sum(str(event).startswith("warning NW199, doubted labels: ") for event in heard) == 1
    without = nw.train(people, target="label", settings=SETTINGS, folder=tmp_path / "b", audit=False)
    assert without.audit is None
    assert not (tmp_path / "b" / "audit.json").exists()
    assert without.scores == run.scores


def test_stopped_training_goes_on_with_the_same_fixes_alone(people: Path, tmp_path: Path) -> None:
    def stop(event: object) -> None:
        if not isinstance(event, str):
            raise KeyboardInterrupt

    fixes = nw.audit(people, target="label", fast=True).fixes
    given = {"target": "label", "settings": SETTINGS, "folder": tmp_path / "run"}
    with pytest.raises(KeyboardInterrupt):
        nw.train(people, **given, fixes=fixes, show=stop)
    with pytest.raises(RunError, match="the fixes applied to the data differ"):
        nw.train(people, **given, fixes=(*fixes[1:], nw.Fix(0, fixes[0].place, "drop")))
    assert nw.train(people, **given, fixes=fixes).scores is not None


def test_fixes_keep_the_split_of_the_raw_data(people: Path) -> None:
    fixes = nw.audit(people, target="label", fast=True).fixes
    raw = nw.train(people, target="label", settings=SETTINGS)
    fixed = nw.train(people, target="label", settings=SETTINGS, fixes=fixes)
    rows = [[int(row) for batch in run.test.batches(999, seed=None) for row in batch.rows] for run in (raw, fixed)]
    assert rows[0] == rows[1]


def test_proof_keeps_what_helps_and_rolls_back_what_harms() -> None:
    chance = np.random.default_rng(0)
    x = chance.normal(size=(600, 3))
    truth = (x[:, 0] + x[:, 1] > 0).astype(int)
    wrong = (chance.random(600) < 0.7) & (truth == 1)
    y = np.where(wrong, 0, truth)
    data = {"train": (x[:400], y[:400]), "test": (x[400:], truth[400:])}

    def relabel(rows: np.ndarray, code: str) -> list[nw.Fix]:
        return [
            nw.Fix(0, f"array 'train', row {n}", "relabel", "target", str(y[n]), str(1 - y[n]), code)
            for n in rows.tolist()
        ]

    good = relabel(np.flatnonzero(wrong[:400]), "NW110")
    harmful = relabel(np.flatnonzero((truth[:400] == 0) & (x[:400, 0] > -1.0)), "NW111")
    move = nw.Fix(0, "array 'test', row 0", "move", "", "test", "train", "NW130")
    heard: list[object] = []
    settings = {"epochs": 8, "width": 32, "depth": 1, "batch_size": 32}
    proof = nw.prove(data, [*good, *harmful, move], settings=settings, seeds=3, show=heard.append)
    helped, harmed = proof.groups
    assert (helped.code, helped.is_kept, harmed.code, harmed.is_kept) == ("NW110", True, "NW111", False)
    assert helped.gains[0].low > 0 > harmed.gains[0].high
    assert proof.kept == (*good, move)
    assert proof.rolled_back == tuple(harmful)
    assert proof.count == 200
    assert "rolled back, accuracy is worse" in str(proof)
    assert sum("proving:" in str(event) for event in heard) == 4


def test_proof_needs_fixes_and_three_seeds() -> None:
    data = (np.arange(40.0).reshape(20, 2), np.arange(20) % 2)
    with pytest.raises(RecipeError, match="2 seeds prove nothing"):
        nw.prove(data, [nw.Fix(0, "array, row 0", "drop")], seeds=2)
    with pytest.raises(DataError, match="no fixes to prove"):
        nw.prove(data, ())
