"""Remedies for what is wrong with a training, tried and proven."""

from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright.machine.processes import refuse_ranks
from netwright.records.options import code_option, command_option, fail_option, option
from netwright.records.result import Outcome, Tell

if TYPE_CHECKING:
    from netwright.records.run import Run
    from netwright.records.treatment import Treatment


@dataclass(frozen=True)
class Options:
    """Which remedies to try, and how."""

    codes: tuple[str, ...] = option((), "Only remedies for these findings.", metavar="[CODE]...", is_argument=True)
    report: Any = option(None, "The report of `diagnose`, if you have one already.", typed=None)  # Any: a Report
    data: Any = option(  # Any: a path, or data in memory
        None, "The run's data, if they have moved.", metavar="DATA", reads=True
    )
    seeds: int = option(3, "Number of trainings with each remedy, and without it.")
    folder: Any = option(  # Any: a path
        None, "The treated run's folder; RUN-treated by default.", word="to", metavar="FOLDER"
    )
    allow_code: bool = code_option()
    fail_on: str = fail_option()
    command: tuple[str, ...] = command_option()


def treat(run: "Run | Path | str", options: Options, tell: Tell) -> "Outcome[Treatment]":
    """Try the remedies for what `diagnose` finds, and keep those proven to help, as a new run.

    Treats all findings but notes, or those with the CODEs. A remedy is kept if networks trained with it beat those
    without it on the validation part, on the same seeds and beyond chance, and nothing else breaks; otherwise it is
    rolled back. As a control, as many random changes are tried. The test part is scored once, at the end. Ctrl-C keeps
    what is proven so far. The exit code reflects the findings in the treated run.

    In Python, your own network is edited too: rebuilt with other settings if `nw.adopt` got a function of the recipe,
    else mended (`netwright.planning:MENDS`). The treated run's `build` makes it untrained.
    """
    refuse_ranks()
    from netwright import run_folder
    from netwright.machine.device import prepare_device
    from netwright.planning.treat import treat_run
    from netwright.records.run import with_result
    from netwright.records.treatment import Treatment
    from netwright.stages.runs import diagnosed, judged, opened, scored

    run = opened(run, tell, options.data, rows=True, allow_code=options.allow_code)
    if run.folder is None:
        place = nullcontext()
    elif options.folder:
        place = run_folder.locked(Path(options.folder), tell)
    else:
        place = run_folder.next_locked(run.folder.with_name(f"{run.folder.name}-treated"), tell)
    with place as folder, prepare_device(run.recipe.threads):
        report = options.report or diagnosed(run, tell)
        seeds = range(run.recipe.seed, run.recipe.seed + options.seeds)
        codes = tuple(code.upper() for code in options.codes)
        treated, note = treat_run(run, report, codes=codes, seeds=seeds, judge=judged, tell=tell)
        if note.is_changed:
            treated = scored(with_result(treated, "treatment", note), tell)
            note = replace(note, after=treated.scores)
            treated = with_result(treated, "treatment", note)
            if run.folder is not None and folder is not None:
                treated = run_folder.write_from(treated, folder, run.folder, command=options.command)
            run, report = treated, treated.diagnosis or report
    treatment = Treatment(run, note)
    return Outcome(treatment, str(treatment), asdict(note), report)
