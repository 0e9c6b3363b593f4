from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from netwright.records.errors import DataError, RecipeError
from netwright.records.frames import Frames, Raw
from netwright.records.source import Source
from netwright.tasks.clock import Step
from netwright.tasks.columns import Beside
from netwright.tasks.windows import LEVELS, Cutting, Windows, cut, cut_again

HOUR = timedelta(hours=1)
START = datetime(2024, 1, 1)


def _raw(count: int, step: timedelta = HOUR, left_out: range = range(0)) -> Raw:
    rows = [k for k in range(count) if k not in left_out]
    times = pl.Series("at", [START + step * k for k in rows])
    return Raw(pl.DataFrame({"y": [float(k) for k in rows]}), ("y",), None, times)


def _shops(lengths: dict[str, int]) -> Raw:
    """Shops that count up from 0, day by day."""
    rows = [(shop, date(2024, 1, 1) + timedelta(k), float(k)) for shop, n in lengths.items() for k in range(n)]
    table = pl.DataFrame(rows, schema=["shop", "day", "y"], orient="row")
    return Raw(table.select("y"), ("y",), table["shop"], table["day"])


def _cells(frames: Frames, name: str) -> np.ndarray:
    return frames.arrays[name][frames.table[name].to_numpy()]


def test_a_detail_says_horizon_lags_season_and_quantiles() -> None:
    assert Windows.read("") == Windows(24)
    assert Windows.read("96") == Windows(96)
    assert Windows.read("28,lags=168") == Windows(28, 168)
    found = Windows.read("96,lags=336,season=24,quantiles=0.1/0.5/0.9")
    assert found == Windows(96, 336, 24, (0.1, 0.5, 0.9))
    assert found.levels != LEVELS


@pytest.mark.parametrize("detail", ["0", "x", "3,lag=2", "3,lags=", "3,quantiles=0.1/0.9", "3,quantiles=0.5/0.1", "-4"])
def test_other_details_are_refused(detail: str) -> None:
    with pytest.raises(RecipeError, match="forecasting"):
        Windows.read(detail)


def test_what_was_chosen_in_cutting_comes_back_from_its_text() -> None:
    beside = Beside(("a",), ("b",), ("c",), (("b", ("x", "ü")),), ("day of week",))
    cutting = Cutting(Windows(3, 10, 7, (0.5,)), Step("day", 1.0, "1111100"), beside)
    assert Cutting.read(cutting.written()) == cutting
    assert Cutting.read("12,lags=24") == Cutting(Windows(12, 24))


@pytest.mark.parametrize(
    ("step", "season"),
    [(HOUR, 24), (HOUR / 4, 96), (HOUR * 24, 7), (HOUR * 168, 52), (HOUR * 2, 12), (HOUR * 24 * 3, 1)],
)
def test_the_season_is_that_of_the_time_stamps_and_the_past_is_many_seasons(step: timedelta, season: int) -> None:
    frames = cut(_raw(4000, step), Windows(5))
    past, ahead = frames.arrays["past"], frames.arrays["y"]
    assert ahead.shape[1:] == (season + 5, 2)
    assert past.shape[1] == min(512, max(10, 14 * season))


def test_short_data_shorten_the_past() -> None:
    assert cut(_raw(200), Windows(5)).arrays["past"].shape[1] == 40
    assert cut(_raw(50), Windows(5)).arrays["y"].shape[1] == 1 + 5  # no season in 10 steps
    assert cut(_raw(40, HOUR * 24 * 91.3), Windows(2)).arrays["past"].shape[1] == 8
    with pytest.raises(RecipeError, match="season=24 is longer than the 10 lags"):
        cut(_raw(50), Windows(5, season=24))


def test_the_past_is_a_whole_season_if_the_data_have_room_for_it() -> None:
    months = pl.date_range(START, datetime(2027, 12, 1), "1mo", eager=True).rename("month")
    raw = Raw(pl.DataFrame({"y": range(48)}), ("y",), None, months)
    assert cut(raw, Windows(3)).arrays["past"].shape[1] == 12
    assert cut(raw, Windows(6)).arrays["past"].shape[1] == 9


def test_windows_are_views_of_one_array() -> None:
    raw = _raw(3000)
    table = raw.table.with_columns(warm=pl.Series(np.sin(np.arange(3000))), price=pl.Series(np.arange(3000) % 5))
    frames = cut(Raw(table, ("y",), None, raw.times, Source(known=("price",))), Windows(24))
    assert list(frames.arrays) == ["past", "others", "known", "calendar", "y"]
    for name, array in frames.arrays.items():
        low, high = np.lib.array_utils.byte_bounds(array)
        assert high - low <= 3400 * 4 * (4 if name == "calendar" else 2) < array.nbytes
    assert np.shares_memory(frames.arrays["past"], frames.arrays["y"])
    assert frames.table["past"].to_physical().to_numpy().ctypes.data == frames.table["y"].to_numpy().ctypes.data


def test_without_times_rows_are_in_order() -> None:
    series = pl.Series("shop", ["a"] * 30 + ["b"] * 40)
    frames = cut(Raw(pl.DataFrame({"y": range(70)}), ("y",), series), Windows(4, 10))
    assert frames.order is not None
    assert frames.order.tolist() == [*range(10, 27), *range(10, 37)]
    past = _cells(frames, "past")[:, :, 0]
    assert past[16].tolist() == list(range(16, 26)) and past[17].tolist() == list(range(30, 40))


def test_a_hole_is_unknown_steps_until_it_is_longer_than_the_past() -> None:
    whole, broken = (cut(_raw(1000, left_out=gap), Windows(4, 20)) for gap in (range(0), range(500, 504)))
    assert len(whole.table) - len(broken.table) == 3  # more than two of four next steps are unknown
    past = _cells(broken, "past")[:, :, 0]
    assert broken.order is not None
    row = (broken.order - broken.order[0]).tolist().index(504 - 20)
    assert broken.spans[row].tolist() == [500, 504]
    assert past[row, :16].tolist() == list(range(484, 500)) and np.isnan(past[row, 16:]).all()
    apart = cut(_raw(1000, left_out=range(500, 521)), Windows(4, 20))
    assert np.isfinite(_cells(apart, "past")).all()
    assert len(whole.table) - len(apart.table) == 21 + 23


def test_windows_that_are_mostly_unknown_are_left_out_and_counted() -> None:
    raw = _raw(300)
    values = pl.when(pl.int_range(pl.len()).is_between(100, 139)).then(None).otherwise("y").alias("y")
    frames = cut(Raw(raw.table.with_columns(values), ("y",), None, raw.times), Windows(4, 20))
    assert np.isfinite(_cells(frames, "past")).mean(1).min() >= 0.5
    assert np.isfinite(_cells(frames, "y")[:, -4:, 0]).mean(1).min() >= 0.5
    left = 300 - 23 - len(frames.table)
    assert frames.notes[0] == "at: 2024-01-01 to 2024-01-13 11:00:00, in steps of 1 hour"
    assert "y: 40 of 300 values missing" in frames.notes
    assert f"{left} windows left out: most of the past or of the next steps is unknown" in frames.notes


def test_series_shorter_than_the_past_have_windows_with_an_unknown_beginning() -> None:
    frames = cut(_shops({"a": 400, "b": 30, "c": 9, "d": 4}), Windows(4, 60))
    assert len(frames.table) == (400 - 63) + (30 - 4 - 7 + 1) + (9 - 4 - 5 + 1)
    past = _cells(frames, "past")[:, :, 0]
    assert np.isfinite(past[: 400 - 63]).all()
    first = past[400 - 63]  # of b: a season is seen
    assert np.isnan(first[:-7]).all() and first[-7:].tolist() == list(range(7))
    assert past[-1, -5:].tolist() == list(range(5)) and np.isnan(past[-1, :-5]).all()
    assert "1 series without a window: at most 4 steps, or mostly unknown" in frames.notes
    assert frames.order is not None and frames.order[400 - 63] - frames.order[0] == 7 - 60


def test_spans_hold_what_is_predicted_and_blocks_are_as_long() -> None:
    frames = cut(_raw(300), Windows(6, 20))
    assert frames.spans[0].tolist() == [20, 26]
    assert (np.diff(frames.spans, axis=1) == 6).all()
    assert frames.blocks().tolist() == (frames.spans[:, 0] // 6).tolist()


def test_spans_are_rows_of_the_data_though_steps_lack_rows_or_have_several() -> None:
    rows = [k for k in range(300) if k not in (50, 51)]
    rows.insert(rows.index(100), 100)  # an equal row
    raw = Raw(pl.DataFrame({"y": rows}), ("y",), None, pl.Series("at", [START + HOUR * k for k in rows]))
    frames = cut(raw, Windows(6, 20))
    assert frames.order is not None
    for span, cells in zip(frames.spans, _cells(frames, "y")[:, -6:, 0], strict=True):
        assert {*rows[span[0] : span[1]]} == {int(value) for value in cells if np.isfinite(value)}
        assert span[0] == 0 or rows[span[0] - 1] < rows[span[0]]
    assert "1 row equal to the row before, at the same time: left out" in frames.notes


def test_each_step_of_a_target_knows_its_series_usual_error_until_then() -> None:
    raw = _shops({"a": 60, "b": 60})
    values = pl.Series("y", [*np.arange(60) * 2.0, *np.arange(60) ** 2.0])
    frames = cut(Raw(values.to_frame(), ("y",), raw.owners, raw.times), Windows(3, 14))
    cells, order = _cells(frames, "y"), frames.order
    assert order is not None
    own = cells[:, 6, 1]  # the step before the predicted ones
    assert own[: 60 - 16] == pytest.approx(14.0)  # seven days at two a day
    steps = np.arange(14, 58)
    expected = [np.mean([k**2 - (k - 7) ** 2 for k in range(7, step)]) for step in steps]
    assert own[60 - 16 :] == pytest.approx(expected)
    short = cut(_shops({"a": 60, "b": 11}), Windows(3, 14))
    assert np.isnan(_cells(short, "y")[-2:, 6, 1]).tolist() == [True, False]


def test_nothing_before_a_time_sees_what_comes_after_it() -> None:
    generator, count = np.random.default_rng(0), 200
    table = pl.DataFrame(
        {
            "y": generator.normal(size=2 * count),
            "z": generator.normal(size=2 * count),
            "warm": generator.normal(size=2 * count),
            "sky": generator.choice(["sun", "rain"], 2 * count),
        }
    )
    shops = pl.Series("shop", ["a"] * count + ["b"] * count)
    days = pl.Series("day", [date(2024, 1, 1) + timedelta(k) for k in range(count)] * 2)
    t = date(2024, 1, 1) + timedelta(120)
    late = pl.when(pl.Series(days > t))
    other = table.with_columns(
        late.then(pl.lit(1e6)).otherwise("y").alias("y"),
        late.then(pl.lit(None)).otherwise("z").alias("z"),
        late.then(pl.lit(-7.0)).otherwise("warm").alias("warm"),
        late.then(pl.lit("rain")).otherwise("sky").alias("sky"),
    )
    old, new = (cut(Raw(one, ("y", "z"), shops, days), Windows(5, 30)) for one in (table, other))
    assert old.found == new.found and old.order is not None and new.order is not None
    orders = [order for order in (old.order, new.order) if order is not None]
    before = [order <= (t - date(1970, 1, 1)).days + 1 for order in orders]
    assert before[0].sum() == before[1].sum() == 2 * (121 - 30 + 1)
    for name in old.arrays:
        mine, theirs = (_cells(frames, name)[which] for frames, which in zip((old, new), before, strict=True))
        if name in ("y", "z"):  # one season before the origin, and the own error until it
            mine, theirs = mine[:, :7], theirs[:, :7]
        assert mine.tobytes() == theirs.tobytes()


def test_other_rows_are_cut_as_in_training() -> None:
    raw = _raw(400)
    table = raw.table.with_columns(sky=pl.Series(["sun", "rain"] * 200), warm=pl.Series(np.arange(400.0) % 7))
    cutting = Cutting.read(cut(Raw(table, ("y",), None, raw.times), Windows(4, 20)).found)
    assert raw.times is not None
    few = Raw(table.with_columns(sky=pl.lit("snow"))[:60], ("y",), None, raw.times[:60])
    frames = cut_again(few, ("y",), cutting)
    assert frames.arrays["others"].shape[1:] == (20, 3)
    others = _cells(frames, "others")
    assert (others[:, :, :2] == 0).all() and others[0, :, 2].tolist() == [k % 7 for k in range(20)]
    with pytest.raises(DataError, match="no column 'warm'"):
        cut_again(Raw(table.drop("warm"), ("y",), None, raw.times), ("y",), cutting)


def test_too_short_and_mostly_unknown_data_are_refused() -> None:
    with pytest.raises(DataError, match=r"\(shop b\) has 12 steps, but a window takes a past and 12 next steps"):
        cut(_shops({"a": 9, "b": 12}), Windows(12))
    raw = _raw(100)
    holes = raw.table.with_columns(y=pl.when(pl.int_range(pl.len()) % 3 == 0).then("y"))
    with pytest.raises(DataError, match="half of its values"):
        cut(Raw(holes, ("y",), None, raw.times), Windows(6, 20))
    with pytest.raises(DataError, match="in every row"):
        cut(Raw(raw.table, ("y",), None, pl.Series("at", [START] * 100)), Windows(6))
    with pytest.raises(DataError, match="needs a target"):
        cut(Raw(raw.table, (), None, raw.times), Windows(6))
