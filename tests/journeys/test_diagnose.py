"""From a trained run to what is wrong with it, and to a better run, through the command line and through Python."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import netwright as nw
from netwright.records.errors import DataError, RecipeError, RunError
from netwright.records.finding import Finding, Fix, Remedy
from netwright.records.proof import Gain
from netwright.stages.runs import reopened

PLAIN = {
    "members": 1, "width": 16, "depth": 1, "dropout": 0.0, "epochs": 6, "batch_size": 16, "lr": 0.02,
    "embedding": "none", "precision": "fp32", "kernels": "torch", "compile": "never", "threads": 1, "adapt": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def rings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whether a point lies near the middle; a linear model cannot tell."""
    chance = np.random.default_rng(0)
    points = chance.normal(size=(400, 3)).round(4)
    table = pl.DataFrame(points, schema=["east", "north", "time"])
    inside = points[:, 0] ** 2 + points[:, 1] ** 2 < 1.3
    path = tmp_path_factory.mktemp("data") / "rings.csv"
    table.with_columns(pl.Series("place", np.where(inside, "in", "out"))).write_csv(path)
    return path


@pytest.fixture(scope="module")
def slow(rings: Path) -> Path:
    """A run folder of a training whose steps were far too short."""
    folder = rings.with_name("slow")
    nw.train(rings, target="place", settings={**PLAIN, "lr": 1e-5}, folder=folder)
    return folder


@pytest.fixture(scope="module")
def healthy(rings: Path) -> nw.Run:
    return nw.train(rings, target="place", settings={**PLAIN, "epochs": 30})


def codes(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.code for finding in findings]


def test_steps_that_are_too_short_are_found_treated_and_the_gain_is_proven(
    slow: Path, tmp_path: Path, netwright: Callable
) -> None:
    run = shutil.copytree(slow, tmp_path / "slow")
    found = netwright("diagnose", run, "--quiet")
    assert found.code == 1
    assert "learning rate too low" in found.out
    assert [f.code for f in nw.load(run).diagnosis.findings][:1] == ["NW332"]

    treated = netwright("treat", run, "nw332", "--fail-on", "error", "--json")
    assert treated.code == 0, treated.err
    note = json.loads(treated.out)
    assert note["changes"]["lr"] > 1e-4
    assert all(gain["low"] > 0 for gain in note["gains"])
    assert "up to" in treated.err
    assert len(note["controls"]) == sum(bool(tried["gains"]) for tried in note["tried"])

    cured = nw.load(tmp_path / "slow-treated")
    assert cured.recipe.lr == note["changes"]["lr"]
    assert cured.scores["accuracy"].value > nw.load(run).scores["accuracy"].high
    assert json.loads((cured.folder / "origin.json").read_text())["parent"] == str(run)
    assert (cured.folder / "split.json").read_bytes() == (run / "split.json").read_bytes()
    assert len(cured.history.epochs) == PLAIN["epochs"]
    assert "NW332" not in codes(cured.diagnosis.findings)
    assert "on the test part, scored once" in str(cured.treatment)
    assert cured.treatment.after == cured.scores


def test_the_flags_of_before_treat_too(rings: Path, tmp_path: Path, netwright: Callable) -> None:
    nw.train(rings, target="place", settings={**PLAIN, "epochs": 2}, folder=tmp_path / "run", diagnose=False)
    treated = netwright("diagnose", tmp_path / "run", "--try", "nw341", "--fail-on", "never", "--quiet")
    assert (treated.code, "NW341 was not found" in treated.err) == (2, True)
    assert "--try is now a command of its own: netwright treat;" in treated.err
    assert "--to is for the run" in netwright("diagnose", tmp_path / "run", "--to", tmp_path / "x").err


def test_a_simple_model_that_fails_is_a_note_and_the_run_is_written_before_anything_is_scored(
    rings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        assert any(tmp_path.glob("run*/weights.safetensors"))
        raise ZeroDivisionError("no luck")

    monkeypatch.setattr("netwright.simple_models.constant.fit", broken)
    heard: list[object] = []
    run = nw.train(
        rings, target="place", settings={**PLAIN, "epochs": 1}, folder=tmp_path / "run", show=heard.append, audit=False
    )  # fmt: skip
    note = "the constant model failed: ZeroDivisionError: no luck"
    assert note in heard
    assert note in nw.load(run.folder).notes
    assert [name for name, _ in nw.load(run.folder).baselines] == ["linear", "boosted trees"]
    assert nw.load(run.folder).scores == run.scores

    monkeypatch.setattr("netwright.stages.runs.score_examples", broken)
    with pytest.raises(ZeroDivisionError):
        nw.train(rings, target="place", settings={**PLAIN, "epochs": 1}, folder=tmp_path / "run2", audit=False)
    assert nw.load(tmp_path / "run2").scores is None


def test_a_deep_diagnosis_trains_again_and_says_so(rings: Path, tmp_path: Path, netwright: Callable) -> None:
    twice = tmp_path / "twice.csv"
    pl.concat([pl.read_csv(rings)] * 2).write_csv(twice)
    run = nw.train(twice, target="place", settings=PLAIN, folder=tmp_path / "run", audit=False, diagnose=False)
    left_out = {check.code: check.skipped for check in nw.diagnose(run).checks}
    assert "5 further training runs: use --deep" in left_out["NW326"]
    assert left_out["NW326"] == left_out["NW352"]
    told = netwright("diagnose", run.folder, "--deep", "--fail-on", "never")
    assert "training it again: 2 trainings" in told.err
    assert "training it again on 50% of the rows: 3 trainings" in told.err
    assert not {check.code: check.skipped for check in nw.load(run.folder).diagnosis.checks}["NW352"]


def test_what_does_not_help_a_healthy_run_is_rolled_back(healthy: nw.Run) -> None:
    report = nw.diagnose(healthy)
    assert not report.fails("warning")
    assert nw.treat(healthy, report=report).run is healthy
    remedies = (Remedy("drop nearly all units.", {"dropout": 0.95}), Remedy("bring more rows."))
    invented = Finding("warning", "it is not", code="NW343", title="overfitting", remedies=remedies)
    treatment = nw.treat(healthy, report=replace(report, findings=(invented,)))
    assert treatment.run is healthy
    assert not treatment.note.changes
    assert [(tried.is_kept, tried.gains[-1].high < 0) for tried in treatment.note.tried] == [(False, True)]
    assert treatment.note.advised == ("NW343  bring more rows.",)
    assert "rolled back" in str(treatment)
    assert "nothing was kept" in str(treatment)
    with pytest.raises(RecipeError, match="NW999 was not found"):
        nw.treat(healthy, ["NW999"], report=report)
    with pytest.raises(RecipeError, match="2 seeds prove nothing"):
        nw.treat(healthy, report=report, seeds=2)


def test_a_run_folder_is_diagnosed_as_the_run_in_memory(rings: Path, tmp_path: Path) -> None:
    table = pl.read_csv(rings).with_columns(team=pl.Series([f"t{row % 40}" for row in range(400)]), junk=pl.lit("x"))
    path, moved = tmp_path / "teams.csv", tmp_path / "moved.csv"
    table.write_csv(path)
    fix = Fix(3, f"{path}, line 5", "relabel", "place", table["place"][3], "in")
    run = nw.train(
        path, target="place", kinds={"time": "category"}, drop=("junk",), group="team", fixes=(fix,),
        settings={**PLAIN, "epochs": 2, "seed": 3}, folder=tmp_path / "run",
    )  # fmt: skip
    loaded = nw.load(tmp_path / "run")
    assert run.source == loaded.source
    again, here = nw.diagnose(loaded).findings, nw.diagnose(run).findings
    assert repr(again) == repr(here) == repr(nw.load(run.folder).diagnosis.findings)  # charts may hold NaN
    shutil.move(path, moved)
    with pytest.raises(RunError, match="are not at"):
        reopened(loaded)
    whole = reopened(loaded, moved)
    for part, old in ((whole.train, run.train), (whole.valid, run.valid), (whole.test, run.test)):
        pairs = zip(part.batches(50, seed=1), old.batches(50, seed=1), strict=True)
        assert all(torch.equal(a.inputs[0], b.inputs[0]) and torch.equal(a.targets[0], b.targets[0]) for a, b in pairs)
    moved.write_text(moved.read_text().replace("t1,", "t2,", 1))
    with pytest.raises(RunError, match="have changed"):
        reopened(loaded, moved)


def test_a_run_folder_of_an_older_version_is_read_with_what_it_says(slow: Path, tmp_path: Path) -> None:
    run = shutil.copytree(slow, tmp_path / "old")
    (run / "digests.json").unlink()
    origin = json.loads((run / "origin.json").read_text())
    origin["reading"] = {"target": origin["reading"]["target"], "series": "", "time": ""}
    (run / "origin.json").write_text(json.dumps(origin))
    (run / "diagnosis.json").unlink()
    assert nw.load(run).diagnosis is None
    assert len(reopened(nw.load(run)).train) == 272


def test_other_parts_than_those_of_the_training_are_refused(slow: Path, tmp_path: Path) -> None:
    run = shutil.copytree(slow, tmp_path / "other")
    (run / "digests.json").unlink()
    split = json.loads((run / "split.json").read_text())
    (run / "split.json").write_text(json.dumps(split | {"seed": split["seed"] + 1}))
    with pytest.raises(RunError, match=r"the train part holds other rows"):
        reopened(nw.load(run))


def test_a_training_ends_with_a_look_at_itself(healthy: nw.Run, slow: Path) -> None:
    assert not healthy.diagnosis.fails("error")
    assert "quick checks of the training found nothing serious" in nw.summary(healthy)
    assert nw.load(slow).diagnosis is not None
    assert nw.train(healthy, settings={"epochs": 1}, diagnose=False).diagnosis is None


def test_stopping_keeps_what_is_proven(slow: Path, tmp_path: Path) -> None:
    run = nw.load(shutil.copytree(slow, tmp_path / "slow"))

    def stop_at_random_changes(event: object) -> None:
        if isinstance(event, str) and event.startswith("treating at random"):
            raise KeyboardInterrupt

    report = nw.diagnose(run)
    treatment = nw.treat(run, ["NW332"], report=report, show=stop_at_random_changes)
    assert treatment.note.changes
    assert treatment.note.ended == "interrupted"
    assert treatment.run.folder == tmp_path / "slow-treated"

    def stop_at_once(event: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nw.treat(run, report=report, show=stop_at_once)


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))


def points(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))
    return x, (x.square().sum(1) < 1.3).long()


OWN = nw.Recipe(lr=1e-5, optimizer="sgd", epochs=2, batch_size=16, precision="fp32", kernels="torch", compile="never")


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), F.cross_entropy, lambda o, t: F.cross_entropy(o, t)])
def test_an_engineers_trained_network_is_judged_by_what_is_known(loss: Callable) -> None:
    trained = network()
    optimizer = torch.optim.SGD(trained.parameters(), lr=1e-5)
    x, y = points(400, 1)
    loss(trained(x), y).backward()
    optimizer.step()
    before = [p.clone() for p in trained.parameters()]
    unknown = nw.diagnose(nw.adopt(trained, loss, (x, y), points(200, 2), recipe=OWN))
    assert "NW332" not in codes(unknown.findings)
    assert any("initial weights are not known" in check.skipped for check in unknown.checks)
    known = nw.diagnose(nw.adopt(trained, loss, (x, y), points(200, 2), recipe=OWN, build=network))
    assert codes(known.findings)[0] == "NW332"
    assert all(torch.equal(a, b) for a, b in zip(before, trained.parameters(), strict=True))


def test_an_own_network_is_treated_from_its_first_weights() -> None:
    run = nw.adopt(network(), F.cross_entropy, points(400, 1), points(200, 2), test_loader=points(200, 3), recipe=OWN)
    with pytest.raises(DataError, match="initial weights of this network are unknown"):
        nw.treat(run)
    trained = nw.train(run)
    treatment = nw.treat(trained)
    assert treatment.note.changes.keys() == {"lr"}
    assert isinstance(treatment.note.gains[0], Gain)
    assert treatment.run.scores["accuracy"].value > trained.scores["accuracy"].value
    assert all("width" not in control.edit and "depth" not in control.edit for control in treatment.note.controls)


def test_a_run_trained_in_bf16_elsewhere_is_looked_at_and_treated_in_fp32_where_the_cpu_is_slow_in_it(
    slow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_slow(on: torch.device, _clock: object) -> bool:
        return on.type == "cpu"

    monkeypatch.setattr("netwright.machine.device.is_slow_in_bf16", is_slow)
    run = nw.load(slow)
    moved = replace(reopened(run), recipe=run.recipe.edit({"precision": "bf16"}), folder=None)
    was_bf16: list[bool] = []
    hook = torch.nn.modules.module.register_module_forward_pre_hook(
        lambda *_: was_bf16.append(torch.is_autocast_enabled("cpu"))
    )
    news: list[str] = []
    with hook:
        treatment = nw.treat(moved, seeds=3, show=lambda event: news.append(str(event)))
        nw.diagnose(moved, show=lambda event: news.append(str(event)))
    assert was_bf16
    assert not any(was_bf16)
    assert treatment.run.recipe.precision == "fp32"
    assert sum("slow on this CPU" in line for line in news) == 2
    assert moved.recipe.precision == "bf16"
