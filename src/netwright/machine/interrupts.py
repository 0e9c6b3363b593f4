"""Ctrl-C, and a request to end, take effect between two steps, never within one: half an update cannot be saved."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import final

REQUESTS = ("SIGTERM", "SIGHUP")  # of docker, systemd and slurm; of a terminal that closes. Windows lacks the second


class Ended(SystemExit):
    """The system asked the process to end; its exit code is the one that shells expect after the signal."""

    def __init__(self, number: int) -> None:
        self.status = 128 + number
        super().__init__(self.status)


@final
class Interrupts:
    """What came since the start."""

    def __init__(self) -> None:
        self._came = 0  # the number of the first signal
        self._may_raise = False

    def __bool__(self) -> bool:
        return bool(self._came)

    def exception(self) -> BaseException:
        """What to raise now that everything is saved."""
        return KeyboardInterrupt() if self._came == signal.SIGINT else Ended(self._came)

    @contextmanager
    def at_once(self) -> Generator[None]:
        """Within this, the exception is raised when the signal comes, or at the start if it came before."""
        self._may_raise = True
        try:
            if self:
                raise self.exception()
            yield
        finally:
            self._may_raise = False

    def take(self, number: int, frame: FrameType | None) -> None:
        """The handler. A second Ctrl-C raises KeyboardInterrupt immediately; other signals may be sent repeatedly."""
        is_first, self._came = not self._came, self._came or number
        if self._may_raise:
            if is_first:  # a second exception could keep the first from restoring things
                raise self.exception()
        elif not is_first and number == signal.SIGINT:
            raise KeyboardInterrupt


@contextmanager
def late_interrupts() -> Generator[Interrupts]:
    """Gives what says whether Ctrl-C was pressed or the system asked the process to end.

    Changes nothing outside the main thread, and no signal for which the program has its own handler, or that it
    ignores.
    """
    interrupts = Interrupts()
    with _handled(interrupts):
        try:
            yield interrupts
        except GeneratorExit:  # the caller left its loop with the interrupt pending: do not lose it
            if interrupts:
                raise interrupts.exception() from None
            raise


@contextmanager
def _handled(interrupts: Interrupts) -> Generator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    requests = (found for name in REQUESTS if (found := getattr(signal, name, None)) is not None)
    plain = {signal.SIGINT: signal.default_int_handler, **dict.fromkeys(requests, signal.SIG_DFL)}
    taken = [number for number, handler in plain.items() if signal.getsignal(number) == handler]
    for number in taken:
        signal.signal(number, interrupts.take)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, plain[number])
