"""Ctrl-C takes effect between two steps, never within one: half an update cannot be saved."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def late_interrupts() -> Generator[Callable[[], bool]]:
    """Gives a function that says whether Ctrl-C was pressed. A second Ctrl-C raises KeyboardInterrupt immediately.

    Changes nothing outside the main thread, or if the program has its own handler.
    """
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    previous = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or previous is not signal.default_int_handler:
        yield lambda: False
        return
    signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    except GeneratorExit:  # the caller left its loop with the interrupt pending: do not lose it
        if asked:
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, previous)
