"""Hides warnings that would not help anyone."""

import warnings
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def without_warnings(*kinds: type[Warning]) -> Generator[None]:
    """Hides warnings of these kinds, or all if none is named."""
    with warnings.catch_warnings():
        for kind in kinds or (Warning,):
            warnings.simplefilter("ignore", kind)
        yield
