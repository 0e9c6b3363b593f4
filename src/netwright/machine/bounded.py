"""A bound on the memory of new tensors: what a foreign file asks for is refused before it is taken."""

from collections.abc import Callable
from math import prod
from typing import Any, final

from torch.overrides import TorchFunctionMode

# Functions that take a size, as several numbers or as one tuple.
MAKE = frozenset(("empty", "zeros", "ones", "full", "rand", "randn", "new_empty", "new_zeros", "new_ones", "new_full"))
FLOAT_BYTES = 4


class BeyondBound(Exception):
    """More bytes than are allowed."""


@final
class bounded(TorchFunctionMode):
    """Within this, new tensors may take `most` bytes together; freed ones count too. Raises BeyondBound before that.

    Counts what torch's factories of a size make; views and results of arithmetic are not counted. (Shapes on the device
    "meta" would do without a bound, but its first use takes more than a second.)
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._left = most

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:  # Any: whatever torch is called with
        """Counts, then calls."""
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in MAKE:
            self._left -= _numel(args, kwargs) * getattr(kwargs.get("dtype"), "itemsize", FLOAT_BYTES)
            if self._left < 0:
                raise BeyondBound
        return func(*args, **kwargs)


def _numel(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    sizes = [kwargs["size"]] if "size" in kwargs else [x for x in args if isinstance(x, int | tuple | list)]
    if sizes and not isinstance(sizes[0], int):
        return prod(sizes[0])
    return prod(size for size in sizes if isinstance(size, int))
