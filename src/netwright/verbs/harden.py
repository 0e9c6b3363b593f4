"""A run trained again so that it holds under attack."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from netwright.machine.processes import refuse_ranks
from netwright.records.options import code_option, command_option, option, settings_option
from netwright.records.result import Outcome, Tell

if TYPE_CHECKING:
    from netwright.records.run import Run


@dataclass(frozen=True)
class Options:
    """Which defenses, against what, and where to write the runs."""

    method: tuple[str, ...] = option(
        ("adversarial",), "A way to harden the network; may be repeated.", metavar="METHOD"
    )
    eps: float = option(
        0.0, "How far the adversary goes, as a share of each input's range; by default what nobody would notice.",
        metavar="SHARE",
    )  # fmt: skip
    norm: str = option("inf", "Norm in which that is measured.", choices=("inf", "2"))
    data: Any = option(  # Any: a path, or data in memory
        None, "The run's data, if they have moved.", metavar="DATA", reads=True
    )
    settings: Mapping[str, object] = settings_option("Any setting of the recipe; may be repeated.")
    folder: Any = option(  # Any: a path
        None, "The hardened run's folder; RUN-METHOD by default. With several methods, the folder that holds theirs.",
        word="to", metavar="FOLDER",
    )  # fmt: skip
    allow_code: bool = code_option()
    command: tuple[str, ...] = command_option()


def harden(run: "Run | Path | str", options: Options, tell: Tell) -> "Outcome[Run]":
    """Train a run again so that it holds under attack, and show what each defense is worth.

    Methods that protect: adversarial (training on the worst inputs in reach), trades, fast, adversarial_ensemble,
    smoothing, noise, label_smoothing, distillation, ensemble. Lessons that only seem to: quantize, random,
    no_gradient. Each is trained from scratch on the run's own parts, with its recipe and the method's settings, and
    written to its own folder. All are attacked alike: the table shows right answers without attack, under single
    attacks and under all together, and the cost of training. Interrupted hardening resumes if you run the same command
    again.

    In Python, returns the run that holds best; its `hardening` is the table.
    """
    refuse_ranks()
    from netwright.stages.hardening import Asked, hardened
    from netwright.stages.runs import opened

    asked = Asked(
        methods=(options.method,) if isinstance(options.method, str) else tuple(options.method),
        eps=options.eps,
        norm=cast(Literal["inf", "2"], options.norm),
        settings=options.settings,
        folder=Path(options.folder) if options.folder else None,
        command=options.command,
    )
    run = opened(run, tell, options.data, rows=True, allow_code=options.allow_code)
    best, found = hardened(run, asked, tell)
    where = f"\n\nrun folder: {best.folder}" if best.folder is not None and best is not run else ""
    return Outcome(best, f"{found}{where}", asdict(found))
