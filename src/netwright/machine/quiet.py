"""Hides warnings that would not help anyone, and sends the others where a program says."""

import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def without_warnings(*kinds: type[Warning]) -> Generator[None]:
    """Hides warnings of these kinds, or all if none is named."""
    with warnings.catch_warnings():
        for kind in kinds or (Warning,):
            warnings.simplefilter("ignore", kind)
        yield


@contextmanager
def warnings_to(show: Callable[[str], object]) -> Generator[None]:
    """Python's warnings go to `show` as text, and not to standard error."""

    def shown(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_rest: object) -> None:
        show(warnings.formatwarning(message, category, filename, lineno))

    with warnings.catch_warnings():
        warnings.showwarning = shown
        yield
