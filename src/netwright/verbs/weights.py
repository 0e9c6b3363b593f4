"""What layers have learned."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from netwright.records.errors import DataError
from netwright.records.options import code_option, option
from netwright.records.result import Outcome

if TYPE_CHECKING:
    from netwright.explanations.weights import Learned
    from netwright.records.run import Run


@dataclass(frozen=True)
class Options:
    """How much to show."""

    top: int = option(10, "How many of the strongest connections to show.")
    picture: str = option("", "Write the first convolution's filters to this PNG file.", metavar="FILE", writes=True)
    allow_code: bool = code_option()


def weights(run: "Run | Path | str", options: Options) -> "Outcome[Learned]":
    """Show what RUN has learned: positive and negative weights, strongest columns, filters as a picture."""
    from netwright.explanations.weights import Learned, filters_picture, learned, strongest
    from netwright.files import whole
    from netwright.reports.text import weights_table
    from netwright.stages.runs import loaded

    run = loaded(run, options.allow_code)
    connections = strongest(run.network, run.schema, run.sample, options.top)
    found = Learned(learned(run.network), connections, filters_picture(run.network))
    asides = ()
    if options.picture:
        if found.filters is None:
            problem = f"{run.folder or 'the run'} has no convolution, so there are no filters to draw"
            raise DataError(problem, remedy="leave --picture out.")
        with whole(Path(options.picture)) as unfinished:
            found.filters.save(unfinished)
        asides = (f"filters drawn in {options.picture}",)
    record = {"layers": [asdict(x) for x in found.layers], "connections": [asdict(x) for x in found.connections]}
    return Outcome(found, weights_table(found), record, asides=asides)
