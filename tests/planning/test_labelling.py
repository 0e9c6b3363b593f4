"""Which rows to label next: doubted ones, no two alike, of tables, folders and arrays."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import netwright as nw
from netwright.data.prepare import prepare
from netwright.data.read import read
from netwright.data.split import Split
from netwright.planning.quick import quick_runs
from netwright.records.errors import DataError
from netwright.training.evaluate import evaluate

SETTINGS = {"epochs": 20, "width": 16, "depth": 1, "batch_size": 16, "lr": 1e-2, "precision": "fp32"}


def line(labels: list[object]) -> tuple[np.ndarray, list[object]]:
    """Rows on a line from -1 to 1 whose label changes at 0."""
    return np.linspace(-1, 1, len(labels))[:, None] * np.ones(2), labels


def test_rows_near_the_border_between_classes_come_first() -> None:
    labels = ["low" if n < 100 else "high" for n in range(200)]
    hidden = [label if n % 5 == 0 else None for n, label in enumerate(labels)]
    table = nw.next_labels(line(hidden), count=5, settings=SETTINGS)
    rows = [int(place.removeprefix("array, row ")) for place in table["place"]]
    assert all(n % 5 for n in rows)
    assert len(set(rows)) == 5
    assert abs(rows[0] - 100) < 15
    assert table["reason"][0].startswith("between '")
    assert table["uncertainty"].is_between(0, 1).all()


def test_copies_of_a_doubted_row_are_not_listed_beside_it() -> None:
    x = np.concatenate([np.linspace(-1, 1, 60), np.full(60, 0.01), np.linspace(-0.3, 0.3, 60)])[:, None] * np.ones(2)
    labels = ["low" if n < 30 else "high" for n in range(60)] + [None] * 120
    table = nw.next_labels((x, labels), count=10, settings=SETTINGS)
    copies = [place for place in table["place"] if 60 <= int(place.split()[-1]) < 120]
    assert len(copies) <= 1


def test_numbers_are_asked_for_where_networks_disagree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.linspace(0, 10, 120)
    y = [f"{np.sin(value):.4f}" if n % 2 else "" for n, value in enumerate(x)]
    pl.DataFrame({"x": x, "z": x[::-1], "y": y}).write_csv(tmp_path / "waves.csv")
    table = nw.next_labels(
        tmp_path / "waves.csv", target="y", count=7, settings=SETTINGS, to=tmp_path / "next.csv"
    )  # fmt: skip
    assert pl.read_csv(tmp_path / "next.csv")["place"].to_list() == table["place"].to_list()
    lines = [int(place.removeprefix(f"{tmp_path / 'waves.csv'}, line ")) for place in table["place"]]
    assert all(number % 2 == 0 for number in lines)
    assert table["prediction"].dtype == pl.Float64
    assert table["reason"][0].startswith("answers from ")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    chance = np.random.default_rng(0)
    for n in range(60):
        label = ("dark", "light", "Unlabeled")[n % 3]
        (tmp_path / "photos" / label).mkdir(parents=True, exist_ok=True)
        pixels = chance.integers(0, 100, (8, 8)) + (0 if label == "dark" else 150 if label == "light" else 75)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photos" / label / f"{n}.png")
    return tmp_path / "photos"


def test_files_that_wait_for_a_label_are_no_class_and_are_ranked(photos: Path) -> None:
    dataset = read(photos)
    assert set(dataset.table["label"]) == {"dark", "light"}
    assert any("20 files in Unlabeled without a label left out" in note for note in dataset.notes)
    table = nw.next_labels(photos, count=100, settings={"epochs": 2, "width": 8, "depth": 1, "precision": "fp32"})
    assert sorted(table["place"]) == sorted(str(file) for file in (photos / "Unlabeled").iterdir())


def test_parts_of_a_folder_may_have_rows_without_labels_beside_them(photos: Path) -> None:
    for part in ("train", "test"):
        for label in ("dark", "light"):
            (photos / part / label).mkdir(parents=True)
            for n, file in enumerate(sorted((photos / label).glob("*.png"))):
                if (n % 2 == 0) == (part == "train"):
                    (photos / part / label / file.name).write_bytes(file.read_bytes())
    dataset = read(photos)
    assert len(dataset) == 40
    assert sum("Unlabeled" in note for note in dataset.notes) == 1


def test_data_without_rows_to_label_say_so(photos: Path) -> None:
    with pytest.raises(DataError, match="array has no row without a 'target'"):
        nw.next_labels(line(["a", "b"] * 20))
    for file in (photos / "Unlabeled").iterdir():
        file.unlink()
    (photos / "Unlabeled").rmdir()
    with pytest.raises(DataError, match="has no folder of files without a label"):
        nw.next_labels(photos)


@pytest.mark.slow
def test_labelling_the_listed_rows_gives_a_better_network_than_labelling_others() -> None:
    x, y = load_digits(return_X_y=True)
    settings = {
        "epochs": 60, "lr": 3e-3, "width": 64, "depth": 2, "batch_size": 16, "embedding": "none", "precision": "fp32",
    }  # fmt: skip
    dataset, test = read((x, y)), np.arange(1200, len(x))

    def accuracy(rows: np.ndarray) -> float:
        prepared = prepare(dataset, Split(np.sort(rows), np.sort(rows), test, ""))
        runs = quick_runs(prepared, settings, (0, 1, 2), lambda _: None)
        return float(np.mean([evaluate(r.network, r.task, r.test, r.recipe).quick()["accuracy"] for r in runs]))

    gains = list[float]()
    for seed in range(3):
        chance = np.random.default_rng(seed)
        order = chance.permutation(1200)
        labelled, pool = order[:60], order[60:]
        hidden = [str(y[n]) if n in set(labelled.tolist()) else None for n in range(1200)]
        table = nw.next_labels((x[:1200], hidden), count=60, seed=seed, settings=settings)
        chosen = np.array([int(place.split()[-1]) for place in table["place"]])
        at_random = accuracy(np.concatenate([labelled, chance.permutation(pool)[:60]]))
        gains.append(accuracy(np.concatenate([labelled, chosen])) - at_random)
    assert np.mean(gains) > 0.01, gains
