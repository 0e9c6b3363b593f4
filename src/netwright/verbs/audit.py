"""What is wrong with data."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from netwright.records.options import fail_option, option, page_option, seed_option
from netwright.records.result import Outcome, Section, Tell
from netwright.records.source import Source

if TYPE_CHECKING:
    from netwright.records.finding import Report


@dataclass(frozen=True)
class Options:
    """How to audit data."""

    against: Any = option(None, "New data to compare with.", metavar="DATA", reads=True)  # Any: as the source's data
    seed: int = seed_option()
    fast: bool = option(False, "Run only the checks that train no network.")
    page: str = page_option()
    fail_on: str = fail_option()


def audit(source: Source, options: Options, tell: Tell) -> "Outcome[Report]":
    """Find what is wrong with the data: in which rows, how sure, and what to do.

    Checks whether DATA are accurate, representative and clean. The data are split as in `train`. With fixes, the fixed
    data are checked.
    """
    from netwright.reports.page import require_pages, written
    from netwright.reports.pictures import pictures_of
    from netwright.stages.data import audited

    require_pages(options.page)
    report, dataset = audited(source, options.against, options.seed, fast=options.fast, tell=tell)
    drawn = Section(f"Audit of {report.subject}", report, pictures=pictures_of(dataset))
    return Outcome(report, str(report), asdict(report), report, (drawn,), written((drawn,), options.page))
