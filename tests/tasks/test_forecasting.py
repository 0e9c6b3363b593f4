import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

import netwright as nw
from netwright.data.mapped import Column, gathered
from netwright.data.prepare import Prepared, prepare
from netwright.data.read import read_source
from netwright.data.split import split
from netwright.models.guards import builder, network_of
from netwright.records.batch import Batch
from netwright.records.errors import DataError, RecipeError
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.records.source import Source
from netwright.tasks.forecasting import Forecasting
from netwright.tasks.least_squares import least_squares
from netwright.tasks.repeated import drawn

START = datetime(2024, 1, 1)
SETTINGS = {
    "epochs": 6, "width": 16, "lr": 3e-3, "precision": "fp32", "kernels": "torch", "compile": "never", "threads": 1,
}  # fmt: skip
TASK = "forecasting:6,lags=48"


def _hours(count: int = 900, scale: float = 1.0) -> pl.DataFrame:
    """A trend, a day and noise; `z` has another unit."""
    steps, generator = np.arange(count), np.random.default_rng(0)
    y = 20 + 0.01 * steps + 5 * np.sin(steps * 2 * np.pi / 24) + generator.normal(size=count) * 0.5
    times = [START + timedelta(hours=k) for k in range(count)]
    return pl.DataFrame({"at": times, "y": y * scale, "z": 1000 * np.cos(steps * 2 * np.pi / 24) + steps})


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hours") / "hours.csv"
    _hours().write_csv(path)
    return path


@pytest.fixture(scope="module")
def run(table: Path) -> Run:
    return nw.train(table, target="y", time="at", task=TASK, drop="z", settings=SETTINGS, folder=table.parent / "run")


def _prepared(frame: pl.DataFrame) -> Prepared:
    source = Source(frame, ("y",), time="at", task=TASK)
    dataset = read_source(source)
    return prepare(dataset, split(dataset, source), source)


def test_the_network_beats_the_last_value_and_the_constant(run: Run) -> None:
    assert run.scores is not None
    baselines = dict(run.baselines)
    names = ["last value", "one season before", "profile of the last seasons", "ridge on the past", "boosted trees"]
    assert list(baselines) == ["constant", *names]
    for name in ("constant", "last value"):
        lead = baselines[name].lead
        assert lead is not None and lead.low > 0
    names = ["mase", "mae", "rmse", "weighted_quantile_loss", "coverage"]
    assert [metric.name for metric in run.scores.metrics] == [*names, "mase_step_1", "mase_step_6"]
    assert [metric.name for metric in run.scores.metrics if metric.higher_is_better] == ["coverage"]
    assert run.scores["mase_step_1"].value < run.scores["mase"].value
    assert 0.5 < run.scores["coverage"].value <= 1
    assert "off by" in run.task.plainly(run.scores, "rows")


def test_simple_forecasts_repeat_the_last_value_and_the_season(run: Run) -> None:
    (task,) = [run.task]
    batch = run.test.take(run.test.rows[:5])
    rules = task.rules(run.train)
    assert isinstance(task, Forecasting)
    past = (batch.inputs[0].double() - task.means[0]) / task.scales[0]
    middle = task.levels.index(0.5)
    last, season = (rules[name](batch) for name in ("last value", "one season before"))
    assert isinstance(last, torch.Tensor) and isinstance(season, torch.Tensor)
    assert torch.allclose(last[..., middle].double(), past[:, -1:].expand(-1, 6, -1), atol=1e-4)
    assert torch.allclose(season[..., middle].double(), past[:, 24:30], atol=1e-4)
    assert bool((last.diff(dim=3) >= 0).all())


def test_parts_follow_each_other_in_time_and_share_no_predicted_row() -> None:
    prepared = _prepared(_hours())
    spans = [part.spans for part in (prepared.train, prepared.valid, prepared.test)]
    ends = [(int(span[:, 0].min()), int(span[:, 1].max())) for span in spans if span is not None]
    assert ends[0][1] <= ends[1][0] and ends[1][1] <= ends[2][0]
    assert ends[2][1] == 900


def test_a_future_that_changes_changes_nothing_that_is_learned_before_it() -> None:
    frame = _hours()
    before = _prepared(frame)
    assert before.valid.spans is not None
    cut = int(before.valid.spans[:, 0].min())
    after = _prepared(frame.with_columns(y=pl.when(pl.int_range(pl.len()) < cut).then("y").otherwise(1e4)))
    assert before.task == after.task and before.schema == after.schema
    old, new = (prepared.train.take(prepared.train.rows) for prepared in (before, after))
    assert torch.equal(old.inputs[0], new.inputs[0]) and torch.equal(old.targets[0], new.targets[0])
    first = before.valid.rows[:1]
    assert torch.equal(before.valid.take(first).inputs[0], after.valid.take(first).inputs[0])


def test_answers_are_the_next_steps_in_the_units_of_the_target(run: Run, table: Path) -> None:
    answers = nw.predict(run, table)
    assert answers.columns[:4] == ["line", "step", "at", "prediction"]
    assert answers["step"].to_list() == [1, 2, 3, 4, 5, 6]
    assert answers["at"].to_list() == [START + timedelta(hours=900 + k) for k in range(6)]
    steps = np.arange(900, 906)
    expected = 20 + 0.01 * steps + 5 * np.sin(steps * 2 * np.pi / 24)
    assert np.abs(answers["prediction"].to_numpy() - expected).max() < 3
    assert (np.diff(answers.select(pl.col("^q.*$")).to_numpy()) >= 0).all()
    loaded = nw.load(table.parent / "run")
    assert loaded.task == run.task
    assert answers.equals(nw.predict(loaded, table))
    assert nw.evaluate(loaded, table).count == 900 - 53


def test_audit_and_diagnosis_judge_it_or_say_what_they_leave_out(run: Run, table: Path) -> None:
    report = nw.audit(table, target="y", time="at", task=TASK, drop="z")
    assert not [finding for finding in report.findings if finding.severity == "error"]
    told = str(nw.diagnose(nw.load(table.parent / "run")))
    assert "not checked" in told and "error" not in told.replace("errors", "")


def test_several_series_and_targets_are_answered_one_below_the_other(tmp_path: Path) -> None:
    tables = [_hours(300, scale).with_columns(shop=pl.lit(name)) for name, scale in (("b", 1.0), ("a", 2.0))]
    pl.concat(tables).sample(fraction=1, shuffle=True, seed=0).write_csv(tmp_path / "shops.csv")
    said = {"target": ("y", "z"), "series": "shop", "time": "at", "task": "forecasting:2,lags=24,quantiles=0.1/0.5/0.9"}
    run = nw.train(tmp_path / "shops.csv", settings=SETTINGS | {"epochs": 1}, audit=False, **said)
    assert run.scores is not None and len(run.scores.metrics) == 7
    new = pl.concat([tables[0].with_columns(shop=pl.lit("c"))[-10:], tables[1]])
    answers = nw.predict(run, new.drop("z").with_columns(z=pl.lit(5.0)))
    assert answers["shop"].to_list() == ["a"] * 4 + ["c"] * 4
    assert answers["target"].to_list() == ["y", "z"] * 4
    assert answers["step"].to_list() == [1, 1, 2, 2] * 2
    assert answers.columns[-3:] == ["q0.1", "q0.5", "q0.9"]
    assert answers.select(pl.col(pl.Float64).is_finite().all()).row(0) == (True,) * 4
    with pytest.raises(DataError, match="no column 'z'"):
        nw.predict(run, new.drop("z"))


def test_the_command_line_trains_and_predicts(table: Path, tmp_path: Path, netwright: Callable) -> None:
    settings = [word for name, value in (SETTINGS | {"epochs": 1}).items() for word in ("--set", f"{name}={value}")]
    words = ("--task", TASK, "--time", "at", "--target", "y", "--drop", "z", "--run", tmp_path / "run", "--no-audit")
    trained = netwright("train", table, *words, *settings)
    assert trained.code == 0, trained.err
    assert "one season before" in trained.out
    predicted = netwright("predict", tmp_path / "run", table, "--to", tmp_path / "next.jsonl")
    assert predicted.code == 0, predicted.err
    lines = [json.loads(line) for line in (tmp_path / "next.jsonl").read_text().splitlines()]
    assert len(lines) == 6 and lines[0]["q0.1"] <= lines[0]["prediction"] <= lines[0]["q0.9"]


def test_a_perfect_forecast_loses_nothing_and_a_bad_setting_is_refused(run: Run) -> None:
    task = run.task
    batch = run.test.take(run.test.rows[:4])
    perfect = batch.targets[0][..., None].expand(-1, -1, -1, 9)
    score = task.score()
    score.add(perfect, batch)
    assert score.quick() == {
        "loss": 0, "mase": 0, "mae": 0, "rmse": 0, "weighted_quantile_loss": 0, "coverage": 1,
    }  # fmt: skip
    with pytest.raises(nw.NetwrightError, match="needs"):
        score.add(perfect[:, :3], Batch(batch.inputs, batch.targets, batch.rows))
    for change in ({"members": 2}, {"backbone": "convnet"}):
        with pytest.raises(RecipeError):
            task.network(run.schema, Recipe().edit(change))
    for change in ({"loss": "mse"}, {"class_weights": "balanced"}):
        with pytest.raises(RecipeError):
            task.objective(Recipe().edit(change))


def test_a_target_that_never_changes_and_no_target_are_refused() -> None:
    frame = _hours(300)
    for bad, match in (({"y": 1.0}, "never changes"), ({}, "target")):
        source = Source(frame.with_columns(**{k: pl.lit(v) for k, v in bad.items()}), ("y",) if bad else (), time="at")
        with pytest.raises(DataError, match=match):
            _ = nw.train(
                source.data, target=source.target, time="at", task="forecasting:4", settings=SETTINGS, audit=False
            )


def test_the_network_starts_as_ridge_regression_and_is_kept_unless_training_betters_it(table: Path) -> None:
    settings = SETTINGS | {"epochs": 1, "lr": 1e-7}
    run = nw.train(table, target="y", time="at", task=TASK, drop="z", settings=settings, audit=False, diagnose=False)
    assert run.scores is not None
    ridge = dict(run.baselines)["ridge on the past"]
    assert abs(run.scores["mae"].value - ridge["mae"].value) < 0.03 * ridge["mae"].value


def test_what_a_network_starts_at_is_fitted_once() -> None:
    prepared, calls = _prepared(_hours(300).drop("z")), list[int]()
    columns = [partial(_counted, column, calls) for column in prepared.train.columns]  # type: ignore[attr-defined]  # in memory
    train = replace(prepared.train, columns=tuple(columns))  # type: ignore[type-var]  # in memory
    recipe = Recipe(width=8, depth=1, backbone="mlp")
    build = builder(prepared.task, prepared.schema, recipe, train)
    first, reads = build().state_dict(), len(calls)
    again = build().state_dict()
    assert reads > 0 and len(calls) == reads
    plain = network_of(prepared.task, prepared.schema, recipe, prepared.train).state_dict()
    assert all(torch.equal(first[name], again[name]) and torch.equal(first[name], plain[name]) for name in plain)


def _counted(column: Column, calls: list[int], rows: Tensor) -> Tensor:
    calls.append(len(rows))
    return gathered(column, rows)


def test_the_latest_windows_choose_the_fit_whatever_the_names_of_series() -> None:
    """The last series never changes: its errors are 0, and say nothing of the others."""
    count = 150
    noise = np.random.default_rng(0).normal(size=(4, count))
    noise[3] = 0
    rows = [
        {"id": "abcd"[k], "at": START + timedelta(days=day), "y": 10 + float(noise[k, day])}
        for k in range(4) for day in range(count)
    ]  # fmt: skip
    source = Source(pl.DataFrame(rows), ("y",), series="id", time="at", task="forecasting:3,lags=14")
    dataset = read_source(source)
    prepared = prepare(dataset, split(dataset, source), source)
    task = prepared.task
    assert isinstance(task, Forecasting)
    windows = drawn(prepared.train, task._history(), is_relative=True)  # pyright: ignore[reportPrivateUsage]
    assert bool((windows.moments.diff() >= 0).all()) and len(windows) == len(prepared.train)
    fit = least_squares(windows, task.season, task.levels)
    assert float((fit.errors[:, -1] - fit.errors[:, 0]).min()) > 1.0


def test_answers_stop_at_the_asked_horizon_and_say_what_suffices(run: Run, table: Path) -> None:
    whole = nw.predict(run, table)
    answers = nw.predict(run, table, horizon=2, service_level=0.95)
    assert answers["step"].to_list() == [1, 2]
    assert answers.drop("enough_0.95").equals(whole[:2])
    assert (answers["enough_0.95"] > answers["q0.9"]).all()
    with pytest.raises(RecipeError, match="6 steps ahead, not 30"):
        nw.predict(run, table, horizon=30)


def test_counts_stay_whole_and_not_below_zero(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    sales = generator.poisson(0.6 + 0.5 * np.sin(np.arange(400) * 2 * np.pi / 7))
    frame = pl.DataFrame(
        {"day": pl.date_range(START.date(), START.date() + timedelta(days=399), eager=True), "y": sales}
    )
    run = nw.train(frame, target="y", time="day", task="forecasting:7", settings=SETTINGS | {"epochs": 2}, audit=False)
    answers = nw.predict(run, frame, service_level=0.95).select(pl.col("^(prediction|q.*|enough.*)$"))
    assert set(answers.dtypes) == {pl.Int64} and answers.width == 11
    assert (answers.to_numpy() >= 0).all()


def test_a_page_draws_the_past_and_the_forecast_and_other_tasks_refuse_it(
    run: Run, table: Path, tmp_path: Path
) -> None:
    nw.predict(run, table, page=tmp_path / "next.html")
    text = (tmp_path / "next.html").read_text()
    assert text.count("<figure") == 1 and "steps from the last known" in text and "forecast" in text
    (chart,) = run.task.drawn(run.network, run.test.take(run.test.rows[:1]))
    assert len(chart.places) == 18 + 6 and chart.places[-1] == 6
    frame = pl.DataFrame({"x": range(40), "y": ["a", "b"] * 20})
    other = nw.train(frame, target="y", settings={"epochs": 1}, audit=False, diagnose=False)
    with pytest.raises(DataError, match="draws no page"):
        nw.predict(other, frame.drop("y"), page=tmp_path / "other.html")


def test_lags_that_are_said_apart_win() -> None:
    prepared = read_source(Source(_hours(), ("y",), time="at", task=TASK, drop=("z",), lags=30))
    assert prepared.mapped["past"].arrays[0].shape[1:] == (30, 1)


def test_a_series_that_hardly_moves_does_not_outweigh_the_others() -> None:
    prepared = _prepared(_hours())
    task = prepared.task
    assert isinstance(task, Forecasting)
    cells = np.zeros((3, 30, 2), np.float32)
    cells[:, :, 1] = np.array([1e-6, np.nan, 4.0])[:, None]
    own = task.encode(pl.DataFrame({"y": cells}))[1][:, 0] * task.scales[0]
    assert own.tolist() == pytest.approx([task.least[0], task.repeats[0], 4.0], rel=1e-5)
    assert 0 < task.least[0] < task.repeats[0]
