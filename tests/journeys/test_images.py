"""A folder of pictures, one subfolder for each label, from files to answers."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn

import netwright as nw
from netwright.models.stems import Floats
from netwright.records.errors import RecipeError
from netwright.records.history import Epoch
from netwright.training.weights import copied

SETTINGS = ("--set", "epochs=3", "--set", "width=8", "--set", "batch_size=32")
LABELS = ("one", "zero")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150 pictures of 8 x 8 pixels, and one more that is cut off."""
    folder = tmp_path_factory.mktemp("data") / "digits"
    data = load_digits()
    chosen = np.flatnonzero(data.target < 2)[:150]
    for number in chosen:
        path = folder / ("zero", "one")[data.target[number]] / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((data.images[number] * 15.9).astype(np.uint8)).save(path)
    whole = path.read_bytes()
    (folder / "zero" / "cut.png").write_bytes(whole[: len(whole) // 2])
    return folder


def test_from_a_folder_to_answers_on_the_command_line(digits: Path, tmp_path: Path, netwright: Callable) -> None:
    run = tmp_path / "run"
    trained = netwright("train", digits, "--run", run, *SETTINGS)
    assert trained.code == 0, trained.err
    assert f"row, the first is {digits}/zero/cut.png" in trained.err
    assert "confusion" not in trained.out
    assert "true / predicted" in trained.out

    told = netwright("evaluate", run, digits, "--json")
    assert json.loads(told.out)["count"] == 150

    answers = list(csv.DictReader(netwright("predict", run, digits).out.splitlines()))
    assert len(answers) == 151
    assert [row["file"] for row in answers if not row["prediction"]] == [f"{digits}/zero/cut.png"]
    assert {row["prediction"] for row in answers} == {*LABELS, ""}

    files = sorted(digits.glob("one/*.png"))[:2]
    few = list(csv.DictReader(netwright("predict", run, *files).out.splitlines()))
    assert [row["file"] for row in few] == [str(file) for file in files]
    alone = list(csv.DictReader(netwright("predict", run, files[1]).out.splitlines()))
    assert [(row["file"], row["prediction"]) for row in alone] == [(str(files[1]), few[1]["prediction"])]

    broken = netwright("predict", run, digits / "zero/cut.png")
    assert broken.code == 0
    assert "1 row cannot be read, the first is" in broken.err
    assert broken.out.splitlines() == ["file,prediction,probability,p_one,p_zero", f"{digits}/zero/cut.png,,,,"]

    assert "Conv2d" in netwright("show", run).out
    assert netwright("weights", run, "--picture", tmp_path / "filters.png").code == 0
    with Image.open(tmp_path / "filters.png") as picture:
        assert min(picture.size) > 10


def test_several_tables_at_once_are_refused(digits: Path, tmp_path: Path, netwright: Callable) -> None:
    run = tmp_path / "run"
    assert netwright("train", digits, "--run", run, *SETTINGS, "--quiet").code == 0
    tables = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for table in tables:
        table.write_text("x\n1\n")
    refused = netwright("predict", run, *tables)
    assert (refused.code, refused.err) == (
        2,
        f"error: {tables[0]} is neither an image nor a text\n"
        "  fix: give images or texts, or one table or folder at a time.\n",
    )


def test_from_pictures_in_memory_to_answers_in_python(digits: Path, tmp_path: Path) -> None:
    data = load_digits()
    rows = data.target < 2
    pixels = (data.images[rows] * 15.9).astype(np.uint8)[:150]
    settings = {"epochs": 2, "width": 8, "precision": "fp32"}
    run = nw.train((pixels, data.target[rows][:150]), settings=settings, folder=tmp_path / "run")
    answers = nw.predict(nw.load(tmp_path / "run"), pixels[:5])
    assert answers.columns[:3] == ["row", "prediction", "probability"]
    assert answers.equals(nw.predict(run, pixels[:5]))  # of as many rows: products of other sizes round otherwise
    files = [str(file) for file in sorted(digits.glob("one/*.png"))[:3]]
    assert nw.predict(run, files)["file"].to_list() == files
    assert nw.weights(run).filters is not None
    assert nw.evaluate(run, (pixels, data.target[rows][:150])).count == 150


def test_an_engineers_convnet_is_taken_as_it_is() -> None:
    data = load_digits()
    x, y = torch.tensor(data.images[:100, None], dtype=torch.float32), torch.tensor(data.target[:100])
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    run = nw.adopt(network, nw.Classification(tuple("0123456789")), [(x[:50], y[:50]), (x[50:], y[50:])])
    assert nw.weights(run).filters is not None
    answers = [run.task.predict(network, batch)["prediction"] for batch in run.train.batches(50, seed=None)]
    assert set(pl.concat(answers)) <= set("0123456789")


def test_an_engineers_convnet_and_tensors_are_trained_and_scored() -> None:
    data = load_digits()
    x, y = torch.tensor(data.images[:, None], dtype=torch.uint8), torch.tensor(data.target)
    network = nn.Sequential(Floats(), nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
    before = copied(network)
    task = nw.Classification(tuple("0123456789"))
    told: list[object] = []
    run = nw.adopt(network, task, (x[:1500], y[:1500]), test_loader=(x[1500:], y[1500:]))
    trained = nw.train(run, settings={"epochs": 4, "lr": 3e-3}, show=told.append)
    assert trained.scores is not None
    assert trained.scores["accuracy"].value > 0.8
    assert told[0].startswith("arithmetic: ")
    assert told[-1] == "all 4 epochs done; there is no validation part, so the last weights are kept"
    assert all(torch.equal(tensor, before[name]) for name, tensor in copied(network).items())
    assert nw.summary(trained).startswith("No simple model was scored.")


def test_changes_found_by_trial_are_told_drawn_and_kept(digits: Path, tmp_path: Path) -> None:
    pixels, labels = _digits_in_memory(digits)
    told: list[object] = []
    run = nw.train(
        (pixels, labels), folder=tmp_path / "run", show=told.append,
        settings={"epochs": 1, "layers": ["flatten", {"dense": 4}], "augment": "auto", "batch_size": 64},
    )  # fmt: skip
    [note] = [text for text in told if "short trainings on" in str(text)]
    assert note in run.notes
    assert "auto" not in run.recipe.augment
    assert nw.load(tmp_path / "run").recipe.augment == run.recipe.augment
    assert (tmp_path / "run" / "augmented.png").exists() == bool(run.recipe.augment)


def test_stopped_training_goes_on_without_a_second_trial(digits: Path, tmp_path: Path) -> None:
    settings = {"epochs": 2, "layers": ["flatten", {"dense": 4}], "augment": "auto", "batch_size": 64}
    told: list[object] = []

    def stop(event: object) -> None:
        told.append(event)
        if isinstance(event, Epoch):
            raise KeyboardInterrupt

    data = _digits_in_memory(digits)
    with pytest.raises(KeyboardInterrupt):
        nw.train(data, folder=tmp_path / "run", settings=settings, show=stop)
    assert any("short trainings on" in str(event) for event in told)
    told.clear()
    run = nw.train(data, folder=tmp_path / "run", settings=settings, show=told.append)
    assert any("interrupted training: resuming it" in str(event) for event in told)
    assert not any("short trainings" in str(event) for event in told)
    assert [epoch.epoch for epoch in run.history.epochs] == [1, 2]


def test_mixed_pictures_train_and_are_drawn(digits: Path, tmp_path: Path) -> None:
    settings = {"epochs": 2, "width": 8, "augment": "flip, cutmix", "batch_size": 32}
    run = nw.train(digits, folder=tmp_path / "run", settings=settings)
    with Image.open(tmp_path / "run" / "augmented.png") as picture:
        assert picture.height > picture.width
    assert all(np.isfinite(epoch.train_loss) for epoch in run.history.epochs)


def test_change_that_suits_no_column_is_an_error_before_training(digits: Path) -> None:
    with pytest.raises(RecipeError, match="augment word_dropout changes text, but the data have only"):
        nw.train(digits, settings={"augment": "word_dropout"})


def _digits_in_memory(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Every picture four times, with noise: enough rows to try changes on."""
    files = sorted(path for path in folder.rglob("*.png") if path.name != "cut.png") * 4
    generator = np.random.default_rng(0)
    pixels = np.stack([np.asarray(Image.open(path)) for path in files]).astype(int)
    noisy = (pixels + generator.integers(-20, 21, pixels.shape)).clip(0, 255).astype(np.uint8)
    return noisy, np.array([path.parent.name for path in files])
