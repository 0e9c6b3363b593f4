from collections.abc import Generator
from itertools import pairwise

import pytest
import torch

from netwright.machine.threads import WAIT, Watch, threads

TICK = 0.1  # seconds between two calls, as in training


class Machine:
    """A clock on which rows pass as fast as the number of threads makes them, and this thread has a share of a core."""

    def __init__(self, rates: dict[int, float], share: float) -> None:
        self.rates, self.share = rates, share
        self.now = self.ran = 0.0
        self.watch = Watch(lambda: self.now, lambda: self.ran)

    def train(self, seconds: float) -> list[str]:
        told = []
        for _ in range(round(seconds / TICK)):
            self.now += TICK
            self.ran += TICK * self.share
            told.append(self.watch.tick(round(TICK * self.rates[torch.get_num_threads()])))
        return [text for text in told if text]


@pytest.fixture(autouse=True)
def two_threads() -> Generator[None]:
    with threads(2):
        yield


def test_nothing_changes_on_a_quiet_machine() -> None:
    machine = Machine({1: 5000, 2: 1000}, share=0.95)  # not even where one thread would be faster: nobody asked
    assert machine.train(60) == []
    assert torch.get_num_threads() == 2
    assert not machine.watch.changed


def test_beside_another_program_one_thread_is_taken_where_it_is_faster() -> None:
    machine = Machine({1: 5000, 2: 1000}, share=0.4)
    assert machine.train(2) == ["other programs are busy: 1 thread instead of 2 (5.0 times as fast)"]
    assert torch.get_num_threads() == 1


def test_a_change_that_brings_nothing_is_taken_back_and_tried_ever_more_rarely() -> None:
    machine = Machine({1: 900, 2: 1000}, share=0.4)
    trials = []
    for _ in range(600):
        machine.train(TICK)
        trials.append(torch.get_num_threads() == 1)
    starts = [i for i, (a, b) in enumerate(pairwise(trials)) if b and not a]
    gaps = [b - a for a, b in pairwise(starts)]
    assert len(starts) >= 3
    assert all(b > a for a, b in pairwise(gaps))
    assert torch.get_num_threads() == 2
    assert machine.watch.changed  # if only for trials: sums were rounded differently


def test_all_threads_come_back_when_the_machine_is_free_again() -> None:
    machine = Machine({1: 5000, 2: 1000}, share=0.4)
    machine.train(2)
    machine.rates, machine.share = {1: 5000, 2: 9000}, 0.95
    assert machine.train(WAIT + 2) == ["the cores are free again: 2 threads (1.8 times as fast)"]
    assert torch.get_num_threads() == 2


def test_time_that_was_no_training_does_not_count() -> None:
    machine = Machine({1: 5000, 2: 1000}, share=0.95)
    machine.train(0.3)
    machine.now += 100.0  # an evaluation, or a caller that reads its mail
    machine.watch.go_on()
    assert machine.train(5) == []


def test_the_number_of_threads_comes_back_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), threads(1):
        assert torch.get_num_threads() == 1
        raise ZeroDivisionError
    assert torch.get_num_threads() == 2
