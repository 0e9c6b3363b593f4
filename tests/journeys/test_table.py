"""A table from raw rows to answers, through the command line and through Python."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch
from sklearn.datasets import load_iris
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import netwright as nw
from netwright.records.history import Epoch

SETTINGS = ("--set", "epochs=2", "--set", "members=2", "--set", "width=16")
IN_PYTHON = {"epochs": 3, "members": 2, "width": 16, "precision": "fp32"}


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = load_iris()
    path = tmp_path_factory.mktemp("data") / "iris.csv"
    table = pl.DataFrame(data.data, schema=["sepal length", "sepal width", "petal length", "petal width"])
    names = [str(data.target_names[label]) for label in data.target]
    table.with_columns(pl.Series("name", names)).write_csv(path)
    return path


def test_from_a_table_to_answers_on_the_command_line(iris: Path, tmp_path: Path, netwright: Callable) -> None:
    run = tmp_path / "run"
    trained = netwright("train", iris, "--target", "name", "--run", run, *SETTINGS)
    assert trained.code == 0, trained.err
    assert f"run folder: {run}" in trained.out
    assert "name: classification into 3 classes" in trained.err
    assert {file.name for file in run.iterdir()} == {
        "audit.json", "baselines.json", "diagnosis.json", "digests.json", "history.jsonl", "origin.json",
        "outcome.json", "recipe.toml", "sample.safetensors", "schema.json", "scores.json", "split.json", "task.json",
        "watched.json", "weights.safetensors",
    }  # fmt: skip

    own = netwright("evaluate", run)
    assert own.code == 0
    assert "log_loss" in own.out
    assert f"on {json.loads((run / 'split.json').read_text())['parts']['test']['count']} test rows" in own.out
    scores = json.loads(netwright("evaluate", run, iris, "--json").out)
    assert scores["count"] == 150
    assert scores["metrics"][0]["name"] == "log_loss"

    answers = list(csv.DictReader(netwright("predict", run, iris).out.splitlines()))
    assert [int(row["line"]) for row in answers] == list(range(2, 152))
    assert {row["prediction"] for row in answers} <= {"setosa", "versicolor", "virginica"}
    readers = {".csv": pl.read_csv, ".parquet": pl.read_parquet, ".jsonl": pl.read_ndjson}
    for suffix, read in readers.items():
        written = netwright("predict", run, iris, "--to", tmp_path / f"answers{suffix}")
        assert (written.code, written.out) == (0, "")
        assert "150 rows written" in written.err
        assert read(tmp_path / f"answers{suffix}")["prediction"].to_list() == [row["prediction"] for row in answers]
    cells = iris.read_text().splitlines()
    pairs = zip(cells[0].split(",")[:4], cells[1].split(",")[:4], strict=True)
    row = [word for pair in pairs for word in ("--row", "=".join(pair))]
    one = list(csv.DictReader(netwright("predict", run, *row).out.splitlines()))
    assert [answer["prediction"] for answer in one] == [answers[0]["prediction"]]

    assert "Linear" in netwright("show", run).out
    assert sum(layer["parameters"] for layer in json.loads(netwright("show", run, "--json").out)) > 0
    assert "petal" in netwright("weights", run, "--top", 5).out
    assert len(json.loads(netwright("weights", run, "--top", 5, "--json").out)["connections"]) == 5
    assert netwright("weights", run, "--picture", tmp_path / "x.png").code == 2

    again = netwright("train", iris, "--target", "name", "--recipe", run / "recipe.toml", "--run", tmp_path / "b")
    assert again.code == 0, again.err
    assert (tmp_path / "b/weights.safetensors").read_bytes() == (run / "weights.safetensors").read_bytes()


def test_from_a_table_to_answers_in_python(iris: Path, tmp_path: Path) -> None:
    heard = []
    run = nw.train(iris, target="name", settings=IN_PYTHON, folder=tmp_path / "run", show=heard.append)
    assert sum(isinstance(event, Epoch) for event in heard) == 3
    assert run.scores == nw.evaluate(nw.load(tmp_path / "run"))
    assert nw.summary(run).startswith(("The network", "The linear model", "Boosted trees"))
    new = pl.read_csv(iris).drop("name")
    answers = nw.predict(run, new, to=tmp_path / "answers.parquet")
    assert answers.equals(nw.predict(nw.load(tmp_path / "run"), new))
    assert answers.equals(pl.read_parquet(tmp_path / "answers.parquet"))
    assert nw.predict(run, new.row(0, named=True))["prediction"][0] == answers["prediction"][0]
    assert sum(layer.parameters for layer in nw.show(run)) == sum(p.numel() for p in run.network.parameters())
    learned = nw.weights(run, top=3)
    assert len(learned.connections) == 3
    assert learned.filters is None


def test_an_engineers_network_and_loaders_are_taken_as_they_are() -> None:
    data = load_iris()
    rows = TensorDataset(torch.tensor(data.data, dtype=torch.float32), torch.tensor(data.target))
    generator = torch.Generator().manual_seed(0)
    train = DataLoader(rows, batch_size=30, shuffle=True, generator=generator)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    task = nw.Classification(("setosa", "versicolor", "virginica"))
    run = nw.adopt(network, task, train, DataLoader(rows, batch_size=75))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    objective = task.objective(nw.Recipe())
    losses = [float(s.losses.mean()) for _ in range(2) for s in nw.steps(network, train, objective, optimizer)]
    assert len(losses) == 10
    assert losses[-1] < losses[0]
    assert run.recipe.batch_size == 30
    assert (len(run.train), len(run.valid), len(run.test)) == (150, 150, 0)
    assert [layer.shape for layer in nw.weights(run).layers] == [(16, 4), (3, 16)]


def test_a_training_stopped_by_ctrl_c_goes_on_to_the_same_weights(iris: Path, tmp_path: Path) -> None:
    def stop(event: object) -> None:
        if isinstance(event, Epoch) and event.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nw.train(iris, target="name", settings=IN_PYTHON, folder=tmp_path / "stopped", show=stop)
    assert not (tmp_path / "stopped/weights.safetensors").exists()
    heard = []
    resumed = nw.train(iris, target="name", settings=IN_PYTHON, folder=tmp_path / "stopped", show=heard.append)
    whole = nw.train(iris, target="name", settings=IN_PYTHON)
    assert [event.epoch for event in heard if isinstance(event, Epoch)] == [3]
    theirs = whole.network.state_dict()
    assert all(torch.equal(weight, theirs[name]) for name, weight in resumed.network.state_dict().items())
    assert resumed.scores == whole.scores


def test_settings_are_explained(netwright: Callable) -> None:
    told = netwright("recipe")
    assert told.code == 0
    assert all(f"{name} " in told.out for name in ("lr", "batch_size", "seed"))
    [lr] = json.loads(netwright("recipe", "lr", "--json").out)
    assert (lr["name"], lr["eight"]) == ("lr", True)
    wrong = netwright("recipe", "batchsize")
    assert (wrong.code, wrong.err) == (2, "error: there is no setting 'batchsize'\n  fix: did you mean 'batch_size'?\n")
