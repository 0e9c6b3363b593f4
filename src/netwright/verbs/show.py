"""The layers of a network."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from netwright.records.options import code_option
from netwright.records.result import Outcome

if TYPE_CHECKING:
    from netwright.planning.cost import Layer
    from netwright.records.run import Run


@dataclass(frozen=True)
class Options:
    """Which files to trust."""

    allow_code: bool = code_option()


def show(run: "Run | Path | str", options: Options) -> "Outcome[tuple[Layer, ...]]":
    """Show the layers of RUN's network: shapes, parameters, FLOPs for one example."""
    from netwright.planning.cost import layers, render
    from netwright.stages.runs import loaded

    run = loaded(run, options.allow_code)
    found = layers(run.network, run.sample)
    return Outcome(found, render(found), [asdict(layer) for layer in found])
