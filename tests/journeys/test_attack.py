"""From a trained run to what an adversary can do to it, through the command line and through Python."""

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
from netwright.records.errors import DataError, RecipeError

PLAIN = {
    "epochs": 8, "batch_size": 64, "lr": 3e-3, "precision": "fp32", "kernels": "torch", "compile": "never",
    "threads": 1, "adapt": False, "augment": "none",
}  # fmt: skip


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of a small convnet on digits."""
    digits = load_digits()
    data = tmp_path_factory.mktemp("data") / "digits"
    for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        (data / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 255 / 16).astype(np.uint8)).save(data / str(label) / f"{number}.png")
    folder = data.with_name("run")
    settings = {
        **PLAIN,
        "layers": '[{"conv": 16}, "relu", {"pool": 2}, {"conv": 16}, "relu", "flatten", {"dense": 32}, "relu"]',
    }
    nw.train(data, settings=settings, folder=folder, audit=False, diagnose=False)
    return folder


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> nw.Run:
    """A price by rooms, age and size; the number of rooms is whole."""
    chance = np.random.default_rng(0)
    rooms, age, size = chance.integers(1, 8, 600), chance.uniform(0, 50, 600).round(1), chance.normal(100, 20, 600)
    price = 30 * rooms - 2 * age + 0.5 * size + chance.normal(0, 5, 600) + 200
    table = pl.DataFrame({"rooms": rooms, "age": age, "size": size, "price": price})
    return nw.train(table, target="price", settings={**PLAIN, "width": 32}, audit=False, diagnose=False)


def test_pictures_are_attacked_with_one_command(pictures: Path, tmp_path: Path, netwright: Callable) -> None:
    drawn, page = tmp_path / "attack.png", tmp_path / "attack.html"
    words = ["--eps", "0.15", "--rows", "100", "--picture", str(drawn), "--page", str(page)]
    code, out = (done := netwright("attack", str(pictures), *words)).code, done.out
    assert code == 1  # the attack surface is a finding
    assert "under every attack tried" in out and "NW510  attack surface" in out
    assert "Robust accuracy" not in out  # only --full may say so
    kept = json.loads((pictures / "robustness.json").read_text())
    assert kept["levels"][0]["union"]["value"] < 0.4 < 0.9 < kept["clean"]["value"]
    assert not [f["code"] for f in kept["report"]["findings"] if f["code"] != "NW510"]
    with Image.open(drawn) as picture:
        assert picture.width > 200
    assert "attack surface" in page.read_text() and "data:image/" in page.read_text()
    again = nw.load(pictures).results["robustness"]
    assert again.result("union") == kept["levels"][0]["union"]["value"]


def test_a_larger_reach_leaves_fewer_answers_right_and_a_wanted_label_is_reached(pictures: Path) -> None:
    found = nw.attack(pictures, eps=(0.05, 0.3), target_class="8", rows=100)
    assert found.result("union", 0) > found.result("union", 1)
    (wanted,) = found.levels[1].targeted
    assert wanted.name == "8 is reached" and wanted.value > 0.5
    assert found.curve is not None and min(found.curve.values[0]) == 0.0


def test_strength_counts_changes_that_a_person_would_not_notice(pictures: Path) -> None:
    weak, strong = (nw.attack(pictures, strength=s, rows=64, method="pgd").result("union") for s in (0.5, 6))
    assert weak > 0.8 > strong


def test_a_regression_is_asked_how_far_its_answer_moves(houses: nw.Run) -> None:
    near, far = (nw.attack(houses, eps=eps, rows=64) for eps in (0.05, 0.2))
    assert near.measure == "change of the answer" and not near.is_share
    assert 2 < near.result("union") < far.result("union")
    assert near.result("union") >= near.result("noise")
    fixed = nw.attack(houses, eps=0.2, rows=64, immutable=("rooms", "age"))
    assert 0 < fixed.result("union") < far.result("union") / 3
    assert "causes a change of the answer of" in str(far)


def test_an_own_network_is_attacked_within_the_range_of_its_inputs() -> None:
    x, y = load_digits(return_X_y=True)
    inputs, labels = torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(inputs[:1200]), labels[:1200]).backward()
        optimizer.step()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    task = nw.Classification(tuple("0123456789"))
    run = nw.adopt(network, task, (inputs[:1200], labels[:1200]), test_loader=(inputs[1200:], labels[1200:]))
    with pytest.raises(DataError, match="range of this network's own inputs is not known"):
        nw.attack(run, eps=0.1)
    found = nw.attack(run, eps=0.1, bounds=(0, 1), rows=100)
    assert found.result("clean") > 0.85 > 0.5 > found.result("union")
    assert network.training  # its mode came back
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not [finding for finding in found.report.findings if finding.code != "NW510"]
    usual = nw.attack(run, bounds=(0, 1), rows=50, method="pgd")
    assert "each value by up to 0.0313725 of its range" in usual.reach  # 8 of 255
    assert found.result("union") < usual.result("union")


@pytest.mark.parametrize(
    ("words", "error", "told"),
    [
        ({"eps": 1.5}, RecipeError, "beyond the input range"),
        ({"eps": "a lot"}, RecipeError, "eps must be numbers"),
        ({"strength": 0.0}, RecipeError, "must be above 0"),
        ({"method": "magic"}, RecipeError, "there is no attack 'magic'"),
        ({"target_class": "cat"}, DataError, "'cat' is no label of this run"),
        ({"immutable": "colour"}, DataError, "there is no column 'colour'"),
        ({"bounds": (0, 1, 2)}, RecipeError, "bounds are two numbers"),
    ],
)
def test_what_cannot_be_asked_is_said(
    pictures: Path, words: dict[str, object], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        nw.attack(pictures, **words)


def test_nothing_to_change_is_an_error(houses: nw.Run) -> None:
    with pytest.raises(DataError, match="all 3 columns are immutable"):
        nw.attack(houses, immutable="rooms,age,size")


def test_generated_answers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(["the cat sat on the mat", "a dog ran in the park"] * 30))
    run = nw.train(path, settings={**PLAIN, "epochs": 1, "width": 8, "depth": 1}, audit=False, diagnose=False)
    with pytest.raises(DataError, match="generates its answers"):
        nw.attack(run)
