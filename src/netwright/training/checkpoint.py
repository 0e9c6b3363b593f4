"""Everything that training needs to resume as if it had never stopped, in one file without code."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from math import nan
from pathlib import Path
from typing import Any, final

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from netwright.files import (
    AGAIN,
    append_line,
    flush,
    read_tensors,
    read_text,
    replace_tensors,
    replace_text,
    unwritable,
)
from netwright.machine.fused import UpdateRule
from netwright.records.errors import RunError
from netwright.records.history import Epoch
from netwright.records.watched import Watched
from netwright.training.average import Average
from netwright.training.weights import misfit, put, shapes_of

RESUME = "resume.safetensors"
HISTORY = "history.jsonl"
ANEW = "delete {} and run the same command again: training starts from its beginning."


@final
@dataclass(frozen=True)
class Position:
    """Where training is. Orders and dropout follow from the seed and these numbers: no generator is saved."""

    epoch: int = 1  # in progress
    taken: int = 0  # optimizer steps of this epoch
    step: int = 0  # optimizer steps of all epochs
    loss_sum: float = 0.0  # over the rows of this epoch
    norm_sum: float = 0.0  # of gradients, over the steps of this epoch
    rows: int = 0  # of this epoch
    training_seconds: float = 0.0  # of this epoch, without evaluation and checkpoints
    seconds: float = 0.0  # of this epoch, in all
    best: float | None = None  # the watched metric of the kept weights
    best_epoch: int = 0  # 0: none kept yet, or those before the first step
    lowered: int = 0  # how often the plateau schedule has lowered the rate
    lowered_epoch: int = 0  # when it last did
    ended: str = ""  # why, once training has ended


def _groups() -> dict[str, dict[str, Tensor]]:
    return {"network": {}, "average": {}, "best": {}, "optimizer": {}}


@final
@dataclass(frozen=True)
class Checkpoint:
    """A position with its tensors, by group: network, average, best, optimizer; by default the start of training."""

    position: Position = field(default_factory=Position)
    tensors: Mapping[str, Mapping[str, Tensor]] = field(default_factory=_groups)
    optimizer: Mapping[str, float] = field(default_factory=dict[str, float])  # its state that is not tensors
    watched: Watched = field(default_factory=Watched)


def save(
    folder: Path,
    position: Position,
    groups: Mapping[str, Mapping[str, Tensor]],
    optimizer: UpdateRule,
    watched: Watched | None = None,
) -> None:
    """Writes resume.safetensors; replaces the last one when the new one is complete."""
    state = {f"{i}/{key}": value for i, s in optimizer.state_dict()["state"].items() for key, value in s.items()}
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    numbers = {name: value for name, value in state.items() if isinstance(value, int | float)}
    flat = {f"{group}/{name}": t for group, own in {**groups, "optimizer": tensors}.items() for name, t in own.items()}
    header = {
        "position": json.dumps(asdict(position)),
        "optimizer": json.dumps(numbers),
        "watched": watched_text(watched or Watched()),
    }
    if (folder / HISTORY).exists():
        flush(folder / HISTORY)  # the checkpoint relies on these epochs, so they must be on disk first
    replace_tensors(folder / RESUME, flat, header)


def load(folder: Path) -> Checkpoint | None:
    """The last checkpoint, or None if there is none. Raises RunError if it cannot be read."""
    path = folder / RESUME
    if not path.exists():
        return None
    try:
        tensors, header = read_tensors(path)
    except RunError as error:
        raise RunError(error.problem, remedy=ANEW.format(path)) from None
    groups = _groups()
    try:
        for name, tensor in tensors.items():
            group, _, rest = name.partition("/")
            groups[group][rest] = tensor
        position = TypeAdapter(Position).validate_json(header["position"])
        numbers = TypeAdapter(dict[str, int | float]).validate_json(header["optimizer"])
        watched = parse_watched(header["watched"])
    except (KeyError, ValidationError) as error:
        raise RunError(f"{path} is not a checkpoint of this version: {error}", remedy=ANEW.format(path)) from None
    return Checkpoint(position, groups, numbers, watched)


def resumed(
    folder: Path, network: nn.Module, optimizer: UpdateRule, average: Average | None, *, has_best: bool
) -> tuple[Checkpoint, tuple[Epoch, ...]]:
    """The last checkpoint and the epochs before it; restores network, optimizer and average.

    Without a checkpoint, training starts. Epochs after the checkpoint are removed from the history. Raises RunError if
    the folder cannot be written or its checkpoint is of another network.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from None
    if (saved := load(folder)) is None:
        cut_history(folder, ())
        return Checkpoint(), ()
    has = {"network": True, "average": average is not None, "best": has_best and saved.position.best is not None}
    for group in (name for name, there in has.items() if there):
        if problem := misfit(network, shapes_of(saved.tensors[group])):
            raise RunError(
                f"the checkpoint in {folder} is of another network: {problem}",
                remedy="use the command and settings that started this run.",
            )
    put(network, saved.tensors["network"])
    if average is not None:
        average.load(saved.tensors["average"])
    restore_optimizer(optimizer, saved)
    epochs = read_history(folder, saved.position.epoch - 1)
    cut_history(folder, epochs)
    return saved, epochs


def restore_optimizer(optimizer: UpdateRule, checkpoint: Checkpoint) -> None:
    """Writes the checkpoint's state into a fresh optimizer over the same parameters."""
    empty = optimizer.state_dict()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for name, value in {**checkpoint.tensors["optimizer"], **checkpoint.optimizer}.items():
        index, _, key = name.partition("/")
        state.setdefault(int(index), {})[key] = _laid_out(value, parameters[int(index)])
    optimizer.load_state_dict({"state": state, "param_groups": empty["param_groups"]})


def _laid_out(value: Tensor | float, parameter: Tensor) -> Tensor | float:
    """A state tensor in its parameter's memory layout: fused kernels walk through both and ignore strides."""
    if isinstance(value, Tensor) and value.shape == parameter.shape:
        return torch.empty_like(parameter, dtype=value.dtype).copy_(value)
    return value


def watched_text(watched: Watched) -> str:
    """What was seen, as JSON; numbers that are not finite become null."""
    return TypeAdapter(Watched).dump_json(watched).decode()


def parse_watched(text: str) -> Watched:
    """Reads what `watched_text` wrote; null becomes NaN. Raises pydantic's ValidationError."""
    return TypeAdapter(Watched).validate_python(_without_null(json.loads(text)))


def _without_null(value: Any) -> Any:  # Any: JSON
    if isinstance(value, dict):
        return {name: _without_null(v) for name, v in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [_without_null(v) for v in value]  # pyright: ignore[reportUnknownVariableType]
    return nan if value is None else value


def append_epoch(folder: Path, epoch: Epoch) -> None:
    """Adds a line to history.jsonl."""
    append_line(folder / HISTORY, json.dumps(asdict(epoch)))


def cut_history(folder: Path, epochs: Iterable[Epoch]) -> None:
    """Rewrites history.jsonl: what came after the checkpoint is repeated."""
    replace_text(folder / HISTORY, "".join(json.dumps(asdict(epoch)) + "\n" for epoch in epochs))


def read_history(folder: Path, count: int | None = None) -> tuple[Epoch, ...]:
    """The first `count` epochs of history.jsonl, or all. Raises RunError if there are fewer, or for a broken line.

    A truncated last line (a killed process, a full disk) belongs to no checkpoint and is ignored.
    """
    path = folder / HISTORY
    lines = read_text(path).split("\n")[:-1] if path.exists() else []
    if count is not None and len(lines) < count:
        raise RunError(f"{path} has {len(lines)} epochs, but the checkpoint has {count}", remedy=AGAIN)
    adapter = TypeAdapter(Epoch)
    epochs: list[Epoch] = []
    for number, line in enumerate(lines[:count], 1):
        try:
            epochs.append(adapter.validate_json(line))
        except ValidationError as error:
            raise RunError(f"{path}, line {number} is not an epoch: {error}", remedy=AGAIN) from None
    return tuple(epochs)
