from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from netwright.kinds.number import Number
from netwright.kinds.series import Series
from netwright.records.errors import DataError, Unreadable
from netwright.records.frames import Raw
from netwright.records.source import Source
from netwright.tasks.clock import Step
from netwright.tasks.columns import ALONE, Beside, input_name, role_of, targets_of
from netwright.tasks.grid import Placed

COUNT = 80
DAYS = pl.Series("day", [date(2022, 1, 1) + timedelta(k) for k in range(COUNT)])


def _raw(columns: dict[str, object], shops: int = 1, **said: object) -> Raw:
    table = pl.DataFrame({"y": np.arange(COUNT * shops)} | columns)
    owners = pl.Series("shop", np.repeat(np.arange(shops), COUNT)) if shops > 1 else None
    return Raw(table, ("y",), owners, pl.concat([DAYS] * shops), Source(**said))


def _chosen(raw: Raw) -> tuple[Beside, tuple[str, ...]]:
    return Beside.chosen(raw, Placed.of(raw))


def test_columns_are_seen_in_the_past_unless_they_are_known_ahead_or_of_a_series() -> None:
    columns = {
        "price": [1.5, 2.0] * COUNT,
        "warm": [f"{k % 9},5" for k in range(2 * COUNT)],
        "open": [True, False] * COUNT,
        "sky": ["sun", "rain", None, "sun"] * (COUNT // 2),
        "city": ["Ulm"] * COUNT + ["Jena"] * COUNT,
        "size": [10.0, None] * (COUNT // 2) + [20.0] * COUNT,
        "comment": [f"note {k}" for k in range(2 * COUNT)],
        "made": list(DAYS) * 2,
        "nothing": [None] * (2 * COUNT),
        "number": range(2 * COUNT),
        "list": [[1.0]] * (2 * COUNT),
    }
    beside, notes = _chosen(_raw(columns, 2, known=("price", "sky")))
    assert beside.others == ("warm", "open")
    assert beside.known == ("price", "sky")
    assert beside.static == ("city", "size", "nothing")
    assert beside.labels == (("sky", ("rain", "sun")),)
    assert beside.cycles == ("day of week",)  # of years there are not two
    assert beside.channels(beside.known) == ("price", "sky is rain", "sky is sun")
    assert notes == (
        "seen beside the past of the target: the past of warm, open; known ahead: price, sky; of each series: city, "
        "size, nothing; day of week",
        "left out: comment (neither numbers nor few labels), made (neither numbers nor few labels), number (counts the "
        "rows), list (no single values)",
    )


def test_in_a_single_series_what_never_changes_is_left_out() -> None:
    beside, notes = _chosen(_raw({"city": ["Ulm"] * COUNT}))
    assert beside == Beside(cycles=("day of week",))
    assert "left out: city (never changes)" in notes
    raw = Raw(pl.DataFrame({"y": range(COUNT)}), ("y",))
    assert Beside.chosen(raw, Placed.of(raw)) == (ALONE, ())


def test_a_kind_that_the_user_names_decides() -> None:
    columns = {"code": [1, 2] * (COUNT // 2), "text": ["a", "b"] * (COUNT // 2), "digits": ["01", "02"] * (COUNT // 2)}
    beside, notes = _chosen(_raw(columns, kinds={"code": "category", "text": "text", "digits": "number"}))
    assert beside.labels == (("code", ("1", "2")),) and beside.others == ("code", "digits")
    assert notes[1] == "left out: text (neither numbers nor few labels)"


def test_many_labels_are_left_out_and_refused_if_they_should_be_known() -> None:
    names = {"who": [f"w{k % 40}" for k in range(COUNT)]}
    assert _chosen(_raw(names))[0].others == ()
    with pytest.raises(DataError, match="'who' cannot be known ahead: it holds neither numbers nor few labels"):
        _chosen(_raw(names, known=("who",)))
    for name in ("y", "absent"):
        with pytest.raises(DataError, match=f"{name!r} is not a column beside the target"):
            _chosen(_raw(names, known=(name,)))


def test_channels_are_read_with_gaps_and_new_labels_are_zero_in_all() -> None:
    beside = Beside(others=("warm", "sky"), labels=(("sky", ("rain", "sun")),))
    raw = _raw({"warm": ["1", "x", "", "inf"] * (COUNT // 4), "sky": ["sun", "snow", None, "rain"] * (COUNT // 4)})
    warm, rain, sun = (values[:4] for values in beside.read(raw, beside.others))
    assert warm[0] == 1 and np.isnan(warm[1:]).all()
    assert rain[[0, 1, 3]].tolist() == [0, 0, 1] and sun[[0, 1, 3]].tolist() == [1, 0, 0]
    assert np.isnan(rain[2]) and np.isnan(sun[2])
    with pytest.raises(DataError, match="the data have no column 'rain'"):
        list(beside.read(raw, ("rain",)))


def test_a_series_value_is_its_first_known_one() -> None:
    raw = _raw({"size": [None] * 3 + [7.0] * (COUNT - 3) + [float("nan")] * COUNT + [2.0] * COUNT}, 3)
    values = Beside(static=("size",)).statics(raw, Placed.of(raw).series)["size"].to_list()
    assert values[::2] == [7.0, 2.0] and values[1] != values[1]  # NaN


def test_the_calendar_is_as_fine_as_the_steps() -> None:
    def cycles(step: timedelta, count: int) -> tuple[str, ...]:
        times = pl.Series("at", [datetime(2020, 1, 1) + step * k for k in range(count)])
        raw = Raw(pl.DataFrame({"y": range(count)}), ("y",), None, times)
        return Beside.chosen(raw, Placed.of(raw))[0].cycles

    hour = timedelta(hours=1)
    assert cycles(hour, 24 * 800) == ("time of day", "day of week", "day of year")
    assert cycles(hour, 40) == ()
    assert cycles(24 * hour, 800) == ("day of week", "day of year")
    assert cycles(24 * 7 * hour, 200) == ("day of year",)
    assert cycles(365 * 24 * hour, 50) == ()


def test_calendar_channels_are_sines_and_cosines_of_the_time() -> None:
    beside = Beside(cycles=("time of day", "day of week", "day of year"))
    monday = (datetime(2024, 1, 1) - datetime(1970, 1, 1)) // timedelta(hours=1)
    found = beside.calendar(Step("second", 3600.0), monday + np.array([0, 6, 24 * 7, 24 * 91]))
    assert found.shape == (4, 6)
    assert found[0].tolist() == [0, 1, 0, 1, 0, 1]
    assert found[1, :2] == pytest.approx([1, 0], abs=1e-6)
    assert found[2, :4] == pytest.approx([0, 1, 0, 1], abs=1e-6)
    assert found[3, 4] == pytest.approx(1, abs=1e-3)
    july = Beside(cycles=("day of year",)).calendar(Step("month", 1), np.array([54 * 12 + 6]))
    assert july[0, 1] == pytest.approx(-1, abs=1e-3)


def test_inputs_have_their_role_as_name_unless_a_column_has_it() -> None:
    assert input_name("known", ("y",), ("y", "city")) == "known"
    assert input_name("known", ("y",), ("y", "known")) == "known of y"
    cells = pl.Series(np.random.default_rng(0).normal(size=(4, 9, 2)).astype(np.float32))
    for role in ("past", "others", "known", "calendar"):
        for name in (role, f"{role} of y"):
            assert role_of(Series.learn(name, cells), ("y",)) == role
    assert role_of(Number.learn("known", pl.Series([1.0, 2.0])), ("y",)) == "static"


def test_missing_targets_are_unknown_and_counted_and_text_is_refused() -> None:
    raw = _raw({"z": ["1,5", "", "n/a", None] * (COUNT // 4)})
    (z,), notes = targets_of(raw, ("z",))
    assert z[0] == 1.5 and np.isnan(z[1:4]).all() and notes == ("z: 60 of 80 values missing",)
    assert np.isnan(targets_of(_raw({"z": [np.inf, 1.0] * (COUNT // 2)}), ("z",))[0][0][0])
    with pytest.raises(Unreadable, match="1 cell of 'z' not a number, the first is 'many'") as caught:
        targets_of(_raw({"z": ["1"] * 5 + ["many"] + ["2"] * (COUNT - 6)}), ("z",))
    assert [*caught.value.bad] == [5]
    with pytest.raises(Unreadable, match="holds numbers") as wrong:
        targets_of(_raw({"z": ["Ulm", "Jena"] * (COUNT // 2)}), ("z",))
    assert "80 cells of 'z' not a number" in wrong.value.problem
    with pytest.raises(DataError, match="the data have no column 'x'"):
        targets_of(raw, ("x",))
