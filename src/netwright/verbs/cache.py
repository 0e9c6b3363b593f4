"""The cache of decoded files."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from netwright.records.options import option
from netwright.records.result import Outcome

if TYPE_CHECKING:
    from netwright.data.cache import Cache


@dataclass(frozen=True)
class Options:
    """What to do with the cache."""

    clear: bool = option(False, "Remove all files that are not in use.")


def cache(options: Options) -> "Outcome[Cache]":
    """Show the cache of decoded files: where they are, and how much space each takes.

    They are in the folder that the environment variable NETWRIGHT_CACHE names, else in the user's cache folder.
    NETWRIGHT_CACHE_BYTES limits their size: the least recently used go first; files in use stay.
    """
    from netwright.data.cache import clear, megabytes, read_cache
    from netwright.reports.text import cache_table
    from netwright.stages.training import measurements

    if options.clear:
        measurements().unlink(missing_ok=True)
    found = clear() if options.clear else read_cache()
    removed = f"removed {megabytes(found.freed)}\n" if options.clear else ""
    return Outcome(found, removed + cache_table(found), asdict(found))
