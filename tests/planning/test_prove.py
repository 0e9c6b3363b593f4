"""What a proof may change, and what not: the test part stays as it is."""

import numpy as np
import pytest

import netwright as nw
from netwright.data.read import read
from netwright.data.split import split
from netwright.planning.paired import Measured, gain
from netwright.records.errors import DataError
from netwright.records.proof import Gain

SETTINGS = {"epochs": 3, "width": 16, "depth": 1, "batch_size": 32, "precision": "fp32"}


def data(count: int = 100) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(count, 2))
    return x, np.where(x[:, 0] > 0, "yes", "no").astype(object)


def at(row: int) -> str:
    return f"array, row {row}"


def test_fixes_of_validation_and_test_rows_prove_nothing_and_change_nothing() -> None:
    x, y = data()
    parts = split(read((x, y)))
    fixes = [nw.Fix(int(row), at(row), "drop", code="NW110") for row in (*parts.test[:3], *parts.valid[:2])]
    proof = nw.prove((x, y), fixes, settings=SETTINGS, seeds=3)
    assert (proof.together.unused, proof.together.gains, proof.together.is_kept) == (5, (), False)
    assert proof.count == len(parts.test)
    assert proof.rolled_back == tuple(fixes)


def test_moves_are_kept_without_a_proof_and_hand_written_fixes_come_back_as_they_were() -> None:
    x, y = data()
    parts = split(read((x, y)))
    move = nw.Fix(0, at(int(parts.train[0])), "move", "", "train", "test")
    drop = nw.Fix(0, at(int(parts.train[1])), "drop", code="NW110")
    proof = nw.prove((x, y), [move, drop], settings=SETTINGS, seeds=3)
    assert (proof.kept, proof.rolled_back) == ((move,), (drop,))
    alone = nw.prove((x, y), [move], settings=SETTINGS, seeds=3)
    assert (alone.kept, alone.together.gains) == ((move,), ())


def test_classes_that_fixes_join_are_compared_on_the_rows_that_both_can_read() -> None:
    x, y = data(200)
    y[:60] = np.where(y[:60] == "yes", "Yes", y[:60])
    rows = np.flatnonzero(y == "Yes")
    fixes = [nw.Fix(int(n), at(n), "relabel", "target", "Yes", "yes", "NW120") for n in rows]
    proof = nw.prove((x, y), fixes, settings=SETTINGS, seeds=3)
    told = split(read((x, y))).test
    assert proof.together.gains[0].count == len(told) - np.isin(told, rows).sum()
    assert 0 < proof.together.unused < len(fixes)


def test_numbers_are_judged_by_their_absolute_error() -> None:
    x, _ = data(120)
    y = x[:, 0] * 10
    fixes = [nw.Fix(int(n), at(int(n)), "drop", code="NW115") for n in range(0, 120, 2)]
    proof = nw.prove((x, y), fixes, settings=SETTINGS, seeds=3)
    assert [gain.metric for gain in proof.together.gains] == ["mae"]


def test_targets_are_compared_as_they_are_read_in_training() -> None:
    x, _ = data(120)
    plain = (x[:, 0] * 10).round(1)
    fixes = [nw.Fix(int(n), at(int(n)), "drop", code="NW115") for n in range(0, 120, 2)]
    written = np.array([f"{n} EUR".replace(".", ",") for n in plain], dtype=object)
    gains = [nw.prove((x, y), fixes, settings=SETTINGS, seeds=3).together.gains for y in (plain, written)]
    assert gains[0] == gains[1]


def test_fixes_after_which_nothing_can_be_trained_are_rolled_back() -> None:
    x, y = data()
    fixes = [nw.Fix(int(n), at(int(n)), "relabel", "target", "no", "yes", "NW1") for n in np.flatnonzero(y == "no")]
    proof = nw.prove((x, y), fixes, settings=SETTINGS, seeds=3)
    assert not proof.together.is_kept
    assert "training on the fixed data fails: " in proof.together.reason


def test_interval_covers_rows_and_seeds() -> None:
    chance = np.random.default_rng(1)
    before = chance.normal(1.0, 0.1, (5, 400))
    found = _gain(before, before - 0.5, 0)
    assert found.value == pytest.approx(0.5)
    assert (found.low, found.high) == (pytest.approx(0.5), pytest.approx(0.5))
    by_seed = _gain(before, before - np.array([-0.4, 0.6, 0.5, -0.3, 0.1])[:, None], 0)
    assert by_seed.low < 0 < by_seed.high  # the same in all rows, but not in all seeds
    by_row = _gain(before, before - np.tile(chance.normal(0.1, 1, 400), (5, 1)), 0)
    assert by_row.high - by_row.low == pytest.approx(2 * 1.96 / np.sqrt(400), rel=0.1)  # a normal mean's interval
    with pytest.raises(DataError, match="no test row can be read"):
        _gain(before, before * np.nan, 0)


def test_a_gain_is_above_zero_whichever_way_the_metric_points() -> None:
    fewer, more = np.full((3, 40), 0.2), np.full((3, 40), 0.7)
    recall = gain("share found", Measured(fewer, "higher"), Measured(more, "higher"), 0)
    missed = gain("accuracy missed", Measured(more, "lower"), Measured(fewer, "lower"), 0)
    assert recall.value == missed.value == pytest.approx(0.5)
    assert (recall.before, recall.after) == (pytest.approx(0.2), pytest.approx(0.7))


def _gain(before: np.ndarray, after: np.ndarray, seed: int) -> Gain:
    return gain("loss", Measured(before, "lower"), Measured(after, "lower"), seed)
