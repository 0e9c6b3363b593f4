"""Warnings that would tell a person nothing."""

import warnings
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def without_warnings(*kinds: type[Warning]) -> Generator[None]:
    """Warnings of these kinds, or all of them if none is named, are not shown."""
    with warnings.catch_warnings():
        for kind in kinds or (Warning,):
            warnings.simplefilter("ignore", kind)
        yield
