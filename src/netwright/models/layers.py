"""Parsing of a list of layers; all its problems are reported at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from netwright.models import ACTIVATIONS
from netwright.records.errors import RecipeError, nearest

# Layers with a value: their options, with defaults.
OPTIONS: dict[str, dict[str, Any]] = {
    "dense": {"bias": True},
    "conv": {"kernel": 3, "stride": 1, "dilation": 1, "groups": 1, "bias": True},
    "depthwise": {"stride": 1, "dilation": 1, "bias": True},
    "pool": {"kind": "max"},
    "global_pool": {},
    "group_norm": {},
    "dropout": {},
    "lstm": {"bidirectional": False},
    "gru": {"bidirectional": False},
    "attention": {},
    "embedding": {},
    "residual": {},
    "parallel": {},
    "repeat": {"layers": ()},
}
NORMS = {"batch_norm": "batch", "layer_norm": "layer", "group_norm": "group", "rms_norm": "rms"}
WORDS = ("flatten", "global_pool", *NORMS, *ACTIVATIONS)  # layers without a value
POOLS = ("max", "avg")
GLOBAL_POOLS = ("mean", "max")
FLOATS = ("dropout",)
LISTS = ("residual", "parallel", "layers")


@dataclass(frozen=True)
class Layer:
    """One entry of the list, read."""

    name: str
    value: Any
    options: Mapping[str, Any]
    place: str  # "3", or "3.2" inside the third
    text: str  # as written

    def __str__(self) -> str:
        return f"layer {self.place} {self.text}"


def read(layers: Sequence[Any]) -> list[Layer]:
    """The layers, or a RecipeError with all unknown names, options and values."""
    problems: list[str] = []
    found = _read(layers, "", problems)
    if problems:
        raise RecipeError("; ".join(problems), remedy="correct the layers.")
    return found


def total_stride(layers: Sequence[Layer]) -> int:
    """The number of input pixels or steps for one of the output."""
    product = 1
    for layer in layers:
        if layer.name == "pool":
            product *= int(layer.value)
        elif layer.name == "repeat":
            product *= total_stride(layer.options["layers"]) ** int(layer.value)
        elif layer.name in ("residual", "parallel"):
            product *= total_stride(layer.value if layer.name == "residual" else layer.value[0])
        else:
            product *= int(layer.options.get("stride", 1))
    return product


def _read(layers: Sequence[Any], prefix: str, problems: list[str]) -> list[Layer]:
    entries = (_read_layer(entry, f"{prefix}{place}", problems) for place, entry in enumerate(layers, 1))
    return [layer for layer in entries if layer]


def _read_layer(entry: Any, place: str, problems: list[str]) -> Layer | None:
    if isinstance(entry, str):
        if entry in WORDS or ":" in entry:
            return Layer(entry, None, {}, place, entry)
        why = f"needs a value, as in {{{entry}: 2}}" if entry in OPTIONS else f"is unknown: {nearest(entry, WORDS)}"
        problems.append(f"layer {place} {entry!r} {why}")
        return None
    if not isinstance(entry, Mapping) or not entry:
        problems.append(f"layer {place} must be a word or a mapping, not {entry!r}")
        return None
    name = next((key for key in entry if key in OPTIONS), None)
    if name is None:
        first = str(next(iter(entry)))
        why = "takes no value" if first in WORDS else f"is unknown: {nearest(first, OPTIONS)}"
        problems.append(f"layer {place} {first!r} {why}")
        return None
    given = {str(key): value for key, value in entry.items() if key != name}
    layer = Layer(name, entry[name], {**OPTIONS[name], **given}, place, _written(entry))
    found = [*_unknown_options(layer, given), *_bad_values(layer)]
    problems += found
    return None if found else _read_branches(layer, problems)


def _unknown_options(layer: Layer, given: Mapping[str, Any]) -> list[str]:
    known = OPTIONS[layer.name]
    advice = {key: nearest(key, known) if known else f"{layer.name} has none." for key in given if key not in known}
    return [f"{layer}: there is no option {key!r}: {text}" for key, text in advice.items()]


def _bad_values(layer: Layer) -> list[str]:
    values = {layer.name: layer.value, **{key: layer.options[key] for key in OPTIONS[layer.name]}}
    return [
        f"{layer}: {key} must be {need}, not {value!r}" for key, value in values.items() if (need := _need(key, value))
    ]


def _need(key: str, value: Any) -> str:
    """What a value must be, or nothing if it is right."""
    if key in LISTS:
        return "" if isinstance(value, list | tuple) and value else "a list of layers"
    if key in ("bias", "bidirectional"):
        return "" if isinstance(value, bool) else "true or false"
    if key in ("kind", "global_pool"):
        words = POOLS if key == "kind" else GLOBAL_POOLS
        return "" if value in words else " or ".join(words)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "a number"
    if key in FLOATS:
        return "" if 0 <= value < 1 else "at least 0 and below 1"
    if value < 1 or value != int(value):
        return "a whole number from 1"
    return "an odd number" if key in ("kernel", "depthwise") and value % 2 == 0 else ""


def _read_branches(layer: Layer, problems: list[str]) -> Layer:
    """The layer, with the lists in it parsed too."""
    if layer.name == "residual":
        return replace(layer, value=_read(layer.value, f"{layer.place}.", problems))
    if layer.name == "repeat":
        return replace(layer, options={"layers": _read(layer.options["layers"], f"{layer.place}.", problems)})
    if layer.name == "parallel":
        lists = [branch if isinstance(branch, list | tuple) else [branch] for branch in layer.value]
        branches = [_read(branch, f"{layer.place}.{number}.", problems) for number, branch in enumerate(lists, 1)]
        return replace(layer, value=branches)
    return layer


def _written(entry: Mapping[Any, Any]) -> str:
    parts = (f"{key}: {'[...]' if isinstance(value, list | tuple) else value}" for key, value in entry.items())
    return f"{{{', '.join(parts)}}}"
