"""Fewer threads while other programs use the cores: waiting threads spin and block the others."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import final

import torch

WINDOW = 0.5  # seconds over which a rate is measured: tens of steps of a small network, and too short to notice
CROWDED = 0.75  # share of the time in which this thread has a core; 0.9 alone, 0.4 with one core busy
WORTH = 1.1  # another count of threads must be this many times as fast: rates vary by a few percent
WAIT, LONGEST = 5.0, 300.0  # seconds before the next trial; doubled after each without a gain
MAY_DIFFER = "the same command may"  # in each note that says so
CHANGED = (
    f"the number of threads changed while training because other programs were busy: {MAY_DIFFER} give weights that "
    "differ in the last digits; to keep the number: --set adapt=false"
)


@contextmanager
def threads(count: int) -> Generator[None]:
    """Torch with this many threads (0: as many as now); restores the number at the end."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_blas_thread() -> Generator[None]:
    """Linear algebra of numpy, scipy and scikit-learn runs on one thread."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield


@contextmanager
def one_thread() -> Generator[None]:
    """The same, and their loops: trees of scikit-learn would take all cores."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


@final
class Watch:
    """Compares wall time with this thread's running time, and tries which number of threads is fastest.

    With one of two cores used by another program, two threads made a step of a small perceptron 20 times slower than
    one thread did, and that of a convolutional network 2 times. Each change is kept only if rows pass faster than
    before it.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        worked: Callable[[], float] = time.thread_time,  # seconds for which this thread had a core
    ) -> None:
        self._clock, self._worked = clock, worked
        self._most = self._count = torch.get_num_threads()
        self.changed = False  # whether the count ever did, if only for a trial
        self._before: tuple[int, float] | None = None  # during a trial: the count of threads and the rate before it
        self._wait, self._next = WAIT, clock()
        self.go_on()
        self._forget()

    def go_on(self) -> None:
        """The time since the last call was not training."""
        self._mark = self._clock(), self._worked()

    def tick(self, rows: int) -> str:
        """Counts the rows trained since the last call; says what it changed, if anything."""
        now, worked = self._clock(), self._worked()
        self._seconds += now - self._mark[0]
        self._busy += worked - self._mark[1]
        self._rows += rows
        self._mark = now, worked
        if self._seconds < WINDOW or self._most == 1:
            return ""
        rate, share = self._rows / self._seconds, self._busy / self._seconds
        self._forget()
        if self._before is not None:
            return self._judge(*self._before, rate, now)
        if now >= self._next:
            if share < CROWDED and self._count > 1:
                self._try(self._count // 2, rate)
            elif self._count < self._most:
                self._try(self._most, rate)
        return ""

    def _try(self, count: int, rate: float) -> None:
        self._before = self._count, rate
        self._set(count)

    def _judge(self, before: int, rate_before: float, rate: float, now: float) -> str:
        self._before = None
        is_worth = rate >= WORTH * rate_before
        self._wait = WAIT if is_worth else min(2 * self._wait, LONGEST)
        self._next = now + self._wait
        if not is_worth:
            self._set(before)
            return ""
        faster = f"{rate / rate_before:.1f} times as fast"
        if self._count < before:
            return f"other programs are busy: {_counted(self._count)} instead of {before} ({faster})"
        return f"the cores are free again: {_counted(self._count)} ({faster})"

    def _set(self, count: int) -> None:
        self._count = count
        self.changed = True
        torch.set_num_threads(count)

    def _forget(self) -> None:
        self._seconds = self._busy = 0.0
        self._rows = 0


def _counted(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"
