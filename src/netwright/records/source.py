"""Where data are, and how they are read and cut into parts: said once, and handed on."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from netwright.records.options import option


@dataclass(frozen=True)
class Source:
    """Data, and all that was said about them. A run keeps it without the data: new rows are read alike."""

    data: Any = option(  # Any: a path, or whatever the user holds in memory
        None,
        "A folder with one subfolder of files for each label, a table (CSV, TSV, Parquet, JSON lines), or a text file.",
        is_argument=True,
        is_required=True,
        reads=True,
    )
    target: tuple[str, ...] = option((), "Column to predict; may be repeated.", short="-t", metavar="COLUMN")
    kinds: Mapping[str, str] = option(
        dict, "Overrule a guess: zip=category, photo=image:64.", word="kind", metavar="COLUMN=KIND"
    )
    drop: tuple[str, ...] = option((), "Leave a column out; may be repeated.", metavar="COLUMN")
    series: str = option("", "Long format: the column that names the series.", metavar="COLUMN")
    time: str = option("", "Long format: the column that orders its steps.", metavar="COLUMN")
    labels: str = option("", "Long format: a second table with a row for each series.", metavar="FILE", reads=True)
    task: Any = option(None, "What is predicted, if the guess is wrong: regression, ...")  # Any: a name, class or task
    split: str = option("", "Column that says train, valid or test.", metavar="COLUMN")
    group: str = option("", "Rows of one group stay in one part.", metavar="COLUMN")
    by_time: str = option("", "The latest rows are the test part.", metavar="COLUMN")
    fixes: Any = option(  # Any: a file, or a sequence of Fix
        (), "Apply the fixes of a file that `netwright fix` wrote.", metavar="FILE", is_many=False, reads=True
    )
    is_labelled: bool = True  # whether rows need a target; new rows to predict do not

    def __post_init__(self) -> None:
        """Takes a single name for a tuple of one, and a path for its text."""
        for name in ("target", "drop"):
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
        object.__setattr__(self, "labels", str(self.labels))

    def said(self) -> dict[str, Any]:
        """What differs from the defaults, for a file."""
        plain = Source()
        return {f.name: x for f in fields(self) if (x := getattr(self, f.name)) != getattr(plain, f.name)}


UNSAID = Source()  # nothing is known but the data
