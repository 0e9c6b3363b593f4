"""Where the data are, and how to read and split them: stated once, then passed on."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from netwright.records.options import option


@dataclass(frozen=True)
class Source:
    """Data, and everything the user said about them. A run keeps it without the data, to read new rows the same way."""

    data: Any = option(  # Any: a path, or the user's objects in memory
        None,
        "A folder with one subfolder of files per label, a table (CSV, TSV, Parquet, JSON lines, Excel), or text.",
        is_argument=True,
        is_required=True,
        reads=True,
    )
    target: tuple[str, ...] = option((), "Column to predict; can be repeated.", short="-t", metavar="COLUMN")
    kinds: Mapping[str, str] = option(
        dict, "Overrule a guess: zip=category, photo=image:64.", word="kind", metavar="COLUMN=KIND"
    )
    drop: tuple[str, ...] = option((), "Column to leave out; can be repeated.", metavar="COLUMN")
    series: str = option("", "Long format: column that names the series.", metavar="COLUMN")
    time: str = option(
        "", "Long format: column that orders the steps of a series; several: date,hour.", metavar="COLUMN"
    )
    known: tuple[str, ...] = option(
        (), "Forecasts: columns whose next values are known ahead, such as prices and holidays.", metavar="COLUMNS"
    )
    lags: int = option(0, "Forecasts: past steps that are seen; 0: as the data suggest.", low=0, metavar="STEPS")
    user: str = option("", "Rankings: column that names the user.", metavar="COLUMN")
    item: str = option("", "Rankings: column that names the item.", metavar="COLUMN")
    rating: str = option("", "Rankings: column of ratings.", metavar="COLUMN")
    labels: str = option("", "Long format: second table with one row per series.", metavar="FILE", reads=True)
    task: Any = option(None, "The task, if the guess is wrong: regression, ...")  # Any: a name, class or task
    split: str = option("", "Column that says train, valid or test.", metavar="COLUMN")
    group: str = option("", "Column of groups; each group stays in one part.", metavar="COLUMN")
    by_time: str = option("", "Column of times; the latest rows are the test part.", metavar="COLUMN")
    fixes: Any = option(  # Any: a file, or a sequence of Fix
        (), "Apply the fixes in a file written by `netwright fix`.", metavar="FILE", is_many=False, reads=True
    )
    is_labelled: bool = True  # whether rows need a target; new rows to predict do not
    as_written: tuple[str, ...] = ()  # columns of a text file whose cells stay text, even if all are numbers

    def __post_init__(self) -> None:
        """A single name becomes a tuple of one, names joined by commas as many, a path its text."""
        for name in ("target", "drop", "known"):
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
        object.__setattr__(self, "known", tuple(name for one in self.known for name in one.split(",")))
        object.__setattr__(self, "labels", str(self.labels))

    def about_rows(self) -> "Source":
        """What was said about the columns of rows that examples are cut from: new rows have them too."""
        kinds = {name: kind for name, kind in self.kinds.items() if name == self.time}
        return Source(
            kinds=kinds, series=self.series, time=self.time, known=self.known, user=self.user, item=self.item,
            rating=self.rating,
        )  # fmt: skip

    def said(self) -> dict[str, Any]:
        """What differs from the defaults, for a file."""
        plain = Source()
        return {f.name: x for f in fields(self) if (x := getattr(self, f.name)) != getattr(plain, f.name)}


UNSAID = Source()  # nothing is said beyond the data
