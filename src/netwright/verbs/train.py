"""From raw labelled data to a trained network."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright.machine.processes import refuse_ranks
from netwright.records.errors import RecipeError
from netwright.records.options import code_option, command_option, option, recipe_option, settings_option
from netwright.records.result import Outcome, Tell
from netwright.records.source import Source

if TYPE_CHECKING:
    from netwright.records.run import Run

AUTO_FOLDER = "auto"  # runs/<name of the data>


@dataclass(frozen=True)
class Options:
    """How to train, and where to write the run."""

    audit: bool = option(True, "Check the data first.")
    diagnose: bool = option(True, "Check the training afterwards.")
    origins: int = option(
        1, "Forecasts: train at this many times, each scored on what came next.", low=1, metavar="TIMES"
    )
    settings: Mapping[str, object] = settings_option("Any setting of the recipe; may be repeated.")
    recipe: str = recipe_option()
    folder: Any = option(  # Any: a path
        None, "Where to write the run; runs/<name of the data> by default.", word="run", metavar="FOLDER",
        typed=AUTO_FOLDER,
    )  # fmt: skip
    allow_code: bool = code_option()
    command: tuple[str, ...] = command_option()


def train(source: Source, options: Options, tell: Tell) -> "Outcome[Run]":
    """Train a network on DATA: a folder, a table (CSV, TSV, Parquet, JSON lines, Excel) or a text file.

    Scores are from a test part that training never saw: given by `split`, cut by `group` or `by_time`, or else drawn at
    random, stratified. The run is written to a folder; interrupted training resumes if you run the same command again.
    The quick checks of `audit`, and the checks of `diagnose` that need no experiments, run too. Training ends early if
    it has certainly diverged or its network is dead for good.

    In Python, DATA may also be a frame, (inputs, labels) arrays or tensors, a DataLoader, or a Run, as from `adopt`.
    The Run's network then trains on from its weights, on its own examples, and only settings, `folder` and `show`
    count. Without a `folder` the run stays in memory. `run.audit` and `run.diagnosis` hold the findings,
    `run.history.ended` why training ended.
    """
    refuse_ranks()
    given = _settings(options, source.task)
    from netwright import run_folder
    from netwright.machine.threads import MAY_DIFFER
    from netwright.records.run import Run
    from netwright.reports.text import summary
    from netwright.stages.training import resumable, trained, trained_on

    if not options.folder:
        place = nullcontext()
    elif options.folder == AUTO_FOLDER:
        place = run_folder.next_locked(run_folder.named_after(source.data), tell, command=options.command)
    else:
        place = run_folder.locked(Path(options.folder), tell)
    with place as folder, resumable(folder, tell):
        if isinstance(source.data, Run):
            run = trained_on(source.data, given, folder, tell, diagnose=options.diagnose)
        else:
            run = trained(
                source,
                given,
                folder,
                tell,
                audit=options.audit,
                diagnose=options.diagnose,
                command=options.command,
                origins=options.origins,
            )
    scores = asdict(run.scores) if run.scores else None
    unsure = [note for note in run.notes if MAY_DIFFER in note]
    rolled = [str(run.origins)] if run.origins else []
    record = {"run": str(run.folder or ""), "scores": scores}
    if run.origins:
        record["origins"] = asdict(run.origins)
    return Outcome(run, "\n\n".join((summary(run), *rolled, *unsure)), record)


def _settings(options: Options, task: Any) -> dict[str, object]:  # Any: as `Source.task`
    """Settings of a TOML file, overridden by those given; checked before any heavy import."""
    from netwright.records.recipe import early, flat, named_code

    given = dict[str, object]()
    if file := options.recipe:
        import tomllib

        from netwright.resolve import refuse_code

        try:
            given |= flat(tomllib.loads(Path(file).read_text(encoding="utf-8")))
        except OSError as error:
            raise RecipeError(f"{file} cannot be read: {error.strerror}", remedy="correct the path.") from None
        except (ValueError, RecursionError) as error:  # not UTF-8, or not TOML
            raise RecipeError(f"{file} is not valid TOML: {error}", remedy="correct the file.") from None
        if not options.allow_code:
            refuse_code(Path(file), named_code(given), RecipeError)
    given |= options.settings
    early(given, task)
    return given
