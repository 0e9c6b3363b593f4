"""Dates, with or without time of day."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from math import inf
from typing import ClassVar, Self, final

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from netwright.kinds.cells import (
    NEARLY_ALL,
    each_distinct,
    lost,
    names,
    refuse_cells,
    refuse_missing,
    robust,
    sample,
    words,
)
from netwright.kinds.markup import shaded, share, total
from netwright.models.stems import dates
from netwright.records.errors import DataError, counted, listed
from netwright.records.features import Summary
from netwright.records.recipe import Recipe
from netwright.records.schema import Family, Field, Odd, Signal
from netwright.records.threat import FIXED, Reach, Way

ISO = "%Y-%m-%d"
CLOCK = "%H:%M"  # times of day alone, with seconds or not, on the first day of 1970
LEAST_COMPACT = 10_000_000
COMPACT = "%Y%m%d"  # 20230115, as numbers too: of numbers of eight digits, fewer than one in a hundred is such a day
FORMATS = {  # formats of a day, after its parts are joined by "-"; an earlier one wins a tie
    ISO: r"^\d{4}-\d{1,2}-\d{1,2}$",
    "%m-%d-%Y": r"^\d{1,2}-\d{1,2}-\d{4}$",
    "%d-%m-%Y": r"^\d{1,2}-\d{1,2}-\d{4}$",
    "%m-%d-%y": r"^\d{1,2}-\d{1,2}-\d{2}$",
    "%d-%m-%y": r"^\d{1,2}-\d{1,2}-\d{2}$",
    "%d-%B-%Y": r"^\d{1,2}-\p{L}{3,9}-\d{4}$",
    "%d-%B-%y": r"^\d{1,2}-\p{L}{3,9}-\d{2}$",
    "%B-%d-%Y": r"^\p{L}{3,9}-\d{1,2}-\d{4}$",
    "%G-W%V-%u": r"^\d{4}-W\d{2}-[1-7]$",  # a day of an ISO week
    COMPACT: r"^(?:1[6-9]|2[01])\d{6}$",
    CLOCK: r"(?i)^(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:[.,]\d+)?)?(?:\s*[ap]m)?$",
}
SWAPPED = {"%m-%d-%Y": "%d-%m-%Y", "%m-%d-%y": "%d-%m-%y"}  # ambiguous if no day is above 12
FEATURES = 9  # days, then sine and cosine of the phase in the year, the month, the week and the day
DAY = 86_400_000_000  # microseconds
STEP = 10_000  # microseconds: float32 phases of a day are right to 4,400
NOTICED = 7  # days for each unit of strength: a week earlier or later is the same season
SHIFTS = 16  # dates that are tried for each, evenly spread

_DAY_FIRST_SIGN = r"^\d{1,2}[.]"  # with points, as in 3.4.2020, the day is always first
_TIME = r"(?i)^(.*\d)[t\s]+(\d{1,2}):(\d{2})(?::(\d{2}(?:[.,]\d+)?))?\s*([ap]m)?\s*(?:z|utc|([+-]\d{2}):?(\d{2})?)?$"
_WEEKDAY = r"(?i)^(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*[,.]?\s+"
_WORDING = {
    "%Y": "year", "%y": "year", "%m": "month", "%d": "day", "%B": "month", "%H": "hour", "%M": "minute",
    "%G": "year", "%V": "week", "%u": "weekday",
}  # fmt: skip
# What stands for its first day, after "-" was put between the parts.
_FIRST_DAYS = (
    (r"^(\d{4}-\d{1,2})$", "$1-01"),  # 2024-05
    (r"^(\d{1,2})-(\d{4})$", "$2-$1-01"),  # 5/2024
    (r"^(\p{L}{3,9})-(\d{2}|\d{4})$", "1-$1-$2"),  # May 2024, May-24
)
_FIRST_OF_PERIODS = (
    (r"(?i)^q([1-4])-?(\d{4})$", "$2-Q$1"),  # Q2 2024
    (r"(?i)^(\d{4})-?q1$", "$1-01-01"),  # 2024Q1, 2024-Q1
    (r"(?i)^(\d{4})-?q2$", "$1-04-01"),
    (r"(?i)^(\d{4})-?q3$", "$1-07-01"),
    (r"(?i)^(\d{4})-?q4$", "$1-10-01"),
    (r"(?i)^(\d{4})-?w(\d{2})-?([1-7])$", "$1-W$2-$3"),  # 2024-W05-3
    (r"(?i)^(\d{4})-?w(\d{2})$", "$1-W$2-1"),  # 2024-W05, 2024W05
)


@final
@dataclass(frozen=True)
class Date(Field):
    """Encoded as float32 (N, FEATURES); all NaN if missing or unreadable.

    Days since `origin`, then sine and cosine of the phase in the year, the month, the week and the day. Times with an
    offset from UTC are converted to UTC; dates with a time zone keep their local time.
    """

    format: str  # of the day, a key of FORMATS; empty if the column already holds dates
    is_certain: bool  # whether the data decide between day first and month first
    origin: float  # the median, in days since 1970
    scale: float  # factor that scales days to a spread of about one
    first: str  # ISO
    last: str
    missing: float  # share of training cells
    unreadable: int  # training cells that are neither dates nor missing
    example: str  # the first of them

    kind: ClassVar[str] = "date"
    family: ClassVar[Family] = "dates"
    joins: ClassVar[bool] = True
    seen_as: ClassVar[str] = "date"

    @staticmethod
    def matches(cells: pl.Series) -> bool:
        """Date columns, and texts that are nearly all dates in one format."""
        if cells.dtype == pl.Date or cells.dtype == pl.Datetime:
            return True
        if cells.dtype.is_integer():
            few = sample(cells)
            if not LEAST_COMPACT <= (few.median() or 0) < 10 * LEAST_COMPACT:  # type: ignore[operator]  # of numbers
                return False  # at once: nearly all would have eight digits
            few = names(few)
            return few.n_unique() > 1 and int(_read_days(few, COMPACT).is_not_null().sum()) >= NEARLY_ALL * len(few)
        if cells.dtype != pl.String:
            return False
        few = sample(cells)
        if not few.str.contains(r"\d").any():
            return False  # at once, for columns of words
        present = words(few).drop_nulls()
        if not present[:20].str.contains(r"\d").any():
            return False
        return max(_readable(present).values()) >= NEARLY_ALL * len(present)

    @classmethod
    def learn(cls, name: str, cells: pl.Series, detail: str = "") -> Self:
        """The format and the range. `detail` is a key of FORMATS that wins a tie, such as day first or month first.

        Raises DataError for columns that cannot hold dates, and for another detail.
        """
        if detail and detail not in FORMATS:
            problem = f"column {name!r}: no dates are written {detail!r}"
            raise DataError(problem, remedy=f"choose from {listed([*FORMATS])}: write {name}=date:%d-%m-%Y.")
        written, is_certain = _way_of_writing(cells, detail) if cells.dtype == pl.String else ("", True)
        written = COMPACT if cells.dtype.is_integer() and cls.matches(cells) else written
        moments = _read(name, cells, written)
        days = moments.drop_nulls().cast(pl.Int64).to_numpy() / DAY
        origin, scale = robust(days) if len(days) else (0.0, 0.0)
        around = (days - origin).astype(np.float32)
        bad = words(cells.filter(moments.is_null())).drop_nulls() if cells.dtype == pl.String else cells.clear()
        return cls(
            name=name,
            low=min(-1.0, float(around.min(initial=0))),
            high=max(1.0, float(around.max(initial=0))),
            reach=0.0,  # the phases move together: no encoded value can change alone
            format=written,
            is_certain=is_certain,
            origin=origin,
            scale=scale,
            first=_iso(moments.min()),
            last=_iso(moments.max()),
            missing=1 - len(days) / max(len(cells), 1),
            unreadable=len(bad),
            example=bad[0] if len(bad) else "",
        )

    def encode(self, cells: pl.Series) -> Tensor:
        """(N, FEATURES) float32."""
        return refuse_missing(self, cells, torch.from_numpy(_features(self.moments(cells), self.origin)))

    def odd(self, cells: pl.Series) -> tuple[Odd, ...]:
        """Texts that are not dates."""
        return lost(cells, self.moments(cells), "dates")

    def moments(self, cells: pl.Series) -> pl.Series:
        """The dates as datetimes in microseconds, to order rows in time; null if missing or unreadable."""
        return _read(self.name, cells, self.format)

    def decode(self, encoded: Tensor) -> pl.Series:
        """Datetimes in microseconds, to a hundredth of a second; null if missing."""
        return pl.Series(self.name, _moments(encoded, self.origin), dtype=pl.Int64).cast(pl.Datetime("us"))

    def said(self, encoded: Tensor) -> str:
        """In ISO's form, without a time that is midnight; a time of day alone if the column holds such times."""
        moment = self.decode(encoded[None])[0]
        if moment is None:
            return "missing"
        return str(moment.time()) if self.format == CLOCK else _iso(moment)

    @classmethod
    def way(cls, fields: tuple[Self, ...], reach: Reach) -> Way:
        """Whole days earlier or later, between the first and the last training date; each date for itself."""
        if all(f.name in reach.immutable or not f.first for f in fields):
            return FIXED
        return Way(swaps=partial(_shifted, fields, reach), each=inf)

    @classmethod
    def stem(cls, fields: tuple[Self, ...], recipe: Recipe) -> tuple[nn.Module, Signal]:
        """Days scaled and clipped, phases as they are: a vector."""
        return dates([f.scale for f in fields], FEATURES, recipe)

    def describe(self) -> str:
        """`dates 1999-01-04 to 2018-12-31, read as month-day-year`."""
        if self.missing == 1:
            return "no dates"
        parts = [f"dates {self.first} to {self.last}"]
        if self.format == CLOCK:
            parts = [f"times of day {self.first[11:] or '00:00:00'} to {self.last[11:] or '00:00:00'}"]
        elif self.format:
            read_as = "-".join(_WORDING[part] for part in re.findall("%.", self.format))
            parts.append(f"read as {read_as}" + ("" if self.is_certain else " (day and month are ambiguous)"))
        if self.missing:
            parts.append(f"{share(self.missing)} missing")
        if self.unreadable:
            cells = counted(self.unreadable, "cell is", "cells are")
            parts.append(f"{cells} not a date (first: {self.example!r}), read as missing")
        return ", ".join(parts)

    @classmethod
    def summary(cls, fields: tuple[Self, ...], cells: Tensor) -> tuple[Summary, ...]:
        """Days."""
        days = cells[:, :, 0].double().numpy().T
        return tuple(Summary(f.name, f.name, day + f.origin, is_date=True) for f, day in zip(fields, days, strict=True))

    def show(self, cell: object, attribution: Tensor | None = None) -> str:
        """The date as written."""
        return shaded("missing" if cell is None else str(cell), total(attribution))


def _way_of_writing(cells: pl.Series, said: str) -> tuple[str, bool]:
    """The format that reads most cells, and whether no other format reads as many with another meaning."""
    present = words(sample(cells)).drop_nulls()
    counts = _readable(present)
    best = max(counts, key=lambda written: counts[written])
    if said and counts[said] == counts[best]:
        return said, True
    swapped = SWAPPED.get(best, "")
    if not swapped or counts[swapped] < counts[best]:
        return best, True
    has_day_first_sign = bool(present.str.contains(_DAY_FIRST_SIGN).any())
    return (swapped, True) if has_day_first_sign else (best, False)


def _readable(texts: pl.Series) -> dict[str, int]:
    """The number of cells that each format reads."""
    counts = _day_part(_split(texts)["day"]).alias("day").value_counts(name="rows")
    days, rows = counts["day"], counts["rows"]
    counts = {
        written: int(rows.filter(_read_days(days, written).is_not_null()).sum())
        for written in FORMATS
        if written != CLOCK
    }
    return counts | {CLOCK: int(texts.str.contains(FORMATS[CLOCK]).sum())}


def _read(name: str, cells: pl.Series, written: str) -> pl.Series:
    """Datetimes in microseconds, without time zone; null if missing or unreadable."""
    if cells.dtype == pl.Datetime:
        return cells.dt.replace_time_zone(None).cast(pl.Datetime("us"))
    if cells.dtype == pl.Date or cells.dtype == pl.Null:
        return cells.cast(pl.Datetime("us"))
    if written == COMPACT and cells.dtype.is_numeric():
        cells = names(cells)
    if cells.dtype != pl.String:
        raise refuse_cells(Date.kind, name, cells, "dates or text")
    way = written or ISO  # text for a column that was learned from dates: CSV and JSON write ISO
    moments = each_distinct(cells, lambda texts: _read_text(words(texts), way))
    return moments.cast(pl.Datetime("us")).alias(cells.name)


def _read_text(texts: pl.Series, written: str) -> pl.Series:
    """Microseconds since 1970."""
    if written == CLOCK:
        return _read_parts("1970-01-01 " + texts.set(~texts.str.contains(FORMATS[CLOCK]), None), ISO)
    if written != ISO:
        return _read_parts(texts, written)
    moments = texts.str.to_datetime(f"{ISO} %H:%M:%S", strict=False, time_unit="us").cast(pl.Int64)
    hard = (moments.is_null() & texts.is_not_null()).arg_true()  # the fast way reads what databases write
    return moments.scatter(hard, _read_parts(texts.gather(hard), written)) if len(hard) else moments


def _read_parts(texts: pl.Series, written: str) -> pl.Series:
    parts = _split(texts)
    days = _read_days(_day_part(parts["day"]), written)
    return days.cast(pl.Datetime("us")).cast(pl.Int64) + parts["microseconds"]


def _split(texts: pl.Series) -> pl.DataFrame:
    """The part of each cell with the day, and the microseconds to add for its time (in UTC if it has an offset)."""
    if not texts.str.contains(":", literal=True).any():
        return pl.DataFrame({"day": texts, "microseconds": pl.repeat(0, len(texts), dtype=pl.Int64, eager=True)})
    groups = texts.str.extract_groups(_TIME).struct.unnest()
    groups.columns = ["day", "hour", "minute", "second", "half", "offset", "offset_minute"]
    hour, half = pl.col("hour").cast(pl.Int64), pl.col("half").str.to_lowercase()
    hour = pl.when(half.is_null()).then(hour).otherwise(hour % 12 + pl.when(half == "pm").then(12).otherwise(0))
    second = pl.col("second").str.replace(",", ".", literal=True).cast(pl.Float64).fill_null(0.0)
    sign = pl.when(pl.col("offset").str.starts_with("-")).then(-1).otherwise(1)
    offset = pl.col("offset").cast(pl.Int64) * 60 + sign * pl.col("offset_minute").cast(pl.Int64).fill_null(0)
    minutes = hour * 60 + pl.col("minute").cast(pl.Int64) - offset.fill_null(0)
    in_range = (hour < 24) & (pl.col("minute").cast(pl.Int64) < 60) & (second < 60)
    moment = (minutes * 60_000_000 + (second * 1e6).round().cast(pl.Int64)).fill_null(0)
    return groups.select(
        pl.when(pl.col("hour").is_null()).then(texts).when(in_range).then("day").alias("day"),
        moment.alias("microseconds"),
    )


def _day_part(days: pl.Series) -> pl.Series:
    """With "-" between the parts, without the weekday; a month, a quarter or a week alone means its first day."""
    bare = days.str.replace(_WEEKDAY, "").str.strip_chars().str.replace_all(r"[\s,/.\-]+", "-")
    has_periods = bare.str.contains(r"(?i)^(?:\d{4}-?[qw]|q)\d").any()
    for written, first in (*_FIRST_DAYS, *(_FIRST_OF_PERIODS if has_periods else ())):
        bare = bare.str.replace(written, first)
    return bare


def _read_days(days: pl.Series, written: str) -> pl.Series:
    fits = days.str.contains(FORMATS[written])  # otherwise "%Y" would read the year 99
    return days.set(~fits.fill_null(False), None).str.to_date(written, strict=False)


def _shifted(fields: tuple[Date, ...], reach: Reach, cells: Tensor, size: float) -> tuple[Tensor, Tensor]:
    """Dates some days from each, (B, columns, SHIFTS, FEATURES), and which may replace it: see `records.threat.Swaps`.

    They are encoded anew, so that all features of a date belong together.
    """
    found = [_around(field, reach, column, size) for field, column in zip(fields, cells.cpu().unbind(1), strict=True)]
    shifted, allowed = (torch.stack(parts, 1).to(cells.device) for parts in zip(*found, strict=True))
    return shifted, allowed


def _around(field: Date, reach: Reach, column: Tensor, size: float) -> tuple[Tensor, Tensor]:
    """(B, SHIFTS, FEATURES) and (B, SHIFTS)."""
    blank = torch.zeros(len(column), SHIFTS, dtype=torch.bool)
    if not field.first:
        return column[:, None].expand(-1, SHIFTS, -1), blank
    first, last = (_microseconds(end) for end in (field.first, field.last))
    most = int(size * reach.unit(field.name, first / DAY, last / DAY, NOTICED))
    steps = np.unique(np.linspace(1, most, SHIFTS // 2).round()) if most > 0 else np.zeros(0)
    days = np.zeros(SHIFTS, dtype=np.int64)  # 0 where fewer days are in reach
    days[: 2 * len(steps)] = np.concatenate([-steps, steps])
    moments = _moments(column, field.origin)
    present = np.array([moment is not None for moment in moments], dtype=bool)
    known = np.array([moment or 0 for moment in moments], dtype=np.int64)
    there = known[:, None] + days * DAY
    allowed = present[:, None] & (days != 0) & (first <= there) & (there <= last)
    there = np.where(allowed, there, known[:, None])
    encoded = _features(pl.Series(there.ravel()).cast(pl.Datetime("us")), field.origin).reshape(*there.shape, FEATURES)
    return torch.where(torch.from_numpy(allowed)[..., None], torch.from_numpy(encoded), column[:, None]), (
        torch.from_numpy(allowed)
    )


def _moments(encoded: Tensor, origin: float) -> list[int | None]:
    """Microseconds since 1970 of encoded dates; None if missing.

    The day is from the number of days, the time from its phase: float32 holds the time of a far day to minutes only.
    """
    values = encoded.cpu().double().numpy()
    share = (np.arctan2(values[:, -2], values[:, -1]) / (2 * np.pi)) % 1
    time = np.round(share * DAY / STEP) * STEP
    moments = np.round(values[:, 0] + origin - time / DAY) * DAY + time
    return [None if moment != moment else int(moment) for moment in moments.tolist()]


def _microseconds(iso: str) -> int:
    """Since 1970."""
    return (datetime.fromisoformat(iso) - datetime(1970, 1, 1)) // timedelta(microseconds=1)


def _features(moments: pl.Series, origin: float) -> np.ndarray:
    """(N, FEATURES) float32, NaN if null."""
    frame = moments.alias("at").to_frame()
    at = pl.col("at")
    day_share = (at.cast(pl.Int64) % DAY) / DAY
    phases = frame.select(
        year=(at.dt.ordinal_day() - 1 + day_share) / 365.25,
        month=(at.dt.day() - 1 + day_share) / at.dt.month_end().dt.day(),
        week=(at.dt.weekday() - 1) / 7,
        day=day_share,
    ).to_numpy()
    angles = (2 * np.pi * phases).astype(np.float32)
    days = moments.cast(pl.Int64).cast(pl.Float64).to_numpy() / DAY - origin
    waves = np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(len(days), FEATURES - 1)
    return np.concatenate([days[:, None], waves], axis=1).astype(np.float32)


def _iso(moment: object) -> str:
    """A datetime, without its time if that is midnight."""
    return "" if moment is None else str(moment).removesuffix(" 00:00:00")
