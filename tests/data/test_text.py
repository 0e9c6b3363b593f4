from pathlib import Path

import pytest

from netwright.data.readers.text import WINDOW, read_text
from netwright.records.errors import DataError
from netwright.records.source import Source


def test_windows_join_to_the_text_and_are_found_by_their_line(tmp_path: Path) -> None:
    text = "".join(f"line {k}\n" for k in range(1, 200))
    (tmp_path / "poem.txt").write_text(text)
    dataset = read_text(Source(tmp_path / "poem.txt"))
    assert "".join(dataset.table["text"]) == text
    assert dataset.table["text"].str.len_chars().max() == WINDOW
    line = text[: 3 * WINDOW].count("\n") + 1
    assert dataset.locate(3) == f"{tmp_path}/poem.txt, line {line}"


def test_few_signs_are_read_letter_by_letter_and_many_as_words(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abc " * 99)
    (tmp_path / "b.txt").write_text("".join(map(chr, range(0x4E00, 0x5E00))), encoding="utf-8")
    assert read_text(Source(tmp_path / "a.txt")).kinds == {"text": "sequence"}
    assert read_text(Source(tmp_path / "b.txt")).kinds == {"text": "text"}


def test_blank_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "poem.txt").write_text("\n\n")
    with pytest.raises(DataError, match=r"poem.txt is empty"):
        read_text(Source(tmp_path / "poem.txt"))
