"""Tasks from outside the package go through every stage without a line for them in it."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch
from tests.foreign import boxes, pairs, quantiles

import netwright as nw
from netwright.checks import DATA_CHECKS, MODEL_CHECKS, TRAINING_STAGES
from netwright.records.errors import RunError
from netwright.records.finding import Report
from netwright.stages.runs import reopened

SETTINGS = {
    "epochs": 3,
    "width": 16,
    "batch_size": 32,
    "precision": "fp32",
    "kernels": "torch",
    "compile": "never",
    "threads": 1,
}
CASES = {
    "quantiles": (quantiles.write, quantiles.Quantiles, "y", {}),
    "boxes": (boxes.write, boxes.Boxes, "boxes", {}),
    "pairs": (pairs.write, pairs.Pairs, "answer", {"source": "sequence"}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_task_from_outside_goes_through_every_stage(case: str, tmp_path: Path) -> None:
    write, task, target, kinds = CASES[case]
    data, folder = write(tmp_path), tmp_path / "run"

    _judged(nw.audit(data, target=target, task=task, kinds=kinds), {*DATA_CHECKS, *MODEL_CHECKS})
    run = nw.train(data, target=target, task=task, kinds=kinds, settings=SETTINGS, folder=folder)
    assert run.scores is not None and run.scores.metrics[0].low <= run.scores.metrics[0].value
    assert all(
        metric.higher_is_better == (metric.name in ("coverage", "iou", "count_right", "exact"))
        for metric in run.scores.metrics
    )
    report = nw.diagnose(run)
    _judged(report, {code for stage in TRAINING_STAGES.values() for code in stage})
    codes = [finding.code for finding in report.findings if any(remedy.edit for remedy in finding.remedies)]
    treatment = nw.treat(run, codes[:1], report=report, folder=tmp_path / "treated")
    assert bool(treatment.note.tried) == bool(codes)

    with pytest.raises(RunError, match="allow"):
        nw.load(folder)
    attacked = nw.attack(run, eps=0.1, rows=16)
    assert attacked.measure == "rise of the loss" and attacked.result("union") > 0
    loaded = nw.load(folder, allow_code=True)
    assert loaded.task == run.task
    answers, again = nw.predict(run, data), nw.predict(loaded, data)
    assert answers.equals(again) and len(answers)
    told, rows = list[str](), len(pl.read_csv(data, separator="\t" if case == "pairs" else ","))
    assert nw.evaluate(loaded, data, show=told.append).count == rows - (case == "boxes")
    assert len(told) == (case == "boxes")
    whole = reopened(loaded)
    first, old = next(whole.test.batches(8, seed=None)), next(run.test.batches(8, seed=None))
    assert all(map(torch.equal, first.targets, old.targets))


def test_boxes_are_answered_with_as_many_rows_as_there_are(tmp_path: Path) -> None:
    data = boxes.write(tmp_path)
    run = nw.train(
        data, target="boxes", task=boxes.Boxes, settings={**SETTINGS, "epochs": 15}, audit=False, diagnose=False
    )
    answers = nw.predict(run, data)
    places = answers.to_series(0)
    assert places.n_unique() < len(answers) or places.null_count() < len(answers)
    assert set(answers.columns) >= {"left", "top", "width", "height"}


def test_boxes_follow_the_pictures_that_augmentation_moves(tmp_path: Path) -> None:
    run = nw.train(
        boxes.write(tmp_path),
        target="boxes",
        task=boxes.Boxes,
        settings={**SETTINGS, "epochs": 1, "augment": "shift"},
        audit=False,
        diagnose=False,
    )
    moved = 0
    for batch in run.train.batches(16, seed=3):
        still = run.train.take(batch.rows)
        for row in range(len(batch)):
            for slot in range(int(batch.targets[1][row])):
                box, before = (b.targets[0][row, slot] * boxes.SIDE for b in (batch, still))
                moved += not torch.equal(box, before)
                left, top, width, height = box.round().int().tolist()
                bright = batch.inputs[0][row, 0, top : top + height, left : left + width]
                assert bright.numel() == 0 or (bright == 220).all()
    assert moved > 50


def test_a_decoder_learns_with_its_target_and_answers_without(tmp_path: Path) -> None:
    data = pairs.write(tmp_path)
    run = nw.train(
        data,
        target="answer",
        task=pairs.Pairs,
        kinds={"source": "sequence"},
        settings={**SETTINGS, "epochs": 2},
        audit=False,
        diagnose=False,
    )
    assert not run.baselines
    answers = nw.predict(run, [{"source": "abc"}])
    assert answers["text"].dtype == pl.String


def _judged(report: Report, codes: set[str]) -> None:
    """Each check was made, or says in its own words why it was not."""
    assert {check.code for check in report.checks} == codes
    assert not {check.code: check.skipped for check in report.checks if "bug" in check.skipped}


def test_the_command_line_takes_a_task_by_its_import_path(tmp_path: Path, netwright: Callable) -> None:
    data, run = quantiles.write(tmp_path), tmp_path / "run"
    task = ("--task", "tests.foreign.quantiles:Quantiles")
    words = [word for name, value in (SETTINGS | {"epochs": 1}).items() for word in ("--set", f"{name}={value}")]
    own = ("--set", "crossing=0.5")
    assert netwright("train", data, "-t", "y", *task, "--run", run, *words, *own, "--quiet").code == 0
    assert "[task]\ncrossing = 0.5\n" in (run / "recipe.toml").read_text()
    assert "crossing must be 0 to 10" in netwright("train", data, "-t", "y", *task, "--set", "crossing=11").err
    refused = netwright("predict", run, data)
    assert refused.code == 2 and "--allow-code" in refused.err
    allowed = netwright("predict", run, data, "--allow-code")
    assert allowed.code == 0 and allowed.out.startswith("line,prediction,low,high")
