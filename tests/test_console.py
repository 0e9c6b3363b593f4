import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from netwright import console
from netwright.console import duration, progress, say
from netwright.records.history import Epoch, Progress
from netwright.records.result import Cells, Warned


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


def test_notes_of_data_neither_move_the_cursor_nor_forge_a_line() -> None:
    out = Terminal()
    progress(out)("column 'a\x1b[2J\r\nerror: forged\u202e' is empty")
    assert out.getvalue() == r"column 'a\x1b[2J\r\nerror: forged\u202e' is empty" + "\n"


def test_letters_that_a_stream_cannot_write_become_escapes() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    progress(stream)("Zürich ± 1, \udce9")
    assert stream.buffer.getvalue() == rb"Z\xfcrich \xb1 1, \udce9" + b"\n"  # type: ignore[attr-defined]  in memory


class Gone(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_training_goes_on_if_nobody_reads_of_it_any_more(hours: None) -> None:
    show = progress(Gone())
    for event in ("a note", step(1), step(2), epoch(1)):
        show(event)


def test_cells_are_exact_in_a_pipe_and_a_row_is_one_line_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = Cells('a,b\n"x\x1b\ny ""z""",1\nk\x07,"=\r"\n')
    for out, expected in ((io.StringIO(newline=""), cells), (Terminal(), 'a,b\n"x\\x1b\\ny ""z""",1\nk\\x07,"=\\r"\n')):
        monkeypatch.setattr(console.sys, "stdout", out)
        say(cells)
        assert out.getvalue() == expected


RUN = "from netwright.cli import main; main()"


def _started(*words: object, **how: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", RUN, *map(str, words)], stderr=subprocess.PIPE, **how)  # type: ignore[call-overload]  as given


@pytest.mark.parametrize("words", [("recipe",), ("recipe", "--json"), ("--help",), ("rule", "NW110")])
def test_a_reader_that_leaves_ends_a_command_in_silence(words: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    done = _started(*words, stdout=write)
    os.close(write)
    told = done.communicate(timeout=60)[1]
    assert (done.returncode, told) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_an_output_that_is_full_is_an_error_with_its_reason() -> None:
    with Path("/dev/full").open("wb") as full:
        done = _started("recipe", stdout=full)
    told = done.communicate(timeout=60)[1].decode()
    assert (done.returncode, told.split("\n")[:2]) == (
        2,
        [
            "error: standard output cannot be written: No space left on device",
            "  fix: free some space, or send it elsewhere.",
        ],
    )


@pytest.mark.parametrize("words", [("audit", "Zürich\udce9.csv"), ("recipe", "lr±"), ("--help",), ("rule", "NW110")])
def test_an_ascii_terminal_is_written_to_without_an_error(words: tuple[str, ...], tmp_path: Path) -> None:
    how = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = _started(*words, stdout=subprocess.PIPE, env=os.environ | how, cwd=tmp_path)
    out, told = done.communicate(timeout=60)
    assert done.returncode in (0, 2) and b"Traceback" not in told, told
    assert (out + told).isascii()
