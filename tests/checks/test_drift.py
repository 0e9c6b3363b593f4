from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from netwright.checks.data.drift import Classifier, compare, line, parts_drift, trees_and_line
from netwright.checks.data.encoded import summaries
from netwright.checks.data.new_data import new_data_drift
from netwright.checks.evidence import DataEvidence, Skip
from netwright.data.prepare import prepare
from netwright.data.read import read
from netwright.data.split import split
from netwright.records.features import Summary


def columns(rows: int, seed: int, shift: float = 0.0) -> list[Summary]:
    generator = np.random.default_rng(seed)
    numbers = [Summary(f"x{i}", f"x{i}", generator.normal(size=rows).astype(np.float32)) for i in range(4)]
    moved = replace(numbers[0], values=numbers[0].values + shift)
    return [moved, *numbers[1:], Summary("c", "c", generator.integers(0, 4, rows), tuple("abcd"))]


BOTH = pytest.mark.parametrize("classifier", [trees_and_line, line])


def evidence(frame: pl.DataFrame, target: str = "y", part: str = "part") -> DataEvidence:
    dataset = read(frame, target=target, split=part)
    parts = split(dataset)
    return DataEvidence(dataset, parts, prepare(dataset, parts))


def parted(rows: int = 600) -> pl.DataFrame:
    generator = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "x": generator.normal(size=rows),
            "z": generator.normal(size=rows),
            "y": generator.choice(["a", "b"], rows),
            "part": np.repeat(["train", "valid", "test"], rows // 3),
        }
    )


@BOTH
def test_interval_leaves_alike_sides_in_few_draws(classifier: Classifier):
    found = [compare(columns(200, 2 * seed), columns(100, 2 * seed + 1), seed, classifier).auroc for seed in range(20)]
    assert sum(f.low > 0.5 or f.high < 0.5 for f in found) <= 3


@BOTH
def test_moved_column_is_named_with_shares_that_differ_by_the_true_amount(classifier: Classifier):
    drift = compare(columns(2000, 0), columns(2000, 1, shift=1.0), classifier=classifier)
    first = drift.moved[0]
    assert drift.is_clear
    assert first.column == "x0" and first.event.startswith("x0 above")
    assert first.by.low < 0.383 < first.by.high  # the distance of two normals one spread apart


@BOTH
def test_a_drift_too_small_to_mind_is_none_though_its_interval_is_above_a_half(classifier: Classifier):
    drift = compare(columns(4000, 0), columns(4000, 1, shift=0.2), classifier=classifier)
    assert drift.auroc.low > 0.5
    assert not drift.is_clear


@BOTH
def test_missing_cells_of_one_side_are_an_event(classifier: Classifier):
    old, new = columns(400, 0), columns(400, 1)
    gone = np.where(np.arange(400) % 2 == 0, np.nan, new[1].values)
    drift = compare(old, [new[0], replace(new[1], values=gone), *new[2:]], classifier=classifier)
    assert drift.moved[0].event == "x1 missing"


def test_other_labels_are_found_where_inputs_are_alike():
    frame = parted().with_columns(y=pl.when(pl.col("part") == "test").then(pl.lit("a")).otherwise("y"))
    found = list(parts_drift(evidence(frame)))
    assert [f.title for f in found] == ["other labels in test than in training rows"]
    assert "label a" in found[0].summary


def test_column_that_counts_the_rows_is_no_drift():
    frame = parted().with_row_index("number")
    assert list(parts_drift(evidence(frame))) == []


def test_parts_cut_at_random_are_not_compared():
    dataset = read(parted().drop("part"), target="y")
    parts = split(dataset)
    with pytest.raises(Skip, match="at random"):
        list(parts_drift(DataEvidence(dataset, parts, prepare(dataset, parts))))


def test_few_rows_are_not_judged():
    with pytest.raises(Skip, match="fewer than 40"):
        list(parts_drift(evidence(parted(60))))


def test_numbers_in_other_units_are_named_out_of_range():
    new = parted(300).drop("part", "y").with_columns(pl.col("x") * 1000)
    found = list(new_data_drift(replace(evidence(parted()), against=read(new))))
    assert {f.title for f in found} == {"new values that training never showed", "drift between training and new data"}
    assert all(f.columns[0] == "x" for f in found)


def test_new_data_without_a_column_are_an_error():
    new = read(parted(300).drop("part", "y", "x"))
    [found] = new_data_drift(replace(evidence(parted()), against=new))
    assert found.severity == "error" and "'x'" in found.summary


def test_new_labels_are_found():
    new = parted(300).drop("part").with_columns(y=pl.Series(["a", "a", "c"] * 100))
    titles = [f.title for f in new_data_drift(replace(evidence(parted()), against=read(new)))]
    assert "labels that training never showed" in titles
    assert "other labels in new than in training rows" in titles


def test_darker_pictures_are_named():
    generator = np.random.default_rng(0)
    images = generator.integers(60, 200, (300, 12, 12)).astype(np.uint8)
    images[200:] //= 2
    parts = np.repeat(["train", "valid", "test"], 100)
    frame = pl.DataFrame({"image": images, "y": generator.choice(["a", "b"], 300), "part": parts})
    found = list(parts_drift(evidence(frame)))
    assert len(found) == 1 and found[0].columns == ("image",)
    assert "of image" in found[0].summary


def test_a_word_that_test_texts_hold_is_named():
    generator = np.random.default_rng(0)
    words = ["red", "green", "blue", "old", "new", "house", "tree", "road", "far", "near"]
    texts = [" ".join(generator.choice(words, 9)) + f" {n}" for n in range(360)]
    parts = np.repeat(["train", "valid", "test"], 120)
    texts = [text.replace("red", "tree") if part == "test" else text for text, part in zip(texts, parts, strict=True)]
    frame = pl.DataFrame({"text": texts, "y": generator.choice(["a", "b"], 360), "part": parts})
    found = list(parts_drift(evidence(frame)))
    assert "'red'" in found[0].summary or "'tree'" in found[0].summary


def test_tilt_is_the_angle_of_a_bar():
    side = np.arange(28) - 13.5
    x, y = np.meshgrid(side, -side)
    angles = np.arange(-80, 90, 10)
    across = [np.abs(-np.sin(a) * x + np.cos(a) * y) for a in np.deg2rad(angles)]
    bars = np.stack([np.where((far < 2) & (np.hypot(x, y) < 11), 200, 0).astype(np.uint8) for far in across])
    frame = pl.DataFrame({"image": bars, "y": ["a", "b"] * 8 + ["a"]})
    dataset = read(frame, target="y")
    prepared = prepare(dataset, split(dataset))
    found = summaries(prepared.schema, prepared.whole, np.arange(17))
    tilt = next(c.values for c in found if c.name == "tilt in degrees of image")
    assert np.abs(tilt - angles).max() < 2
