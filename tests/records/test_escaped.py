import sys
import unicodedata

from netwright.records.errors import DataError
from netwright.records.escaped import escaped, in_lines, one_line
from netwright.records.finding import Finding, Report


def test_every_control_character_line_separator_and_override_is_visible() -> None:
    for number in range(sys.maxunicode + 1):
        letter = chr(number)
        is_dangerous = unicodedata.category(letter) in ("Cc", "Zl", "Zp", "Cs") or letter in "‪‫‬‭‮⁦⁧⁨⁩"
        assert (one_line(letter) != letter) == is_dangerous, hex(number)
        assert one_line(letter).isprintable() or not is_dangerous
        assert (escaped(letter) != letter) == (is_dangerous and letter not in "\n\t"), hex(number)


def test_escapes_are_written_as_python_writes_them_and_only_once() -> None:
    told = one_line("a\x1b[2J\n\t\r\x85\u202e\udce9ü±\\")
    assert told == r"a\x1b[2J\n\t\r\x85\u202e\udce9ü±" + "\\"
    assert one_line(told) == escaped(told) == told


def test_lines_of_a_layout_stay_one_line_each() -> None:
    assert in_lines(["a\nb", "c"]) == "a\\nb\nc"


def test_errors_and_reports_keep_their_lines_whatever_the_data_hold() -> None:
    error = DataError("column 'a\nerror: forged' is empty", remedy="drop 'a\nerror: forged'.")
    assert str(error).split("\n") == [r"column 'a\nerror: forged' is empty", r"  fix: drop 'a\nerror: forged'."]
    found = Finding("warning", "a\nb is sick", code="NW1", title="sick", places=("a\nb",), rows=(1,), otherwise=("\r",))
    report = str(Report("a\nb.csv", 3, (found,), ()))
    assert report.split("\n") == [
        r"a\nb.csv, 3 rows, 0 checks: 1 warning", "", r"warning NW1  sick: a\nb is sick", r"        at a\nb",
        r"        or: \r",
    ]  # fmt: skip
