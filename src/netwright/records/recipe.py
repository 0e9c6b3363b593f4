"""Every setting of training, declared once."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import Field as DataclassField
from dataclasses import dataclass, field, fields, replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Self, TypeVar

from netwright.records.errors import RecipeError, listed, nearest

T = TypeVar("T")
_DECLARED = re.compile(r"^    (\w+): [^=\n]+ = setting\(", re.MULTILINE)
_IMPORT = re.compile(r"'[A-Za-z_][\w.]*:[A-Za-z_]")


def setting(
    default: Any,  # Any: a setting's type is that of its default
    help: str,  # the command line's word
    *,
    group: str = "task",
    low: float | None = None,
    high: float | None = None,
    search: tuple[float, float] | None = None,
    table: str = "",
    words: tuple[str, ...] = (),
    eight: bool = False,
) -> Any:
    """A field of `Recipe`, or of a task's own options: default, range and help in one place.

    `search` is the range that people try: the full range includes networks that train for hours. `table` names the
    literal table ("package.module:TABLE") whose keys are the choices; an import path ("package.module:function") is
    always a choice too. `words` are further choices.
    """
    metadata = {
        "help": help, "group": group, "low": low, "high": high, "search": search, "table": table, "words": words,
        "eight": eight,
    }  # fmt: skip
    return field(default=default, metadata=metadata)


_model = partial(setting, group="model")
_training = partial(setting, group="training")
_machine = partial(setting, group="machine")

DISTILLATION = "distillation"  # the defense that needs a teacher
LONG = 10**300  # whole numbers beyond have no float

GROUPS = ("model", "training", "machine", "task")  # sections of recipe.toml


@dataclass(frozen=True)
class NoOptions:
    """A task without settings of its own."""


@dataclass(frozen=True)
class Recipe:
    """The settings of one training. All problems of a recipe are reported at once.

    The defaults suit small tables; `planning.choose` adapts them to the data and the device.
    """

    # The eight hyperparameters of the field.
    lr: float = _training(1e-3, "peak learning rate", low=1e-7, high=10.0, search=(1e-5, 1e-1), eight=True)
    batch_size: int = _training(256, "rows in a batch", low=1, high=65536, search=(8, 512), eight=True)
    depth: int = _model(3, "hidden blocks in the trunk", low=1, high=1000, search=(1, 6), eight=True)
    width: int = _model(256, "units or channels in the trunk", low=1, high=16384, search=(16, 512), eight=True)
    weight_decay: float = _training(
        1e-2, "L2 decay of weights, decoupled in AdamW", low=0.0, high=1.0, search=(1e-4, 0.3), eight=True
    )
    dropout: float = _model(
        0.1, "share of units dropped in training", low=0.0, high=0.95, search=(0.0, 0.6), eight=True
    )
    activation: str = _model("relu", "nonlinearity", table="netwright.models:ACTIVATIONS", eight=True)
    optimizer: str = _training("adamw", "update rule", table="netwright.training:OPTIMIZERS", eight=True)

    # The network.
    backbone: str = _model("auto", "trunk", table="netwright.models:BACKBONES", words=("auto",))
    layers: tuple[Any, ...] = _model((), "the trunk, layer by layer, instead of a backbone")
    normalization: str = _model("auto", "normalization", table="netwright.models:NORMALIZATIONS", words=("auto",))
    init: str = _model(
        "auto", "initial weights; auto fits the activation", table="netwright.models:INITS", words=("auto",)
    )
    embedding: str = _model(
        "piecewise", "how numbers enter a table network", table="netwright.models:NUMBER_EMBEDDINGS"
    )
    members: int = _model(1, "networks trained together as one; answers are averaged", low=1, high=64)
    mirror: bool = _model(False, "average the answers for an image and its mirror image; takes twice the time")
    ensemble: int = _model(1, "independent networks trained side by side; their answers are averaged", low=1, high=64)
    smoothing: float = _model(
        0.0, "spread of the noise over which answers are averaged, as a share of each input's range; 0: none",
        low=0.0, high=10.0,
    )  # fmt: skip
    guard: tuple[str, ...] = _model(
        (), "modules around the network that hide gradients", table="netwright.models:GUARDS"
    )

    # The loss.
    loss: str = _training(
        "auto", "loss by name; auto is the task's own", table="netwright.tasks:LOSSES", words=("auto",)
    )
    label_smoothing: float = _training(0.0, "share of the target given to all classes", low=0.0, high=0.9)
    class_weights: str = _training("none", "weights of classes in the loss", words=("none", "balanced"))
    l1: float = _training(0.0, "penalty on the absolute weights", low=0.0, high=1.0)

    # The steps.
    epochs: int = _training(30, "passes over the training rows", low=1, high=100000)
    schedule: str = _training("flat_cosine", "course of the learning rate", table="netwright.training:SCHEDULES")
    warmup: float = _training(0.05, "share of all steps during which the learning rate rises", low=0.0, high=0.9)
    momentum: float = _training(0.9, "momentum of sgd, rmsprop and muon; first beta of adam", low=0.0, high=0.9999)
    beta2: float = _training(0.999, "second beta of adam", low=0.5, high=0.999999)
    nesterov: bool = _training(True, "Nesterov momentum in sgd")
    clip: float = _training(1.0, "largest gradient norm; 0 turns clipping off", low=0.0, high=1e6)
    accumulate: int = _training(1, "batches summed into one step", low=1, high=4096)
    average: float = _training(
        0.0, "half-life of the weights' running average, in epochs; 0 turns it off", low=0.0, high=1000.0
    )
    keep: str = _training(
        "best", "weights to keep: of the best epoch on the validation part, or of the last", words=("best", "last")
    )
    patience: int = _training(
        0, "epochs without a better validation score before stopping; 0 never stops", low=0, high=100000
    )
    augment: tuple[str, ...] = _training(
        (),
        "augmentation of training rows; auto tries those that suit and keeps what helps",
        table="netwright.data:AUGMENTATIONS",
        words=("auto",),
    )

    # The adversary in training.
    defense: tuple[str, ...] = _training((), "what training resists", table="netwright.defenses:DEFENSES")
    defense_eps: float = _training(
        0.0, "reach of the adversary in training, as a share of each input's range; 0: what a person would not notice",
        low=0.0, high=10.0,
    )  # fmt: skip
    defense_norm: str = _training("inf", "norm in which that reach is measured", words=("inf", "2"))
    temperature: float = _training(20.0, "how much distillation softens the teacher's answers", low=1.0, high=1e3)

    # The machine.
    precision: str = _machine("auto", "arithmetic", words=("auto", "fp32", "bf16"))
    kernels: str = _machine(
        "auto", "torch's kernels, or netwright's own if torch's are slow on a CPU", words=("auto", "torch", "own")
    )
    compile: str = _machine(
        "auto", "torch.compile; auto tries it if training takes minutes", words=("auto", "never", "always")
    )
    threads: int = _machine(0, "CPU threads; 0 measures how many pay off", low=0, high=1024)
    adapt: bool = _machine(True, "use fewer threads while other programs are busy; this changes how sums are rounded")
    device: str = _machine("auto", "cpu, cuda or auto", words=("auto", "cpu", "cuda"))
    checkpoint_seconds: float = _machine(30.0, "longest time between two checkpoints", low=0.0, high=1e6)
    seed: int = _training(0, "seed of weights, order, dropout and augmentation", low=0, high=2**31 - 1)

    # The task's: a frozen dataclass of settings, as `Task.options` declares it.
    own: Any = NoOptions()

    def __post_init__(self) -> None:
        """Checks every setting and reports all problems at once."""
        problems = [text for s, value in self.values() if (text := _problem(s, value))]
        names = [s.name for s, _ in self.values()]
        problems += [f"the task's own {name} has the name of a setting" for name in {*names} if names.count(name) > 1]
        if problems:
            _fail(problems)

    def values(self) -> Iterator[tuple[DataclassField[Any], Any]]:
        """Every setting with its value, the task's own last."""
        for record in (self, self.own):
            yield from ((s, getattr(record, s.name)) for s in fields(record) if s.metadata)

    def of(self, options: type[T]) -> T:
        """The task's own settings; their defaults if the recipe was made without the task."""
        return self.own if isinstance(self.own, options) else options()

    def edit(self, changes: Mapping[str, object]) -> Self:
        """The recipe with other values; text is read as the setting's type, so `--set lr=3e-4` works."""
        known = {s.name: s for s, _ in self.values()}
        problems, values = [], {}
        for name, value in changes.items():
            if name not in known:
                problems.append(f"there is no setting {name!r}: {nearest(name, known)}")
                continue
            try:
                values[name] = _read(known[name], value)
            except ValueError as error:
                problems.append(str(error))
        problems += [text for name, value in values.items() if (text := _problem(known[name], value))]
        if problems:
            _fail(problems)
        own = {s.name: values.pop(s.name) for s in fields(self.own) if s.name in values}
        return replace(self, **values, own=replace(self.own, **own))

    def sections(self) -> dict[str, dict[str, Any]]:
        """All values by group, as recipe.toml has them."""
        found = {
            group: {s.name: value for s, value in self.values() if s.metadata["group"] == group} for group in GROUPS
        }
        return {group: values for group, values in found.items() if values}


def flat(record: Mapping[str, Any]) -> dict[str, Any]:  # Any: TOML
    """Settings by name, from sections as in `Recipe.sections`, or from a file without sections."""
    found = dict[str, Any]()
    for name, value in record.items():
        found |= value if name in GROUPS and isinstance(value, Mapping) else {name: value}
    return found


def early(given: Mapping[str, object], task: Any = None) -> Recipe:  # Any: a name, a class or a task
    """The recipe before the task is known: without the task's own settings, which `edit` checks later.

    Raises RecipeError for an unknown name. If the task is one of the table, the tasks' own settings count as known.
    """
    known, problems, recipe = [s.name for s in settings()], list[str](), Recipe()
    if (others := given.keys() - {*known}) and (task is None or task in import_module("netwright.tasks").TASKS):
        own = own_names()
        problems += [f"there is no setting {n!r}: {nearest(n, [*known, *own])}" for n in sorted(others - {*own})]
    try:
        recipe = recipe.edit({name: value for name, value in given.items() if name in known})
    except RecipeError as error:
        problems.append(error.problem)
    if problems:
        _fail(problems)
    return recipe


def settings() -> tuple[DataclassField[Any], ...]:
    """All settings with their metadata, in the order of `Recipe`, except those of tasks."""
    return tuple(s for s, _ in Recipe().values())


def own_names() -> tuple[str, ...]:
    """Names of tasks' own settings, read from their modules' text: importing all tasks takes a second."""
    found = list[str]()
    for module, _, _ in _tasks():
        loader: Any = getattr(find_spec(module), "loader", None)
        found += _DECLARED.findall(loader.get_source(module) or "") if loader else []
    return tuple(dict.fromkeys(found))


def own_settings() -> tuple[DataclassField[Any], ...]:
    """The own settings of all tasks in the table. Imports the tasks."""
    tasks = [getattr(import_module(module), name) for module, _, name in _tasks()]
    return tuple(s for task in tasks for s in fields(task.options))


def _tasks() -> list[tuple[str, str, str]]:
    return [path.partition(":") for path in import_module("netwright.tasks").TASKS.values()]


def choices(setting_field: DataclassField[Any]) -> tuple[str, ...]:
    """The names that a setting may hold; empty for numbers."""
    names = list(setting_field.metadata["words"])
    if path := setting_field.metadata["table"]:
        module, _, attribute = path.partition(":")
        names += getattr(import_module(module), attribute)
    return tuple(names)


def code_of(recipe: Recipe) -> Iterator[str]:
    """The entries of a recipe that name code by import path, as `activation = 'my.module:f'`."""
    for declared, value in recipe.values():
        if declared.metadata["table"] or declared.name == "layers":
            yield from code_in(value, declared.name)


def named_code(given: Mapping[str, object]) -> Iterator[str]:
    """The same for settings that are not a recipe yet; for tasks' own settings, anything like an import path."""
    known = {s.name: s for s in settings()}
    yield from code_of(Recipe().edit({name: value for name, value in given.items() if name in known}))
    for name, value in given.items():
        if name not in known:
            yield from (entry for entry in code_in(value, name) if _IMPORT.search(entry))


def code_in(value: Any, name: str) -> Iterator[str]:  # Any: a setting's value, however deep
    """The import paths in a value, as `layers = 'my.module:f'`."""
    if isinstance(value, str) and ":" in value:
        yield f"{name} = {value!r}"
    elif isinstance(value, Mapping):
        for pair in value.items():  # pyright: ignore[reportUnknownVariableType]
            yield from code_in(pair, name)
    elif isinstance(value, list | tuple):
        for item in value:  # pyright: ignore[reportUnknownVariableType]
            yield from code_in(item, name)


def _fail(problems: list[str]) -> None:
    raise RecipeError("; ".join(problems), remedy="`netwright recipe` lists the settings and their ranges.")


def _read(declared: DataclassField[Any], value: object) -> object:
    """`value` as the type of the setting's default."""
    kind, name = _kind(declared), declared.name
    if kind is tuple:
        return _read_tuple(name, value)
    if isinstance(value, str):
        text = value.strip()
        if kind is bool:
            if text.lower() not in ("true", "false"):
                raise ValueError(f"{name} must be true or false, not {text!r}")
            return text.lower() == "true"
        try:
            return kind(float(text)) if kind is int and float(text).is_integer() else kind(text)
        except (ValueError, OverflowError):
            raise ValueError(f"{name} must be a {_WORD[kind]}, not {text!r}") from None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ValueError(f"{name} must be a number of fewer digits") from None
    return value


def _read_tuple(name: str, value: object) -> tuple[object, ...]:
    if isinstance(value, str):
        text = value.strip()
        if not text.startswith("["):
            return tuple(part.strip() for part in text.split(",") if part.strip() and part.strip() != "none")
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"{name} is not valid JSON: {error}") from None
    if not isinstance(value, list | tuple):
        raise ValueError(f"{name} must be a list, not {value!r}")
    return tuple(value)


def _kind(declared: DataclassField[Any]) -> type:
    return type(declared.default)


_WORD: dict[type, str] = {int: "whole number", float: "number", str: "name", bool: "truth value", tuple: "list"}


def _problem(declared: DataclassField[Any], value: object) -> str:
    """What is wrong with a value, or nothing."""
    name, kind, about = declared.name, _kind(declared), declared.metadata
    if type(value) is not kind:
        return f"{name} must be a {_WORD[kind]}, not {value!r}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = about["low"], about["high"]
        if value != value or value < low or value > high:  # of float("inf") and numbers of any length too
            shown = f"{value:g}" if -LONG < value < LONG or isinstance(value, float) else "a number of many digits"
            return f"{name} must be {low:g} to {high:g}, not {shown}"
    if about["table"] or about["words"]:
        allowed = choices(declared)
        for item in value if isinstance(value, tuple) else (value,):
            if item not in allowed and ":" not in str(item):
                return f"there is no {name} {item!r}: {nearest(str(item), allowed) if allowed else listed(allowed)}"
    return ""
