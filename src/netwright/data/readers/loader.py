"""All rows of a torch DataLoader or Dataset, as data in memory."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from netwright.machine.randomness import seeded
from netwright.records.errors import DataError
from netwright.records.takes import TARGET_NAMES

AT_ONCE = 256  # rows of a Dataset
REMEDY = "give pairs (x, y) or dictionaries of tensors, numbers and texts of one shape."


def collected(data: Any) -> Any:  # Any: as in `read`
    """(inputs, targets), a dictionary of columns, or inputs alone; anything but a loader as it is.

    Of dictionaries the usual name of a target makes a pair. Raises DataError for rows that cannot be put together.
    """
    if isinstance(data, Dataset) and not isinstance(data, IterableDataset):
        data = DataLoader(data, AT_ONCE)
    if not isinstance(data, DataLoader):
        return data
    try:
        with seeded(0):
            items = list(data)
    except (TypeError, RuntimeError, ValueError) as error:  # torch cannot stack the rows
        raise DataError(f"the rows of a {type(data.dataset).__name__} are no batch: {error}", remedy=REMEDY) from None
    if not items:
        raise DataError("the DataLoader has no batches", remedy="pass a loader with at least one batch.")
    first = items[0]
    if isinstance(first, Mapping):
        columns: dict[str, Any] = {str(name): _joined([item[name] for item in items]) for name in first}
        target = next((name for name in TARGET_NAMES if name in columns), None)
        return columns if target is None else (columns, {target: columns.pop(target)})
    if isinstance(first, list | tuple) and len(first) in (1, 2):
        parts = [_joined(list(part)) for part in zip(*items, strict=True)]
        return parts[0] if len(parts) == 1 else tuple(parts)
    if isinstance(first, torch.Tensor | np.ndarray):
        return _joined(items)
    came = f"{type(first).__name__} of {len(first)}" if isinstance(first, list | tuple) else type(first).__name__
    raise DataError(f"expected batches (x, y), got a {came}", remedy=REMEDY)


def _joined(parts: Sequence[Any]) -> Any:
    """The rows of all batches: an array, or a list of texts."""
    try:
        if isinstance(parts[0], list | tuple):
            cells = [cell for part in parts for cell in part]
            if all(isinstance(cell, str) for cell in cells):
                return cells
            if any(isinstance(cell, torch.Tensor) and cell.ndim for cell in cells):
                problem = f"expected one tensor of inputs in a batch, got {len(parts[0])}"
                raise DataError(problem, remedy="give several inputs as a dictionary: a name and a tensor for each.")
        return np.concatenate([np.asarray(part) for part in parts])
    except (TypeError, ValueError, RuntimeError) as error:  # other shapes in other batches
        raise DataError(f"the batches of a loader cannot be joined: {error}", remedy=REMEDY) from None
