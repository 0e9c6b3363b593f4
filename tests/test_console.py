import io
import re
from collections.abc import Iterator

import pytest

from netwright import console
from netwright.console import duration, progress
from netwright.records.history import Epoch, Progress
from netwright.records.result import Warned


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def hours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is an hour later each time it is asked, so that every step may be shown."""
    clock: Iterator[float] = iter(range(3600, 10**9, 3600))
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))


def epoch(number: int, *, is_best: bool = False, **valid: float) -> Epoch:
    scores = {"loss": 0.5, "accuracy": 0.75} | valid
    return Epoch(number, 10 * number, 0.6, scores, 1e-3, 1.0, 2.0, 12_345.0, 200 * 2**20, is_best)


def step(number: int, epochs: int = 3) -> Progress:
    return Progress(1, epochs, number, 30, 0.7, 1e-3, 1_000.0, 62.0)


def lines(*events: str | Progress | Epoch) -> list[str]:
    out = io.StringIO()
    show = progress(out)
    for event in events:
        show(event)
    return out.getvalue().splitlines()


def test_epochs_stand_in_aligned_columns_below_one_header() -> None:
    header, first, second = lines(epoch(1, is_best=True), epoch(2))
    assert header.split() == ["epoch", "train", "loss", "accuracy", "lr", "rows/s", "memory", "left"]
    assert first.split() == ["1", "0.6000", "0.7500", "*", "1.0e-03", "12,345", "200", "MB"]
    assert second.split() == ["2", "0.6000", "0.7500", "1.0e-03", "12,345", "200", "MB"]
    ends = {word: header.index(word) + len(word) for word in ("epoch", "train loss", "accuracy", "lr", "rows/s")}
    cells = zip(ends.values(), ("2", "0.6000", "0.7500", "1.0e-03", "12,345"), strict=True)
    assert all(second[:end].endswith(cell) for end, cell in cells)


def test_header_comes_again_where_the_columns_change() -> None:
    told = lines(epoch(1), epoch(2, balanced_accuracy=0.5), epoch(3, balanced_accuracy=0.5))
    assert [line.split()[0] for line in told] == ["epoch", "1", "epoch", "2", "3"]
    assert "bal_acc" in told[2]


def test_of_many_epochs_no_more_than_forty_and_the_first_are_told() -> None:
    told = lines(step(1, epochs=100), *(epoch(number) for number in range(1, 101)))
    assert [line.split()[0] for line in told] == ["epoch", "1", *map(str, range(3, 100, 3))]
    assert len(lines(step(1, epochs=1000), *(epoch(number) for number in range(1, 1001)))) <= 42


def test_plain_lines_come_where_there_is_no_terminal(hours: None) -> None:
    told = lines("a note", step(1), step(2), epoch(1))
    assert told[:2] == ["a note", "epoch 1/3  step 2/30  loss 0.7000  1,000 rows/s  1:02 left"]
    assert len(told) == 4
    assert not re.search(r"[\r\x1b]", "".join(told))


def test_a_terminal_has_one_line_that_moves_and_is_wiped_before_the_next(hours: None) -> None:
    out = Terminal()
    show = progress(out)
    for event in (step(1), step(2), "a note"):
        show(event)
    wiped, first, second, note = out.getvalue().split("\r\x1b[K")
    assert wiped == ""
    assert first.startswith("epoch 1/3  step 1/30") and second.startswith("epoch 1/3  step 2/30")
    assert "\n" not in first + second
    assert note == "a note\n"


def test_a_terminal_is_not_written_to_more_often_than_people_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console.time, "monotonic", lambda: 3600.0)
    out = Terminal()
    show = progress(out)
    for number in range(1, 9):
        show(step(number))
    assert out.getvalue().count("\r") == 1


def test_durations_are_read_as_clocks() -> None:
    assert [duration(seconds) for seconds in (0, 42.4, 60, 3900)] == ["0:00", "0:42", "1:00", "1:05:00"]


def test_long_names_of_metrics_are_shortened_to_their_column() -> None:
    header = lines(epoch(1, median_error=1.0, balanced_accuracy=0.5, average_precision=0.5, a_very_long_name=0.0))[0]
    assert header.split()[3:8] == ["accuracy", "med_error", "bal_acc", "avg_precisi", "a_very_long"]


def test_quiet_keeps_warnings_and_nothing_else() -> None:
    out = Terminal()
    show = progress(out, quiet=True)
    for event in ("a note", step(1), epoch(1), Warned("warning NW127, test rows among the training rows")):
        show(event)
    assert out.getvalue() == "warning NW127, test rows among the training rows\n"
