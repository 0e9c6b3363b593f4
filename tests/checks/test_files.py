"""Checks of files, pictures, texts, series and symbols: what they say, and on data they cannot judge."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from netwright.checks import DATA_CHECKS
from netwright.checks.data.pictures import blank, blurred, dark
from netwright.checks.data.sizes import odd_sizes
from netwright.checks.data.steps import clipped, flat, gappy
from netwright.checks.data.symbols import odd_sequences
from netwright.checks.data.texts import empty_texts, garbled_texts, repeated_texts
from netwright.checks.data.unreadable import unreadable
from netwright.checks.evidence import DataEvidence, examine
from netwright.data.prepare import prepare
from netwright.data.read import read
from netwright.data.split import split
from netwright.records.errors import DataError
from netwright.testing.checks import check_finding

CODES = {code: DATA_CHECKS[code] for code in DATA_CHECKS if code == "NW101" or "NW140" <= code <= "NW163"}
GENERATOR = np.random.default_rng(0)
WORDS = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in "lmnrst"]


def evidence(data: Any, *, is_fast: bool = False, **said: Any) -> DataEvidence:
    dataset = read(data, **said)
    parts = prepared = None
    problem = ""
    try:
        parts = split(dataset)
        prepared = prepare(dataset, parts)
    except DataError as error:
        problem = str(error)
    return DataEvidence(dataset, parts, prepared, problem, is_fast=is_fast)


def of_texts(rows: list[str | None]) -> DataEvidence:
    return evidence(pl.DataFrame({"text": rows, "target": np.arange(len(rows)) % 2}), target="target")


def sentences(count: int, words: int = 30) -> list[str | None]:
    generator = np.random.default_rng(1)
    return [" ".join(generator.choice(WORDS, words)) for _ in range(count)]


def textured(count: int = 60, side: int = 32) -> np.ndarray:
    return np.random.default_rng(2).integers(60, 200, (count, side, side)).astype(np.uint8)


def save(picture: np.ndarray, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(picture).save(path)


def folder(path: Path) -> Path:
    for row, picture in enumerate(textured(20)):
        save(picture, path / "ab"[row % 2] / f"{row:02}.png")
    return path


@pytest.mark.parametrize("form", ["jpeg", "png", "gif", "bmp", "webp", "tiff"])
def test_a_picture_file_cut_short_is_found_in_every_format(tmp_path: Path, form: str):
    folder(tmp_path)
    file = BytesIO()
    Image.fromarray(textured(1)[0]).save(file, form)
    (tmp_path / "a" / f"00.{form}").write_bytes(file.getvalue()[: len(file.getvalue()) // 2])
    (finding,) = unreadable(evidence(tmp_path))
    assert [finding.severity, len(finding.rows), len(finding.fixes)] == ["warning", 1, 1]


def test_a_tenth_of_unreadable_rows_is_an_error(tmp_path: Path):
    folder(tmp_path)
    for name in ("00", "02"):
        (tmp_path / "a" / f"{name}.png").write_bytes(b"")
    (finding,) = unreadable(evidence(tmp_path))
    assert finding.severity == "error"
    assert "2 x the file is empty" in finding.summary


def test_skipped_files_are_counted_and_images_among_them_are_told(tmp_path: Path):
    folder(tmp_path)
    (tmp_path / "a" / "notes.md").write_text("about a")
    (tmp_path / "b" / "01.png").rename(tmp_path / "b" / "01.dat")
    (finding,) = unreadable(evidence(tmp_path))
    assert finding.severity == "warning"
    assert finding.places[0].endswith("01.dat")
    assert "2 files" in finding.summary
    assert "1 of which are images" in finding.summary


def test_data_that_cannot_be_prepared_are_an_error_with_the_reason(tmp_path: Path):
    folder(tmp_path)
    for path in tmp_path.glob("*/*.png"):
        path.write_bytes(b"")
    (finding,) = unreadable(evidence(tmp_path))
    assert finding.severity == "error"
    assert "the file is empty" in finding.summary


def test_a_picture_whose_lower_part_was_never_decoded_is_found():
    images = textured()
    images[5, 20:] = 128
    (finding,) = blank(evidence((images, np.arange(60) % 2)))
    assert finding.rows == (5,)
    assert finding.title == "half blank images"


def test_dark_data_are_not_told_so_but_a_dark_picture_among_light_ones_is():
    images = textured() // 8
    assert not list(dark(evidence((images, np.arange(60) % 2))))
    images = textured()
    images[3] //= 8
    assert [finding.rows for finding in dark(evidence((images, np.arange(60) % 2)))] == [(3,)]


def test_soft_data_are_not_told_to_be_blurred():
    y, x = np.mgrid[:32, :32] / 32
    phases = np.random.default_rng(0).uniform(0, 6, (60, 2, 1, 1))
    images = (120 + 50 * np.sin(4 * x + phases[:, 0]) + 50 * np.cos(3 * y + phases[:, 1])).astype(np.uint8)
    assert not list(blurred(evidence((images, np.arange(60) % 2))))


def test_a_wide_a_small_and_a_grey_file_are_odd_among_color_ones(tmp_path: Path):
    color = np.repeat(textured(30)[..., None], 3, axis=3)
    for row, picture in enumerate(color):
        save(picture, tmp_path / "ab"[row % 2] / f"{row:02}.png")
    save(np.tile(color[0], (1, 4, 1)), tmp_path / "a" / "00.png")
    save(color[2][::8, ::8], tmp_path / "a" / "02.png")
    save(color[4][..., 0], tmp_path / "a" / "04.png")
    found = {finding.title: finding.rows for finding in odd_sizes(evidence(tmp_path))}
    assert found == {"odd-shaped images": (0,), "odd-sized images": (1,), "grey images": (2,)}


def test_pictures_of_all_sizes_are_not_odd(tmp_path: Path):
    generator = np.random.default_rng(0)
    for row in range(40):
        height, width = generator.integers(16, 200, 2)
        save(generator.integers(0, 256, (height, width)).astype(np.uint8), tmp_path / "ab"[row % 2] / f"{row:02}.png")
    assert not list(odd_sizes(evidence(tmp_path)))


def test_garbled_letters_are_repaired_by_the_fix():
    rows = sentences(40)
    rows[9] = "caf\u00e9 f\u00fcr \u201calle\u201d".encode().decode("cp1252", "ignore") + " " + str(rows[9])
    (finding,) = garbled_texts(of_texts(rows))
    assert finding.rows == (9,)
    assert finding.fixes[0].old == rows[9]
    assert finding.fixes[0].new.startswith("caf\u00e9 f\u00fcr \u201calle")


def test_letters_of_other_languages_are_not_garbled():
    rows = sentences(40)
    rows[:3] = ["\u00c3O N\u00c3O \u00c2nimo", "\u00e9t\u00e9 \u00e0 \u00ce\u00eele", "20 \u00b0C \u2013 30 \u20ac"]
    assert not list(garbled_texts(of_texts(rows)))


def test_tags_are_cut_out_by_the_fix_and_comparisons_stay():
    rows = sentences(40)
    rows[3], rows[4] = "good<br />film &amp; music", "a < b and c > d"
    (finding,) = garbled_texts(of_texts(rows))
    assert [fix.new for fix in finding.fixes] == ["good film & music"]


def test_a_text_of_dots_is_empty_and_short_texts_are_told_among_long_ones_only():
    rows = sentences(40)
    rows[2], rows[3], rows[4] = None, "...", "bal"
    found = {finding.title: finding.rows for finding in empty_texts(of_texts(rows))}
    assert found == {"empty texts": (2, 3), "very short texts": (4,)}
    assert not list(empty_texts(of_texts([*sentences(40, words=4), "bal"])))


def test_shared_openings_and_foreign_scripts_are_notes():
    rows = [f"dear sir or madam we write {text}" for text in sentences(60)]
    rows[7] = "\u043e\u0447\u0435\u043d\u044c \u0445\u043e\u0440\u043e\u0448\u043e"
    found = list(repeated_texts(of_texts(list(rows))))
    assert {finding.severity for finding in found} == {"note"}
    assert (7,) in [finding.rows for finding in found]
    assert any("'dear sir or madam we write'" in finding.summary for finding in found)


def test_a_text_of_another_language_is_told():
    rows = sentences(300)
    rows[50] = " ".join(word[::-1] + "x" for word in WORDS[:40])
    (finding,) = repeated_texts(of_texts(rows))
    assert finding.rows == (50,)


def test_a_few_unsure_symbols_are_a_note_and_many_are_a_warning():
    rows = ["".join(np.random.default_rng(row).choice(list("ACGT"), 60)) for row in range(300)]
    rows[3], rows[4] = rows[3][:59] + "N", rows[4][:40] + "N" * 20
    frame = pl.DataFrame({"gene": rows, "target": np.arange(300) % 2})
    found = {finding.severity: finding.rows for finding in odd_sequences(evidence(frame, target="target"))}
    assert found == {"note": (3,), "warning": (4,)}


def test_channels_that_often_stand_still_are_neither_flat_nor_clipped():
    rain = np.random.default_rng(0).exponential(1, (60, 40, 2)).astype(np.float32)
    rain[rain < 2] = 0
    seen = evidence((rain, np.arange(60) % 2))
    assert not list(flat(seen))
    assert not list(clipped(seen))


def long_table(path: Path, skipped: int) -> Path:
    lines = ["who,when,value"]
    for who in range(40):
        steps = [step for step in range(30) if not (who == 7 and 10 <= step < 10 + skipped)]
        lines += [f"{who},{step},{np.sin(step + who):.4f}" for step in steps]
    path.write_text("\n".join(lines))
    return path


def test_a_missing_step_of_time_is_found_in_long_format(tmp_path: Path):
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(["who,label", *(f"{who},{'ab'[who % 2]}" for who in range(40))]))
    said = {"series": "who", "time": "when", "labels": labels, "target": "label"}
    (finding,) = gappy(evidence(long_table(tmp_path / "gap.csv", 3), **said))
    assert finding.rows == (7,)
    assert finding.title == "gaps in time"
    assert not list(gappy(evidence(long_table(tmp_path / "whole.csv", 0), **said)))


@pytest.mark.parametrize("is_fast", [False, True])
@pytest.mark.parametrize(
    "data",
    [
        pl.DataFrame({"x": [1.0, 2.0, None] * 4, "c": ["a", None, "b"] * 4, "target": [0, 1] * 6}),
        pl.DataFrame({"text": [None, "", " "] * 4 + sentences(8), "target": [0, 1] * 10}),
        pl.DataFrame({"series": [[], [1.0], None, [float("nan")] * 9, [2.0, 3.0]] * 4, "target": [0, 1] * 10}),
        pl.DataFrame({"gene": ["ACGT" * 8, "TTGA" * 9] * 6, "target": [0, 1] * 6}),
        pl.DataFrame({"x": [1.0] * 10, "target": range(10)}),
    ],
)
def test_odd_data_are_judged_or_left_alone(data: pl.DataFrame, is_fast: bool):
    report = examine(evidence(data, target="target", is_fast=is_fast), CODES)
    for finding in report.findings:
        check_finding(finding.code, finding, len(data))


def test_tiny_pictures_and_a_handful_of_them_are_no_trouble():
    for shape in ((10, 2, 2), (10, 8, 8), (10, 32, 32), (10, 1, 5)):
        images = GENERATOR.integers(0, 256, shape).astype(np.uint8)
        report = examine(evidence((images, np.arange(10) % 2)), CODES)
        assert not report.findings
