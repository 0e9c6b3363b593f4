from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from netwright.checks.data.duplicates import duplicate_rows
from netwright.checks.data.near import joined, near
from netwright.checks.data.repeats import hashed, repeats
from netwright.checks.evidence import DataEvidence
from netwright.data.prepare import prepare
from netwright.data.read import read
from netwright.data.split import split


def evidence(frame: pl.DataFrame) -> DataEvidence:
    dataset = read(frame, target="y")
    parts = split(dataset)
    return DataEvidence(dataset, parts, prepare(dataset, parts))


def smooth(count: int = 80, side: int = 20) -> NDArray[np.float64]:
    """Pictures with objects and texture in front of a black ground."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side]
    found = np.zeros((count, side, side))
    for picture in found:
        for _ in range(6):
            cy, cx = rng.uniform(6, side - 6, 2)
            picture += rng.uniform(30, 90) * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / rng.uniform(1, 8))
    return found.clip(0, 255)


def pairs_of(pictures: NDArray[np.float64]) -> set[tuple[int, ...]]:
    frame = pl.DataFrame({"x": pictures.round().astype(np.uint8), "y": [n % 2 for n in range(len(pictures))]})
    return {tuple(pair) for pair in near(evidence(frame)).pairs.tolist()}


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x[:, :, ::-1],
        lambda x: np.roll(x, 1, axis=1),
        lambda x: np.roll(x, (2, -1), axis=(1, 2)),
        lambda x: x * 0.7 + 20,
    ],
    ids=["mirrored", "moved by one", "moved by two", "brighter"],
)
def test_changed_pictures_are_found_and_no_others(change: Callable[[NDArray[np.float64]], NDArray[np.float64]]):
    pictures = smooth()
    assert pairs_of(np.concatenate([pictures, change(pictures[:4])])) == {(n, 80 + n) for n in range(4)}


def test_pictures_without_copies_have_none():
    assert pairs_of(smooth()) == set()


def test_a_text_with_a_changed_word_is_found():
    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{n}" for n in rng.integers(0, 500, 20)) for _ in range(200)]
    edited = [text.replace(text.split()[7], "other", 1) for text in texts[:5]]
    frame = pl.DataFrame({"x": [*texts, *edited], "y": [n % 2 for n in range(205)]})
    assert {tuple(pair) for pair in near(evidence(frame)).pairs.tolist()} == {(n, 200 + n) for n in range(5)}


PHRASES = ("this is one of {}'s best films", "not worth the price of admission for {}", "you get what you pay for, {}")


def test_texts_that_share_one_phrase_are_no_copies():
    rng = np.random.default_rng(0)
    words = rng.zipf(1.5, (3000, 12)) % 900
    told = [phrase.format(f"name{n}") for phrase in PHRASES for n in range(20)]
    used = " ".join(PHRASES).replace("'", " ").replace(",", "").split()
    others = [" ".join([*(f"w{n}" for n in row), *rng.choice(used, 4)]) for row in words]
    frame = pl.DataFrame({"x": [*others, *told], "y": [n % 2 for n in range(len(others) + len(told))]})
    assert not [pair for pair in near(evidence(frame)).pairs.tolist() if min(pair) >= len(others)]


def test_texts_are_equal_without_regard_to_case_and_blanks():
    one, other = hashed(pl.Series(["A  word \n", "a word"]))
    assert one == other


def test_equal_rows_of_few_values_are_natural():
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({name: rng.integers(0, 5, 2000) for name in ("a", "b", "c", "d", "y")})
    found = repeats(evidence(frame))
    assert found.pairs > 100 and found.are_natural
    assert found.chance == pytest.approx(found.pairs, rel=0.5)
    assert not [*duplicate_rows(evidence(frame))]


def test_a_column_that_numbers_the_rows_does_not_hide_copies():
    x = np.random.default_rng(0).normal(size=100)
    frame = pl.DataFrame({"id": range(200), "x": [*x, *x], "y": [n % 2 for n in range(100)] * 2})
    (finding,) = duplicate_rows(evidence(frame))
    assert len(finding.rows) == 100 and len(finding.fixes) == 100


def test_labels_of_pairs_are_joined_over_chains():
    rows = np.array([2, 5, 7, 9])
    assert joined(rows, rows, np.array([[7, 9], [5, 7]])).tolist() == [2, 5, 5, 5]


def test_odd_data_are_read_without_an_error():
    frames = [
        pl.DataFrame({"x": [None] * 9 + [1.0], "z": [1.5] * 10, "y": [0, 1] * 5}),
        pl.DataFrame({"x": [[1.0, 2.0]] * 10, "y": [0, 1] * 5}),
    ]
    for frame in frames:
        dataset = read(frame, target="y")
        assert repeats(DataEvidence(dataset)).pairs > 0
