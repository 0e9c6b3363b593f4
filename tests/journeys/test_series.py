"""Series, in long tables and in memory, from measurements to answers."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import netwright as nw

COUNT, STEPS = 80, 24
SETTINGS = ("--set", "epochs=2", "--set", "width=8", "--set", "depth=1", "--set", "batch_size=16")
WAYS = ("--series", "engine", "--time", "hour")


def waves() -> tuple[np.ndarray, list[str]]:
    """Slow and fast waves with noise: (COUNT, STEPS, 2) and a label for each."""
    generator = np.random.default_rng(0)
    fast = np.arange(COUNT) % 2 == 1
    phase = np.arange(STEPS)[None] * np.where(fast, 2.0, 0.4)[:, None] + generator.random((COUNT, 1)) * 6
    x = np.stack([np.sin(phase), np.cos(phase)], axis=2) + generator.normal(0, 0.2, (COUNT, STEPS, 2))
    return x.astype(np.float32), ["fast" if f else "slow" for f in fast]


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A long table of measurements, and one with a label for each engine."""
    folder = tmp_path_factory.mktemp("data")
    x, labels = waves()
    names = [f"e{n:02}" for n in range(COUNT)]
    long = pl.DataFrame({
        "engine": np.repeat(names, STEPS), "hour": np.tile(np.arange(STEPS), COUNT),
        "heat": x[:, :, 0].ravel(), "sound": x[:, :, 1].ravel(),
    })  # fmt: skip
    long.sample(fraction=1.0, shuffle=True, seed=0).write_csv(folder / "measured.csv")
    pl.DataFrame({"engine": names, "state": labels}).write_csv(folder / "states.csv")
    return folder / "measured.csv", folder / "states.csv"


def test_from_a_long_table_to_answers_on_the_command_line(
    engines: tuple[Path, Path], tmp_path: Path, netwright: Callable
) -> None:
    measured, states = engines
    run = tmp_path / "run"
    trained = netwright(
        "train", measured, *WAYS, "--labels", states, "--target", "state", "--run", run, *SETTINGS
    )  # fmt: skip
    assert trained.code == 0, trained.err
    assert "state: classification into 2 classes" in trained.err
    told = netwright("evaluate", run, measured, "--labels", states, "--json")
    assert json.loads(told.out)["count"] == COUNT
    answers = list(csv.DictReader(netwright("predict", run, measured).out.splitlines()))
    assert len(answers) == COUNT
    assert {row["prediction"] for row in answers} <= {"fast", "slow"}
    assert netwright("predict", run, measured, "--to", tmp_path / "answers.parquet").code == 0
    named = dict(pl.read_parquet(tmp_path / "answers.parquet").select(pl.nth(0), "prediction").iter_rows())
    assert named == {next(iter(row.values())): row["prediction"] for row in answers}
    assert all(f"e{n:02}" in " ".join(named) for n in range(COUNT))
    assert "Conv" in netwright("show", run).out
    assert netwright("weights", run, "--picture", tmp_path / "filters.png").code == 0


def test_from_arrays_to_answers_in_python(tmp_path: Path) -> None:
    x, labels = waves()
    settings = {"epochs": 2, "width": 8, "depth": 1, "batch_size": 16, "precision": "fp32"}
    run = nw.train((x, labels), settings=settings, folder=tmp_path / "run")
    answers = nw.predict(nw.load(tmp_path / "run"), x[:7])
    assert answers.equals(nw.predict(run, x[:7]))  # of as many rows: products of other sizes round otherwise
    assert nw.evaluate(run, (x, labels)).count == COUNT
    assert nw.show(run)


def test_an_engineers_recurrent_network_is_taken_as_it_is() -> None:
    class Last(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = torch.nn.GRU(2, 8, batch_first=True)
            self.head = torch.nn.Linear(8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.cell(x)[0][:, -1])

    x, labels = waves()
    y = torch.tensor([label == "fast" for label in labels]).long()
    torch.manual_seed(0)
    network, loader = Last(), [(torch.tensor(x), y)]
    run = nw.adopt(network, nw.Classification(("slow", "fast")), loader)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    first, last = [
        float(step.losses.mean()) for step in nw.steps(network, loader * 2, run.task.objective(run.recipe), optimizer)
    ]
    assert last < first
