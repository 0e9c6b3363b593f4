"""Regular grids of time: the usual step between two rows, and the place of each row on its series' grid."""

from dataclasses import dataclass
from typing import Literal, final

import numpy as np
import polars as pl
from numpy.typing import NDArray

DAY = 86_400.0  # seconds
MONTH = 365.2425 / 12 * DAY
CLOSE = 0.02  # of a step: clocks drift
SECONDS_IN = ((366 * DAY, 1), (92 * DAY, 4), (31 * DAY, 12), (7 * DAY, 52), (DAY, 7))  # a step's most, steps in a cycle
SHORTEST = 0.9  # of the most: February
OFF = 0.25  # of a step from a whole number of steps: stamps jitter
UNEVEN = 0.1  # share of distances that are so far off, from which on each row counts as a step
SINGLE = 0.5  # least share of distances of one step: events that are stamped to the second are no series of seconds
FILLED = 0.5  # least share of steps that have a row: of opening hours, the rows are the steps
LONG = 512  # steps; a longer hole is an interruption, not part of the series
MOST_DISTANCES = 1_000_000  # to find the usual one
MONTHS = (1, 2, 3, 4, 6, 12)  # in a step
SAME_DAY = 3  # days that a month's stamp may be from its usual day: the last working day of a month
OPEN_DAYS = (4, 5, 6)  # days of a week with rows: offices and shops
RARE = 0.01  # share of rows on a day of the week, below which it is closed
TWO_WEEKS = 14  # days that show which days of a week are closed

Rows = NDArray[np.int64]
Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]
Unit = Literal["row", "number", "second", "day", "month"]


@final
@dataclass(frozen=True)
class Step:
    """The usual distance between two rows of a series. A `row` counts as a step itself, whatever its time."""

    unit: Unit = "row"
    size: float = 1.0  # in this unit; of days those that are open
    week: str = "1111111"  # open days from Monday on, if the unit is a day

    @property
    def is_calendar(self) -> bool:
        """Whether each step has a date."""
        return self.unit in ("second", "day", "month")

    @property
    def season(self) -> int:
        """Steps of the cycle that such steps usually have: hours of a day, days of a week, months of a year."""
        if self.unit == "month":
            return 12 // round(self.size)
        if self.unit == "day":
            return self.week.count("1")
        if self.unit != "second":
            return 1
        if self.size < DAY * (1 - CLOSE):
            return max(1, round(DAY / self.size))
        fitting = (steps for most, steps in SECONDS_IN if SHORTEST * most <= self.size <= most * (1 + CLOSE))
        return next(fitting, 1)

    @property
    def seconds(self) -> float:
        """Its usual length; 0 if it has no date."""
        if self.unit == "day":
            return DAY * 7 / self.week.count("1")
        return {"second": self.size, "month": self.size * MONTH}.get(self.unit, 0.0)

    def positions(self, times: pl.Series, begins: Mask) -> Rows:
        """The step of each row, counted from 1970 or from 0, for steps with times; `begins` are series' first rows.

        Stamps that drift are snapped to the nearest step.
        """
        if self.unit == "month":
            return _months(times) // round(self.size)
        if self.unit == "day":
            return np.busday_count(np.datetime64(0, "D"), _days(times), weekmask=self.week).astype(np.int64)
        scaled = as_seconds(times) / self.size
        return np.rint(scaled - _phases(scaled, begins)).astype(np.int64)

    def moments(self, positions: Rows) -> NDArray[np.datetime64]:
        """The dates of steps, without their time within the step."""
        if self.unit == "month":
            return (positions * round(self.size)).astype("datetime64[M]").astype("datetime64[s]")
        if self.unit == "day":
            days = np.busday_offset(np.datetime64(0, "D"), positions, roll="forward", weekmask=self.week)
            return days.astype("datetime64[s]")
        return np.rint(positions * self.size).astype(np.int64).astype("datetime64[s]")

    def after(self, ends: pl.Series, steps: pl.Series, *, at_month_end: bool = False) -> pl.Series:
        """The times of some steps after those of rows."""
        if self.unit == "number":
            later = ends + steps * self.size
            return later.cast(ends.dtype) if ends.dtype.is_integer() and self.size == round(self.size) else later
        if self.unit == "day":
            days = np.busday_offset(_days(ends), steps.to_numpy(), roll="backward", weekmask=self.week)
            return ends + pl.Series((days - _days(ends)).astype("timedelta64[us]"))
        frame = pl.DataFrame({"end": ends, "step": steps})
        moment = pl.col("end") if ends.dtype == pl.Datetime else pl.col("end").cast(pl.Datetime("us"))
        if self.unit == "month":
            later = moment.dt.offset_by(pl.format("{}mo", pl.col("step") * round(self.size)))
            later = later.dt.month_end() if at_month_end else later
        else:
            later = moment.dt.offset_by(pl.format("{}us", pl.col("step") * round(self.size * 1e6)))
        found = frame.select(later.alias(ends.name)).to_series()
        return found.cast(pl.Date) if ends.dtype == pl.Date and self.seconds >= DAY else found

    def __str__(self) -> str:
        """`1 hour`, `3 months`, `1 working day`."""
        if self.unit == "day":
            return "1 working day"
        size, word = self.size, self.unit
        if self.unit == "second":
            units = (("week", 7 * DAY), ("day", DAY), ("hour", 3600.0), ("minute", 60.0), ("second", 1.0))
            word, length = next((one for one in units if self.size >= one[1]), units[-1])
            size = self.size / length
        return f"{size:.6g} {word}{'' if size == 1 else 's'}"


EACH_ROW = Step()


def usual_step(times: pl.Series, begins: Mask) -> tuple[Step, str]:
    """The step of sorted rows, and a note if each row counts as one."""
    seconds = as_seconds(times)
    distances = np.diff(seconds)[~begins[1:]][:MOST_DISTANCES]
    distances = distances[distances > 0]
    if not len(distances):
        return EACH_ROW, ""
    size = _usual(distances)
    if is_calendar(times):
        if months := _months_in(times, begins, size):
            return Step("month", months), ""
        if abs(size - DAY) < CLOSE * DAY and (week := _open_days(times)):
            return Step("day", 1.0, week), ""
    ratios = distances / size
    if _off(ratios).mean() > UNEVEN or (np.rint(ratios) == 1).mean() < SINGLE:
        return EACH_ROW, "time stamps are not evenly spaced: each row counts as one step"
    steps = ratios[ratios <= LONG]
    if len(steps) < FILLED * np.rint(steps).sum():
        return EACH_ROW, "fewer than half of the steps have a row, as in opening hours: each row counts as one step"
    return (Step("second", round(size, 6)) if is_calendar(times) else Step("number", size)), ""


def is_calendar(times: pl.Series) -> bool:
    """Whether times are dates, not numbers."""
    return times.dtype == pl.Date or times.dtype == pl.Datetime


def as_seconds(times: pl.Series) -> Numbers:
    """Seconds since 1970, in UTC if there is a time zone; or the numbers."""
    if is_calendar(times):
        return _plain(times).to_physical().to_numpy() / 1e6
    return times.to_physical().cast(pl.Float64).to_numpy()


def _plain(times: pl.Series) -> pl.Series:
    """Microseconds without a time zone."""
    if isinstance(times.dtype, pl.Datetime) and times.dtype.time_zone is not None:
        times = times.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return times.cast(pl.Datetime("us"))


def _days(times: pl.Series) -> NDArray[np.datetime64]:
    return _plain(times).dt.date().to_numpy().astype("datetime64[D]")


def _months(times: pl.Series) -> Rows:
    """Since January 1970."""
    plain = _plain(times)
    return ((plain.dt.year().cast(pl.Int64) - 1970) * 12 + plain.dt.month().cast(pl.Int64) - 1).to_numpy()


def _phases(scaled: Numbers, begins: Mask) -> Numbers:
    """For each row how far into a step its series' stamps are, from 0 to 1: their mean on the circle."""
    starts = np.flatnonzero(begins)
    angles = ((scaled % 1) * (2 * np.pi)).astype(np.float32)
    sine, cosine = (np.add.reduceat(wave(angles), starts, dtype=np.float64) for wave in (np.sin, np.cos))
    phases = np.arctan2(sine, cosine) / (2 * np.pi)
    return np.repeat(phases, np.diff(np.r_[starts, len(scaled)]))


def _usual(distances: Numbers) -> float:
    """The median or the most frequent one, whichever more of the others are multiples of."""
    found, counts = np.unique(distances, return_counts=True)
    sizes = float(np.quantile(distances, 0.5, method="lower")), float(found[counts.argmax()])
    return min(sizes, key=lambda size: _off(distances / size).mean())


def _off(ratios: Numbers) -> Mask:
    return (np.abs(ratios - np.rint(ratios)) > OFF) | (ratios < 0.5)


def _months_in(times: pl.Series, begins: Mask, size: float) -> int:
    """Months in a step if stamps are those of months; else 0."""
    count = round(size / MONTH)
    if count not in MONTHS or abs(size - count * MONTH) > SAME_DAY * DAY:
        return 0
    distances = np.diff(_months(times))[~begins[1:]]
    if (distances == 0).any() or (distances % count != 0).mean() > UNEVEN:
        return 0
    day = times.dt.day().to_numpy().astype(np.int64)
    left = times.dt.month_end().dt.day().to_numpy() - day
    near = max(float((np.abs(days - np.median(days)) <= SAME_DAY).mean()) for days in (day, left))
    return count if near >= 1 - UNEVEN else 0


def _open_days(times: pl.Series) -> str:
    """As in `Step.week`; empty if rows are of every day, or too few to tell."""
    days = _days(times).astype(np.int64)
    counts = np.bincount((days + 3) % 7, minlength=7)  # 1970 began on a Thursday
    is_open = counts > RARE * len(days)
    if int(is_open.sum()) not in OPEN_DAYS or days.max() - days.min() < TWO_WEEKS:
        return ""
    return "".join("1" if one else "0" for one in is_open)
