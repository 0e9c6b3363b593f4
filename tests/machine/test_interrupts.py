import os
import signal
from collections.abc import Iterator

import pytest

from netwright.machine.interrupts import Ended, late_interrupts

REQUESTS = [signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def as_in_a_new_process() -> Iterator[None]:
    plain = {signal.SIGINT: signal.default_int_handler, **dict.fromkeys(REQUESTS, signal.SIG_DFL)}
    before = {number: signal.signal(number, handler) for number, handler in plain.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, *REQUESTS])
def test_a_signal_waits_until_it_is_asked_for_and_its_handler_returns(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with late_interrupts() as interrupts:
        assert not interrupts
        send(number)
        assert interrupts
    assert signal.getsignal(number) == before


def test_the_exception_says_which_signal_it_was() -> None:
    for number, expected, code in ((signal.SIGTERM, Ended, 143), (signal.SIGHUP, Ended, 129)):
        with late_interrupts() as interrupts:
            send(number)
            exception = interrupts.exception()
        assert isinstance(exception, expected)
        assert exception.code == code
    with late_interrupts() as interrupts:
        send(signal.SIGINT)
    assert isinstance(interrupts.exception(), KeyboardInterrupt)


@pytest.mark.parametrize("number", [signal.SIGINT, *REQUESTS])
def test_within_what_may_be_cut_off_it_comes_at_once_and_only_once(number: signal.Signals) -> None:
    restored = list[str]()
    with late_interrupts() as interrupts, pytest.raises((KeyboardInterrupt, Ended)), interrupts.at_once():
        try:
            send(number)
            raise AssertionError("it goes on")
        finally:
            send(number)  # an impatient user
            restored.append("all")
    assert restored == ["all"]


def test_one_that_came_before_is_raised_there_too() -> None:
    with late_interrupts() as interrupts:
        send(signal.SIGTERM)
        with pytest.raises(Ended), interrupts.at_once():
            raise AssertionError("it goes on")


def test_a_second_ctrl_c_is_not_waited_for_and_a_second_request_is() -> None:
    with late_interrupts():
        send(signal.SIGTERM)
        send(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda number, frame: None])
@pytest.mark.parametrize("number", [signal.SIGINT, *REQUESTS])
def test_a_programs_own_handler_stays(number: signal.Signals, handler: signal.Handlers) -> None:
    signal.signal(number, handler)
    with late_interrupts() as interrupts:
        assert signal.getsignal(number) is handler
        send(number)
        assert not interrupts
    assert signal.getsignal(number) is handler


def test_a_pending_request_is_not_lost_where_a_generator_is_closed() -> None:
    def steps() -> Iterator[int]:
        with late_interrupts():
            yield 1

    running = steps()
    next(running)
    send(signal.SIGTERM)
    with pytest.raises(Ended):
        running.close()  # type: ignore[attr-defined]  a generator
