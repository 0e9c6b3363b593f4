"""Every setting of a training, declared once."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import Field as DataclassField
from dataclasses import dataclass, field, fields, replace
from importlib import import_module
from math import isfinite
from typing import Any, Self

from netwright.records.errors import RecipeError, listed, nearest


def setting(
    default: Any,  # Any: a setting's type is that of its default
    help: str,  # the word the command line uses
    *,
    low: float | None = None,
    high: float | None = None,
    log: bool = False,
    table: str = "",
    words: tuple[str, ...] = (),
    eight: bool = False,
) -> Any:
    """A field of `Recipe`: default, range, scale and help in one place.

    `table` names the literal table ("package.module:TABLE") whose keys are the choices; an import path
    ("package.module:function") is always a choice too. `words` are choices beside the table's.
    """
    metadata = {
        "help": help, "low": low, "high": high, "log": log, "table": table, "words": words, "eight": eight,
    }  # fmt: skip
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Recipe:
    """The settings of one training; all problems of a recipe are told at once.

    The defaults suit small tables; `planning.choose` picks others from the data and the device.
    """

    # The eight hyperparameters of the field.
    lr: float = setting(1e-3, "peak learning rate", low=1e-7, high=10.0, log=True, eight=True)
    batch_size: int = setting(256, "rows in a batch", low=1, high=65536, log=True, eight=True)
    depth: int = setting(3, "hidden blocks of the trunk", low=1, high=1000, log=True, eight=True)
    width: int = setting(256, "units or channels of the trunk", low=1, high=16384, log=True, eight=True)
    weight_decay: float = setting(1e-2, "L2 decay of weights, decoupled in AdamW", low=0.0, high=1.0, eight=True)
    dropout: float = setting(0.1, "share of units dropped while training", low=0.0, high=0.95, eight=True)
    activation: str = setting("relu", "nonlinearity", table="netwright.models:ACTIVATIONS", eight=True)
    optimizer: str = setting("adamw", "update rule", table="netwright.training:OPTIMIZERS", eight=True)

    # The network.
    backbone: str = setting("auto", "trunk", table="netwright.models:BACKBONES", words=("auto",))
    layers: tuple[Any, ...] = setting((), "the trunk written down layer by layer, instead of a backbone")
    normalization: str = setting("auto", "normalization", table="netwright.models:NORMALIZATIONS", words=("auto",))
    init: str = setting(
        "auto", "first weights; auto fits the activation", table="netwright.models:INITS", words=("auto",)
    )
    embedding: str = setting(
        "piecewise", "how numbers enter a table network", table="netwright.models:NUMBER_EMBEDDINGS"
    )
    members: int = setting(1, "networks trained side by side in one, their answers averaged", low=1, high=64)
    mirror: bool = setting(False, "answer pictures by the mean with their mirror images, in twice the time")

    # The loss.
    loss: str = setting("auto", "loss by name; auto is the task's own", table="netwright.tasks:LOSSES", words=("auto",))
    label_smoothing: float = setting(0.0, "share of the target given to all classes", low=0.0, high=0.9)
    class_weights: str = setting("none", "weights of classes in the loss", words=("none", "balanced"))
    l1: float = setting(0.0, "penalty on the absolute weights", low=0.0, high=1.0)

    # The steps.
    epochs: int = setting(30, "passes over the training rows", low=1, high=100000, log=True)
    schedule: str = setting("flat_cosine", "course of the learning rate", table="netwright.training:SCHEDULES")
    warmup: float = setting(0.05, "share of all steps in which the learning rate rises", low=0.0, high=0.9)
    momentum: float = setting(0.9, "momentum of sgd, rmsprop and muon; first beta of adam", low=0.0, high=0.9999)
    beta2: float = setting(0.999, "second beta of adam", low=0.5, high=0.999999)
    nesterov: bool = setting(True, "Nesterov momentum in sgd")
    clip: float = setting(1.0, "longest gradient; 0 clips nothing", low=0.0, high=1e6)
    accumulate: int = setting(1, "batches summed into one step", low=1, high=4096)
    average: float = setting(
        0.0, "half-life of the weights' running average, in epochs; 0 keeps none", low=0.0, high=1000.0
    )
    keep: str = setting(
        "best", "weights kept: of the best epoch on the validation part, or the last", words=("best", "last")
    )
    patience: int = setting(
        0, "epochs without a better validation score before stopping; 0 never stops", low=0, high=100000
    )
    augment: tuple[str, ...] = setting(
        (),
        "changes of training rows; auto tries those that suit and takes what helps",
        table="netwright.data:AUGMENTATIONS",
        words=("auto",),
    )

    # The machine.
    precision: str = setting("auto", "arithmetic", words=("auto", "fp32", "bf16"))
    kernels: str = setting(
        "auto", "torch's kernels, or own ones where torch's are weak on a CPU", words=("auto", "torch", "own")
    )
    compile: str = setting(
        "auto", "torch.compile; auto tries it where a training takes minutes", words=("auto", "never", "always")
    )
    threads: int = setting(0, "threads of the CPU; 0 measures how many pay", low=0, high=1024)
    adapt: bool = setting(True, "fewer threads while other programs are busy; this changes how sums are rounded")
    device: str = setting("auto", "cpu, cuda or auto", words=("auto", "cpu", "cuda"))
    checkpoint_seconds: float = setting(30.0, "longest time between two checkpoints", low=0.0, high=1e6)
    seed: int = setting(0, "decides weights, order, dropout and augmentation", low=0, high=2**31 - 1)

    def __post_init__(self) -> None:
        """Checks every setting and tells all problems at once."""
        problems = [text for s in fields(self) if (text := _problem(s, getattr(self, s.name)))]
        if problems:
            _fail(problems)

    def edit(self, changes: Mapping[str, object]) -> Self:
        """The recipe with other values; text is read as the setting's type, so that `--set lr=3e-4` works."""
        known = {s.name: s for s in fields(self)}
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
        return replace(self, **values)


def settings() -> tuple[DataclassField[Any], ...]:
    """All settings with their metadata, in the order of `Recipe`."""
    return fields(Recipe)


def choices(setting_field: DataclassField[Any]) -> tuple[str, ...]:
    """The names that a setting may hold; empty for numbers."""
    names = list(setting_field.metadata["words"])
    if path := setting_field.metadata["table"]:
        module, _, attribute = path.partition(":")
        names += getattr(import_module(module), attribute)
    return tuple(names)


def code_of(recipe: Recipe) -> Iterator[str]:
    """The entries of a recipe that name code by its import path, as `activation = 'my.module:f'`."""
    for declared in fields(recipe):
        if declared.metadata["table"] or declared.name == "layers":
            yield from code_in(getattr(recipe, declared.name), declared.name)


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
                raise ValueError(f"{name} is true or false, not {text!r}")
            return text.lower() == "true"
        try:
            return kind(float(text)) if kind is int and float(text).is_integer() else kind(text)
        except (ValueError, OverflowError):
            raise ValueError(f"{name} is a {_WORD[kind]}, not {text!r}") from None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
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
        raise ValueError(f"{name} is a list, not {value!r}")
    return tuple(value)


def _kind(declared: DataclassField[Any]) -> type:
    return type(declared.default)


_WORD: dict[type, str] = {int: "whole number", float: "number", str: "name", bool: "truth value", tuple: "list"}


def _problem(declared: DataclassField[Any], value: object) -> str:
    """What is wrong with a value, or nothing."""
    name, kind, about = declared.name, _kind(declared), declared.metadata
    if type(value) is not kind:
        return f"{name} is a {_WORD[kind]}, not {value!r}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = about["low"], about["high"]
        if not isfinite(value) or value < low or value > high:
            return f"{name} is {low:g} to {high:g}, not {value:g}"
    if about["table"] or about["words"]:
        allowed = choices(declared)
        for item in value if isinstance(value, tuple) else (value,):
            if item not in allowed and ":" not in str(item):
                return f"there is no {name} {item!r}: {nearest(str(item), allowed) if allowed else listed(allowed)}"
    return ""
