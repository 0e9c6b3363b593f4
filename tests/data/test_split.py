from collections.abc import Callable
from dataclasses import FrozenInstanceError

import numpy as np
import polars as pl
import pytest

from netwright.data.dataset import Dataset
from netwright.data.split import Split, _keep_a_row_of_each_class, _take_groups, split
from netwright.records.errors import DataError
from netwright.records.source import Source


def _data(columns: dict[str, object], target: str = "", parts: list[str] | None = None) -> Dataset:
    given = None if parts is None else pl.Series(parts)
    return Dataset(pl.DataFrame(columns), (target,) if target else (), "people.csv", parts=given)


def _is_whole(parts: Split, count: int) -> bool:
    return np.array_equal(np.sort(np.concatenate([parts.train, parts.valid, parts.test])), np.arange(count))


def _problem(call: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        call()
    return caught.value.problem


def test_each_part_has_its_share_of_each_class() -> None:
    labels = np.repeat(["a", "b", "c"], [700, 250, 50])
    parts = split(_data({"x": range(1000), "y": np.random.default_rng(0).permutation(labels)}, "y"))
    dataset = np.random.default_rng(0).permutation(labels)
    assert (len(parts.train), len(parts.valid), len(parts.test)) == (680, 120, 200)
    assert _is_whole(parts, 1000)
    for rows, share in ((parts.test, 0.2), (parts.valid, 0.12), (parts.train, 0.68)):
        counts = np.array([(dataset[rows] == label).sum() for label in "abc"])
        assert np.abs(counts - share * np.array([700, 250, 50])).max() <= 1
    assert parts.how == "stratified by 'y': 680 training, 120 validation, 200 test"


def test_split_depends_on_the_seed_alone() -> None:
    dataset = _data({"x": range(200), "y": ["a", "b"] * 100}, "y")
    first, again, other = split(dataset, seed=1), split(dataset, seed=1), split(dataset, seed=2)
    assert np.array_equal(first.test, again.test) and np.array_equal(first.valid, again.valid)
    assert not np.array_equal(first.test, other.test)


def test_continuous_targets_are_split_at_random() -> None:
    parts = split(_data({"x": range(100), "y": np.random.default_rng(0).normal(size=100)}, "y"))
    assert parts.how == "at random: 68 training, 12 validation, 20 test"


def test_class_of_one_row_is_kept_for_training_and_named() -> None:
    labels = ["a"] * 60 + ["rare"] + ["b"] * 60
    for seed in range(20):
        parts = split(_data({"x": range(121), "y": labels}, "y"), seed=seed)
        assert 60 in parts.train
    assert parts.notes == (
        "1 value of 'y' in only one row, the first is 'rare' (people.csv, row 60); such rows are kept for training",
    )


def test_every_class_has_a_training_row() -> None:
    labels = [f"c{k // 2}" for k in range(60)]
    for seed in range(20):
        parts = split(_data({"x": range(60), "y": labels}, "y"), seed=seed)
        assert {labels[row] for row in parts.train} == set(labels)


@pytest.mark.parametrize("count", [3, 4, 5, 7, 10])
def test_tiny_data_fill_every_part(count: int) -> None:
    parts = split(_data({"x": range(count), "y": [k % 2 for k in range(count)]}, "y"))
    assert _is_whole(parts, count)
    assert min(len(parts.train), len(parts.valid), len(parts.test)) > 0


def test_two_rows_are_too_few() -> None:
    assert _problem(lambda: split(_data({"x": [1, 2]}))) == "people.csv has 2 rows, too few for three parts"


def test_no_group_is_in_two_parts_and_classes_keep_their_shares() -> None:
    generator = np.random.default_rng(0)
    patients = generator.integers(0, 120, 2000)
    sick = generator.random(120) < 0.3
    dataset = _data({"x": range(2000), "patient": patients, "y": np.where(sick[patients], "sick", "well")}, "y")
    parts = split(dataset, Source(group="patient"))
    assert _is_whole(parts, 2000)
    groups = [set(patients[rows]) for rows in (parts.train, parts.valid, parts.test)]
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
    assert 380 <= len(parts.test) <= 420
    for rows in (parts.valid, parts.test):
        assert abs(sick[patients[rows]].mean() - sick[patients].mean()) < 0.03
    assert parts.drop == ("patient",)
    assert parts.how.startswith("by group 'patient' (120 groups, none in two parts): ")


def test_rows_without_a_group_are_groups_of_their_own() -> None:
    parts = split(_data({"x": range(40), "g": [None] * 30 + ["a"] * 5 + ["b"] * 5}), Source(group="g"))
    assert _is_whole(parts, 40)


def test_two_groups_are_too_few() -> None:
    dataset = _data({"x": range(10), "g": ["a", "b"] * 5})
    assert _problem(lambda: split(dataset, Source(group="g"))) == "column 'g' has 2 groups, too few for three parts"


def test_latest_rows_are_the_test_part_and_equal_times_stay_together() -> None:
    days = [f"{1 + day // 4}/{1 + day % 4}/2020" for day in np.repeat(np.arange(20), 3)]
    order = np.random.default_rng(0).permutation(60)
    dataset = _data({"day": [days[k] for k in order]})
    parts = split(dataset, Source(by_time="day"))
    times = order // 3
    assert times[parts.train].max() < times[parts.valid].min()
    assert times[parts.valid].max() < times[parts.test].min()
    assert len(parts.test) == 12
    assert parts.drop == ()
    assert parts.how == "by time 'day', the latest rows last: 39 training, 9 validation, 12 test"


def test_two_times_are_too_few() -> None:
    dataset = _data({"year": [2019] * 5 + [2020] * 5})
    assert _problem(lambda: split(dataset, Source(by_time="year"))) == (
        "people.csv: 10 rows by time 'year', the latest rows last leave none for validation"
    )


def test_missing_times_are_an_error() -> None:
    dataset = _data({"year": [2019, None, 2020]})
    assert (
        _problem(lambda: split(dataset, Source(by_time="year")))
        == "1 row without a 'year', the first is people.csv, row 1"
    )


def test_given_parts_are_taken_and_missing_ones_are_cut_from_training_rows() -> None:
    names = ["train"] * 50 + ["test"] * 50
    parts = split(_data({"x": range(100), "y": ["a", "b"] * 50}, "y", names))
    assert np.array_equal(parts.test, np.arange(50, 100))
    assert _is_whole(parts, 100)
    assert parts.how == (
        "as the data say, validation cut from the training rows stratified by 'y': 42 training, 8 validation, 50 test"
    )
    whole = split(_data({"x": range(3)}, "", ["train", "valid", "test"]))
    assert whole.how == "as the data say: 1 training, 1 validation, 1 test"


def test_parts_without_training_rows_are_an_error() -> None:
    dataset = _data({"x": range(3)}, "", ["test"] * 3)
    assert _problem(lambda: split(dataset)) == "people.csv names parts, but no row is for training"


def test_group_and_time_exclude_each_other() -> None:
    dataset = _data({"g": range(9), "t": range(9)})
    assert "not both" in _problem(lambda: split(dataset, Source(group="g", by_time="t")))
    assert _problem(lambda: split(dataset, Source(group="patient"))) == "people.csv has no column 'patient'"


# Exact parts.


def _rows(parts: Split) -> list[list[int]]:
    return [rows.tolist() for rows in (parts.train, parts.valid, parts.test)]


def test_the_parts_of_a_seed_stay_what_they_are() -> None:
    """As drawn by numpy's generator since version 0.1: other parts would make old scores incomparable."""
    labels = ["a"] * 12 + ["b"] * 6 + ["c"] * 2
    dataset = _data({"x": range(20), "y": labels, "g": [n % 7 for n in range(20)]}, "y")
    train = [1, 2, 3, 5, 6, 7, 8, 9, 11, 12, 13, 15, 18, 19]
    assert _rows(split(dataset, seed=3)) == [train, [4, 17], [0, 10, 14, 16]]
    train = [0, 3, 4, 5, 7, 10, 11, 12, 14, 17, 18, 19]
    assert _rows(split(dataset, Source(group="g"), seed=3)) == [train, [1, 8, 15], [2, 6, 9, 13, 16]]
    assert _rows(split(dataset)) == _rows(split(dataset, seed=0)) == _rows(split(dataset, test=0.2, valid=0.15))


def test_numbers_are_classes_up_to_twenty_of_them_and_texts_up_to_two_rows_each() -> None:
    def how(cells: list[object]) -> str:
        return split(_data({"x": range(len(cells)), "y": cells}, "y")).how.partition(":")[0]

    assert how([n % 20 for n in range(100)]) == "stratified by 'y'"
    assert how([n % 21 for n in range(100)]) == "at random"
    assert how([f"c{n // 2}" for n in range(100)]) == "stratified by 'y'"
    assert how(["c0", "c98", *[f"c{n // 2}" for n in range(97)], "c99"]) == "at random"
    assert split(_data({"x": range(9), "y": [[1], [2], [3]] * 3}, "y")).how.startswith("at random")


def test_the_latest_share_of_the_rows_is_cut_off_exactly() -> None:
    parts = split(_data({"year": range(20)}), Source(by_time="year"))
    assert _rows(parts) == [list(range(14)), [14, 15], [16, 17, 18, 19]]
    parts = split(_data({"year": list(range(20))[::-1]}), Source(by_time="year"), test=0.26, valid=0.3)
    assert _rows(parts) == [list(range(9, 20)), [5, 6, 7, 8], [0, 1, 2, 3, 4]]
    parts = split(_data({"year": range(3)}), Source(by_time="year"), test=1e-9, valid=1e-9)
    assert _rows(parts) == [[0], [1], [2]]


def test_if_the_earliest_time_has_most_of_the_rows_all_later_ones_are_cut_off() -> None:
    parts = split(_data({"year": [1] * 16 + [2, 2, 3, 4]}), Source(by_time="year"), test=0.1)
    assert _rows(parts) == [list(range(16)), [16, 17], [18, 19]]


def test_a_tiny_share_still_takes_one_row() -> None:
    parts = split(_data({"x": range(10)}), test=1e-9, valid=1e-9)
    assert [len(rows) for rows in _rows(parts)] == [8, 1, 1]


def test_the_only_row_stays_for_training() -> None:
    problem = _problem(lambda: split(_data({"x": range(2)}, "", ["train", "test"])))
    assert problem == "people.csv: 2 rows at random leave none for validation"
    dataset = Dataset(pl.DataFrame({"g": [1, 2, 3]}), (), "people.csv", parts=pl.Series(["train", "test", "test"]))
    assert _problem(lambda: split(dataset, Source(group="g"))).endswith("none in two parts) leave none for validation")


def test_large_groups_are_placed_first_and_each_goes_where_most_is_wanted() -> None:
    generator = np.random.default_rng(0)
    sizes = np.array([[1.0], [1.0], [5.0], [1.0], [1.0], [1.0]])
    assert _take_groups(sizes, 0.5, generator).tolist() == [True, True, False, True, True, True]
    assert _take_groups(np.array([[6.0], [3.0], [1.0]]), 0.3, generator).tolist() == [False, True, False]
    assert _take_groups(np.array([[8.0, 0.0], [1.0, 0.0], [1.0, 9.0], [0.0, 2.0]]), 0.15, generator).tolist() == [
        True, False, False, True,
    ]  # fmt: skip
    assert _take_groups(np.diag([3.0, 2.0, 1.0]), 0.2, generator).tolist() == [False, False, True]
    assert _take_groups(np.array([[4.0]]), 0.2, generator).tolist() == [False]


def test_a_class_of_which_all_rows_would_go_keeps_its_first() -> None:
    taken = np.array([False, True, True, True, False])
    _keep_a_row_of_each_class(np.array([0, 0, 1, 1, 2]), taken)
    assert taken.tolist() == [False, True, False, True, False]
    taken = np.array([False, True, True])
    _keep_a_row_of_each_class(np.array([0, 1, 2]), taken)  # nothing would be left
    assert taken.tolist() == [False, True, True]


def test_windows_that_share_a_row_with_a_later_part_are_left_out() -> None:
    spans = np.stack([np.arange(20), np.arange(20) + 3], axis=1)  # each of three rows
    dataset = Dataset(pl.DataFrame({"x": range(20)}), (), "series.csv", spans=spans, order=np.arange(20))
    parts = split(dataset, test=0.3, valid=0.3)
    assert _rows(parts) == [list(range(8)), [10, 11], [14, 15, 16, 17, 18, 19]]
    assert parts.notes == ("4 examples left out: they share rows of the data with a later part",)
    assert parts.how == "by time, the latest examples last: 8 training, 2 validation, 6 test"


def test_windows_beside_each_other_are_all_kept() -> None:
    spans = np.stack([3 * np.arange(20), 3 * np.arange(20) + 3], axis=1)
    dataset = Dataset(pl.DataFrame({"x": range(20)}), (), "series.csv", spans=spans, order=np.arange(20))
    parts = split(dataset)
    assert _is_whole(parts, 20)
    assert parts.notes == ()


def test_classes_of_one_row_are_counted_and_the_first_named() -> None:
    labels = ["a"] * 9 + ["rare", "b"] + ["c"] * 9
    parts = split(_data({"x": range(20), "y": labels}, "y"))
    assert parts.notes[0].startswith("2 values of 'y' in only one row, the first is 'b' (people.csv, row 10)")
    by_time = split(_data({"x": range(20), "y": labels}, "y"), Source(by_time="x"))
    assert by_time.notes == ("2 values of 'y' in only one row, the first is 'b' (people.csv, row 10)",)
    assert split(_data({"x": range(20), "y": ["a"] * 20}, "y")).notes == ()


def test_rows_without_a_group_are_counted_as_groups() -> None:
    parts = split(_data({"x": range(12), "g": [None] * 10 + ["a", "a"]}), Source(group="g"))
    assert parts.how.startswith("by group 'g' (11 groups, none in two parts)")


def test_a_split_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        split(_data({"x": range(9)})).how = "otherwise"


def test_numbers_in_text_are_not_stratified_like_classes() -> None:
    table = pl.DataFrame({"x": range(400), "y": [f"{n % 150},5 EUR" for n in range(400)]})
    parts = split(Dataset(table, ("y",), "array"))
    assert "at random" in parts.how and parts.notes == ()
