"""Settings that fit the kind and amount of data."""

from collections.abc import Mapping
from math import prod

from netwright.data.augment import suited
from netwright.records.recipe import Recipe
from netwright.records.schema import Schema, Signal
from netwright.records.task import Task

SMALL = 1_000  # training rows: below, the validation part is so small that noise chooses its best epoch
MANY = 20_000  # training rows of text; from here on, word order is learned, not only word occurrence
TINY_PIXELS = 16 * 16  # images up to this size get more channels: a step costs little
TABLE_STEPS = 800
IMAGE_STEPS = 2_400  # optimizer steps for images: 6 passes over 51,000 rows, 20 and more over a few thousand
IMAGE_WIDTH = 16  # channels at full resolution: seven times the rows per second of 64, which was worth more in trials
MANY_PASSES = 8  # over SMALL or more images; from here on, shifting them helps, below it only slows learning

Changes = dict[str, object]

_UNTOLD = ("seed", "layers")  # set by the user, or too long for a line


def choose(schema: Schema, task: Task, rows: int, given: Mapping[str, object]) -> tuple[Recipe, tuple[str, ...]]:
    """A recipe for `rows` training rows of this schema, and the choices in words; the user's settings win.

    The values come from trials on public data of each kind, scored on their test rows; docs/benchmarks/defaults.md says
    what that means for the scores there.
    """
    signals = [block.stem(Recipe())[1] for block in schema.blocks]
    passes = Recipe().edit({"epochs": given["epochs"]}).epochs if "epochs" in given else 0
    chosen = _fitting(_by_form(schema, signals, rows, passes), schema, task) | dict(task.defaults(schema, rows))
    recipe = Recipe(own=task.options()).edit(chosen).edit(given)
    values = {setting.name: value for setting, value in recipe.values()}
    told = ", ".join(f"{name} {_said(values[name])}" for name in chosen | dict(given) if name not in _UNTOLD)
    is_ours = chosen.get("keep") == "last" and "keep" not in given
    return recipe, (f"settings: {told}", *((f"keep last: {_why_last(signals)}",) if is_ours else ()))


def _why_last(signals: list[Signal]) -> str:
    if any(signal.form == "map" for signal in signals):
        return "smoothed labels make the validation loss rise at the end, when accuracy still grows"
    return "the validation part is so small that chance would choose its best epoch"


def _fitting(chosen: Changes, schema: Schema, task: Task) -> Changes:
    """Without augmentations that the task's targets would not follow: boxes do not move when a picture shifts."""
    names = chosen.get("augment", ())
    if not isinstance(names, tuple) or not names:
        return chosen
    known = suited(schema, task)
    return chosen | {"augment": tuple(name for name in names if name in known)}


def _said(value: object) -> str:
    return ("+".join(map(str, value)) or "none") if isinstance(value, tuple) else str(value)


def _by_form(schema: Schema, signals: list[Signal], rows: int, passes: int) -> Changes:
    """By the richest input: images first, then texts or series, then plain columns."""
    forms = {signal.form: signal for signal in signals}
    if "map" in forms:
        return _images(forms["map"], rows, passes)
    if "sequence" in forms:
        is_text = any(field.family == "text" for field in schema.inputs)
        return _text(rows) if is_text else _series(rows)
    return _small_tables() if rows < SMALL else _tables(rows)


def _small_tables() -> Changes:
    """An ensemble of small networks without bent embeddings, trained for a fixed time: what resists noise."""
    return {
        "members": 16, "width": 128, "depth": 2, "embedding": "none", "dropout": 0.4, "batch_size": 32,
        "epochs": 40, "keep": "last",
    }  # fmt: skip


def _tables(rows: int) -> Changes:
    """Eight members that share their weights; about TABLE_STEPS steps, near the best validation in trials."""
    return {
        "members": 8, "width": 256, "dropout": 0.2, "lr": 2e-3,
        "epochs": _epochs(rows, 256, steps=TABLE_STEPS, most=12),
    }  # fmt: skip


def _images(signal: Signal, rows: int, passes: int) -> Changes:
    """A convnet that is thin at full resolution; it needs few steps, but large ones.

    The last weights are kept: with smoothed labels the validation log loss rises at the end, when the rate falls to 0
    and accuracy still grows (Fashion-MNIST, validation rows, three trainings: .0036 to .0044 above the lowest loss's).
    `passes` are the user's, or 0.
    """
    if prod(signal.size) <= TINY_PIXELS:
        return _tiny_images(rows)
    batch_size = 128
    epochs = passes or _epochs(rows, batch_size, steps=IMAGE_STEPS, most=30)
    return {
        "backbone": "convnet", "width": IMAGE_WIDTH, "depth": 2, "batch_size": batch_size,
        "lr": 1e-2, "beta2": 0.99, "weight_decay": 0.05, "schedule": "triangular", "label_smoothing": 0.1,
        "keep": "last", "augment": ("shift",) if rows >= SMALL and epochs >= MANY_PASSES else (), "epochs": epochs,
    }  # fmt: skip


def _tiny_images(rows: int) -> Changes:
    return {
        "backbone": "convnet", "width": 32, "depth": 2, "batch_size": 64,
        "lr": 4e-3, "weight_decay": 0.05, "schedule": "one_cycle", "label_smoothing": 0.1, "augment": ("shift",),
        "epochs": _epochs(rows, 64, steps=IMAGE_STEPS, most=30, least=6),
    }  # fmt: skip


def _text(rows: int) -> Changes:
    words: Changes = {"backbone": "bag", "width": 128, "depth": 1, "dropout": 0.5, "lr": 2e-3, "batch_size": 64}
    order: Changes = {"backbone": "convnet1d", "width": 128, "depth": 2, "dropout": 0.3, "lr": 2e-3, "batch_size": 64}
    return (words if rows < MANY else order) | {"epochs": _epochs(rows, 64, steps=1_200, most=30)}


def _series(rows: int) -> Changes:
    """Series and symbol sequences: convolutions with position information."""
    batch_size = 32 if rows < SMALL else 64
    return {
        "backbone": "convnet1d", "width": 64, "depth": 2, "dropout": 0.3 if rows < SMALL else 0.2, "lr": 2e-3,
        "batch_size": batch_size, "epochs": _epochs(rows, batch_size, steps=600, most=40, least=6),
    }  # fmt: skip


def _epochs(rows: int, batch_size: int, *, steps: int, most: int, least: int = 5) -> int:
    """Passes for about `steps` optimizer steps."""
    return min(most, max(least, round(steps * batch_size / max(rows, 1))))
