"""A run trained again with defenses, each in its own folder, and what they are worth under attack."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path
from typing import final

import torch

from netwright import run_folder
from netwright.data.examples import augmented
from netwright.defenses.hardening import UNSEEN
from netwright.defenses.methods import METHODS, Method
from netwright.files import clear_unfinished
from netwright.planning.edits import Edits, variant
from netwright.records.errors import RecipeError, RunError, listed, nearest
from netwright.records.hardened import NONE, Defended, Hardened
from netwright.records.recipe import DISTILLATION
from netwright.records.result import Tell, Warned
from netwright.records.robustness import Robustness
from netwright.records.run import Run, with_result
from netwright.records.threat import Norm, Reach
from netwright.stages.robustness import attacked
from netwright.stages.siege import Asked as Siege
from netwright.stages.siege import proven, rows_of
from netwright.stages.training import finish, resumable
from netwright.training.objective import build_objective

AROUND = ("ensemble", "smoothing", "guard")  # settings of what netwright builds around a network of its own
PROVEN = 100  # rows whose radius is computed: each takes a thousand answers


@final
@dataclass(frozen=True)
class Asked:
    """Which defenses, against which adversary."""

    methods: tuple[str, ...]
    eps: float = 0.0  # share of each input's range; 0 for what a person would not notice
    norm: Norm = "inf"
    settings: Mapping[str, object] | None = None  # beside those of the methods
    folder: Path | None = None  # of the hardened run, or with several methods, of their folders
    command: tuple[str, ...] = ()


@final
@dataclass(frozen=True)
class _Child:
    """A hardened run before its training."""

    name: str
    method: Method
    run: Run
    folder: Path | None


def hardened(run: Run, asked: Asked, tell: Tell) -> tuple[Run, Hardened]:
    """The run that holds best against all attacks together, of those trained with the methods, and the comparison.

    Lessons are compared and not chosen; if all methods are lessons, the run itself is returned. Everything that can be
    wrong with a method is found before the first training. What was interrupted resumes; what is finished is not
    trained again. Raises RecipeError for methods or settings that do not suit, DataError if no input can move, RunError
    if a folder holds another run.
    """
    children = [_child(run, name, asked) for name in dict.fromkeys(asked.methods)]
    _tell_unmoved(run, tell)
    done = list[tuple[_Child, Run]]()
    for child in children:
        if child.method.is_lesson:
            tell(Warned(f"{child.name} is a lesson: it hides gradients, which stops attacks and no adversary"))
        done.append((child, _trained(child, run, asked, tell)))
    found = _compared(run, done, asked, tell)
    chosen = next((one for child, one in done if child.name == found.best), None)
    if chosen is None:
        return run, found
    if chosen.folder is not None:
        run_folder.write_result(chosen.folder, "hardening", found)
    return with_result(chosen, "hardening", found), found


def _child(run: Run, name: str, asked: Asked) -> _Child:
    """Raises what building its network or its objective does."""
    if name not in METHODS:
        raise RecipeError(f"there is no method {name!r}", remedy=nearest(name, METHODS))
    method = METHODS[name]
    edits = {**method.edits(asked.eps, asked.norm), **(asked.settings or {})}
    if not run.schema.inputs and (around := [setting for setting in AROUND if setting in edits]):
        raise RecipeError(
            f"{name} sets {listed(around)}, which only networks that netwright builds follow",
            remedy=f"choose from {listed([key for key, one in METHODS.items() if not {*AROUND} & {*one.edit}])}.",
        )
    hard = variant(run, Edits(edits), run.recipe.seed)
    train = augmented(run.train.plain(), run.schema, hard.recipe.augment, run.task) if "augment" in edits else run.train
    teacher = run if DISTILLATION in hard.recipe.defense else None
    hard = replace(hard, train=train, teacher=teacher, notes=())
    build_objective(hard)
    return _Child(name, method, hard, _place(run, hard, name, asked))


def _place(run: Run, hard: Run, name: str, asked: Asked) -> Path | None:
    """The folder that was asked for, or the first that is free or holds this very run, beside the run's own."""
    if run.folder is None:
        if asked.folder is not None:
            problem = "this run is in memory, and a hardened run's folder names the folder that it was made from"
            raise RunError(problem, remedy="train it with folder=..., or leave out the folder.")
        return None
    if asked.folder is not None:
        return asked.folder / name if len({*asked.methods}) > 1 else asked.folder
    beside = run.folder.with_name(f"{run.folder.name}-{name}")
    return next(folder for folder in run_folder.numbered(beside) if _is_own_or_free(folder, hard, run.folder))


def _is_own_or_free(folder: Path, hard: Run, parent: Path) -> bool:
    if not run_folder.is_whole(folder) and not run_folder.is_unfinished(folder):
        return True
    try:
        run_folder.require_same_from(folder, hard, parent)
    except RunError:
        return False
    return True


def _tell_unmoved(run: Run, tell: Tell) -> None:
    """Inputs that an adversary swaps and training does not."""
    blocks = [block.name for block in run.schema.blocks if block.way(Reach()).swaps is not None]
    if blocks:
        tell(f"{listed(blocks)}: unchanged in training, where only numbers, pictures and series move")


def _trained(child: _Child, parent: Run, asked: Asked, tell: Tell) -> Run:
    """The child, trained unless its folder holds it; Ctrl-C saves."""
    tell(f"hardening: {child.method.title}")
    if child.folder is None or parent.folder is None:
        return finish(child.run, None, tell, diagnose=False)
    with run_folder.locked(child.folder, tell) as folder:
        _begin(child.run, folder, parent.folder, asked.command, tell)
        with resumable(folder, tell):
            return finish(child.run, folder, tell, diagnose=False)


def _begin(hard: Run, folder: Path, parent: Path, command: Sequence[str], tell: Tell) -> None:
    """Writes what defines the run, unless it was begun there."""
    if not run_folder.is_whole(folder) and not run_folder.is_unfinished(folder):
        left = ("scores",) if len(hard.test) else ()
        return run_folder.create_from(hard, folder, parent, command=command, left=left)
    run_folder.require_same_from(folder, hard, parent)
    clear_unfinished(folder)
    is_interrupted = run_folder.is_resumable(folder)
    tell(f"{folder} holds {'an interrupted training: resuming it' if is_interrupted else 'it already'}")


def _compared(run: Run, done: Sequence[tuple[_Child, Run]], asked: Asked, tell: Tell) -> Hardened:
    """All of them under the same attacks on the same rows."""
    seconds = _seconds(run)
    first = attacked(run, _adversary(run, asked), tell).found
    rows = [_row(NONE, "no defense", run, first, 1.0)]
    for child, one in done:
        tell(f"attacking: {child.method.title}")
        found = attacked(one, _adversary(run, asked), tell).found
        cost = _seconds(one) / seconds if seconds else None
        rows.append(_row(child.name, child.method.title, one, found, cost, is_lesson=child.method.is_lesson))
    real = [row for row in rows[1:] if not row.is_lesson]
    best = cheapest_of_the_best(real, is_share=first.is_share) if real else ""
    return Hardened(
        str(run.folder or "network"), first.count, first.of_rows, first.reach, first.measure, first.is_share,
        tuple(rows), best,
    )  # fmt: skip


def cheapest_of_the_best(rows: Sequence[Defended], *, is_share: bool) -> str:
    """The cheapest of those within the interval of the one that holds best: three networks cost three trainings."""
    top = (max if is_share else min)(rows, key=lambda row: row.results["all"] or 0.0)
    low, high = top.between
    level = [row for row in rows if low <= (row.results["all"] or 0.0) <= high]
    return min(level, key=lambda row: row.results["cost"] or 0.0).name


def _adversary(run: Run, asked: Asked) -> Siege:
    """The one that training resists."""
    eps = asked.eps or (0.0 if run.schema.inputs else UNSEEN)
    return Siege(eps=(eps,) if eps else (), norm=asked.norm)


def _row(
    name: str, title: str, run: Run, found: Robustness, cost: float | None, *, is_lesson: bool = False
) -> Defended:
    results = {column: found.result(column) for column in ("clean", "noise", "fgsm", "pgd")}
    wanted = found.levels[0].targeted
    known = {
        **{column: None if isnan(value) else value for column, value in results.items()},
        "all": found.result("union"),
        "wanted": wanted[-1].value if wanted else None,
        "radius": _radius(run),
        "cost": cost,
    }
    doubts = tuple(finding.title for finding in found.doubts)
    union = found.levels[0].union
    between = (union.value if union.low is None else union.low, union.value if union.high is None else union.high)
    return Defended(name, title, known, between, doubts, is_lesson, str(run.folder or ""))


def _radius(run: Run) -> float | None:
    """The mean proven radius; 0 for a wrong answer and for none."""
    part, _ = rows_of(run)
    spread = torch.linspace(0, len(part) - 1, min(PROVEN, len(part))).round().long()  # rows may be sorted by label
    radii = proven(run, part.plain().uncut().take(part.rows[spread]))
    return None if radii is None else float(radii.mean())


def _seconds(run: Run) -> float:
    return sum(epoch.seconds for epoch in run.history.epochs)
