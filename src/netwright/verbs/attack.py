"""What an adversary can do to a network."""

from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright.records.errors import RecipeError
from netwright.records.options import code_option, fail_option, option, page_option
from netwright.records.result import Outcome, Section, Tell

if TYPE_CHECKING:
    from netwright.records.robustness import Robustness
    from netwright.records.run import Run


@dataclass(frozen=True)
class Options:
    """What the adversary can do, and how thorough to be."""

    strength: float = option(1.0, "Size of changes, in changes that a person would not notice.")
    eps: Any = option(  # Any: a number, several, or text
        "", "Size of changes instead, as a share of each input's range; several with commas.", metavar="E[,E]"
    )
    norm: str = option("inf", "The greatest change of any value, or the Euclidean length.", choices=("inf", "2"))
    method: tuple[str, ...] = option((), "Only this attack; can be repeated.", metavar="NAME")
    target_class: str = option("", "A label that the adversary wants.", metavar="LABEL")
    immutable: tuple[str, ...] = option(
        (), "Column that the adversary cannot change; can be repeated, or several with commas.", metavar="COLUMN"
    )
    full: bool = option(False, "Try every attack, with more steps and on more rows: minutes instead of seconds.")
    rows: int = option(0, "At most so many rows; 0 for 256, or 1,000 with --full.", low=0)
    bounds: Any = option(  # Any: two numbers, or text
        "", "The least and the greatest value of your own network's inputs.", metavar="LOW,HIGH"
    )
    data: Any = option(  # Any: a path, or data in memory
        None, "The run's data, if they have moved.", metavar="DATA", reads=True
    )
    picture: str = option("", "Draw attacked pictures to this PNG file.", metavar="FILE", writes=True)
    page: str = page_option()
    allow_code: bool = code_option()
    fail_on: str = fail_option()

    def __post_init__(self) -> None:
        """A single name becomes a tuple of one."""
        for name in ("method", "immutable"):
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))


def attack(run: "Run | Path | str", options: Options, tell: Tell) -> "Outcome[Robustness]":
    """Find what an adversary can do to RUN: which changes of its inputs make answers wrong, and how small they are.

    Attacks change rows of the test part within a reach, and each row counts under the attack that harms it most.
    Sizes are in the data's own units: netwright scales. What hides a network's gradients without making it robust is
    noticed: then the numbers are printed as an upper bound. If RUN is a folder, the result is written there.

    In Python, RUN may also be your own network and loaders, with the range of their inputs:
    `nw.attack(nw.adopt(network, task, train, test_loader=test), eps=0.1, bounds=(0, 1))`.
    """
    from netwright.explanations.attacked import attacked_picture, pictures_of_rows
    from netwright.files import whole
    from netwright.reports.page import require_pages, written
    from netwright.run_folder import locked, write_result
    from netwright.stages.robustness import attacked
    from netwright.stages.runs import opened
    from netwright.stages.siege import Asked

    require_pages(options.page)
    bounds = numbers(options.bounds, "bounds")
    if len(bounds) not in (0, 2):
        raise RecipeError(f"bounds are two numbers, not {len(bounds)}", remedy="write for example 0,1.")
    run = opened(run, tell, options.data, rows=True, allow_code=options.allow_code)
    asked = Asked(
        strength=options.strength,
        eps=numbers(options.eps, "eps"),
        norm="2" if options.norm == "2" else "inf",
        methods=options.method,
        target=options.target_class,
        immutable=columns(options.immutable, [field.name for field in run.schema.inputs]),
        bounds=(bounds[0], bounds[1]) if bounds else None,
        rows=options.rows,
        is_full=options.full,
    )
    with nullcontext() if run.folder is None else locked(run.folder, tell):
        result = attacked(run, asked, tell)
        if run.folder is not None:
            write_result(run.folder, "robustness", result.found)
    found, asides = result.found, ()
    if options.picture and (picture := attacked_picture(run, result)) is not None:
        with whole(Path(options.picture)) as unfinished:
            picture.save(unfinished)
        asides = (f"attacked pictures drawn in {options.picture}",)
    charts = () if found.curve is None else (found.curve,)
    drawn = Section(f"Attack of {found.subject}", found.report, found.text(), charts, pictures_of_rows(run, result))
    asides = (*asides, *written((drawn,), options.page))
    return Outcome(found, str(found), asdict(found), found.report, (drawn,), asides)


def numbers(given: Any, name: str) -> tuple[float, ...]:  # Any: a number, several, or text as typed
    """One number or several. Raises RecipeError."""
    parts = given.split(",") if isinstance(given, str) else given if isinstance(given, list | tuple) else [given]
    try:
        return tuple(float(part) for part in parts if str(part).strip())
    except (TypeError, ValueError):
        raise RecipeError(f"{name} must be numbers, not {given!r}", remedy="write for example 0.1,0.3.") from None


def columns(given: tuple[str, ...], names: list[str]) -> tuple[str, ...]:
    """Names of columns; one with commas that is no column itself is several."""
    parts = [[one] if one in names else [part.strip() for part in one.split(",")] for one in given]
    return tuple(dict.fromkeys(part for some in parts for part in some if part))
