"""Checks of columns beside their sick cases: what must be found too, what must not, and odd tables."""

import numpy as np
import polars as pl
import pytest
from tests.sick import columns as sick

from netwright.checks import DATA_CHECKS
from netwright.checks.data.mixed import TYPO_LONGEST
from netwright.checks.evidence import DataEvidence, Skip, examine
from netwright.data.read import read
from netwright.data.split import split
from netwright.records.errors import DataError
from netwright.records.finding import Finding
from netwright.resolve import resolve
from netwright.testing.checks import check_finding

CODES = ("NW113", *(f"NW{n}" for n in range(130, 140)))


def found(code: str, frame: pl.DataFrame) -> list[Finding]:
    return list(resolve("check", DATA_CHECKS[code], DATA_CHECKS)(sick.evidence(frame)))


def one(code: str, frame: pl.DataFrame) -> Finding:
    (finding,) = found(code, frame)
    return finding


def test_sum_of_columns_is_told_as_a_formula():
    frame = sick.healthy().with_columns(pl.col("size", "weight").round(0))
    frame = frame.with_columns(target=pl.col("size") + pl.col("weight"))
    assert one("NW135", frame).summary.startswith("target = size + weight in 100 %")


@pytest.mark.parametrize(
    ("target", "columns"),
    [
        (pl.col("weight") / pl.col("size") ** 2, {"weight", "size"}),
        ((pl.col("weight") / (pl.col("size") + pl.col("weight"))).round(3), {"weight", "size"}),
        ((2 * pl.col("weight") - pl.col("size") + pl.col("income") / 100).round(0), {"weight", "size", "income"}),
    ],
)
def test_formulas_are_found_after_rounding(target: pl.Expr, columns: set[str]):
    assert set(one("NW135", sick.healthy().with_columns(target=target)).columns) == columns


def test_target_that_depends_on_columns_with_noise_is_no_formula():
    noise = np.random.default_rng(0).normal(0, 1, sick.ROWS)
    frame = sick.healthy().with_columns(target=pl.col("weight") + pl.col("size") + noise)
    assert not found("NW135", frame)
    assert not found("NW134", frame)


def test_strong_honest_column_is_no_leak():
    random = np.random.default_rng(1)
    frame = sick.healthy()
    hint = (frame["target"] == "yes").to_numpy() * 4.0 + random.normal(0, 1, len(frame))  # 97.7 % right
    assert not found("NW134", frame.with_columns(hint=pl.Series(hint)))


def test_missing_cells_can_give_the_answer_away():
    frame = sick.healthy().with_columns(closed=pl.when(pl.col("target") == "yes").then(pl.col("income") * 2))
    assert one("NW134", frame).columns == ("closed",)


def test_capital_gain_of_99999_stands_for_something_else():
    values = np.where(np.arange(sick.ROWS) % 10 == 0, np.random.default_rng(0).integers(100, 40_000, sick.ROWS), 0)
    values[[5, 17, 80, 222]] = 99_999
    finding = one("NW130", sick.healthy().with_columns(gain=pl.Series(values)))
    assert finding.rows == (5, 17, 80, 222)
    assert [fix.new for fix in finding.fixes] == [""] * 4


def test_hours_of_99_among_98_stand_for_themselves():
    hours = np.random.default_rng(0).integers(1, 100, sick.ROWS)
    assert not found("NW130", sick.healthy().with_columns(hours=pl.Series(hours)))


def test_spellings_are_put_right_in_the_target_by_relabeling():
    frame = sick.put("target", (3, 9), "Yes ")(sick.healthy())
    finding = one("NW136", frame)
    assert {(fix.row, fix.action, fix.new) for fix in finding.fixes} == {(3, "relabel", "yes"), (9, "relabel", "yes")}


def test_typing_slip_is_a_note_with_the_name_that_is_meant():
    finding = one("NW136", sick.put("town", (3,), "Bergne")(sick.healthy()))
    assert (finding.severity, finding.rows, finding.fixes[0].new) == ("note", (3,), "Bergen")


def test_dates_in_both_orders_are_found():
    rows = pl.int_range(pl.len()) % 7 == 0
    day, month = pl.col("joined").dt.strftime("%d/%m/%Y"), pl.col("joined").dt.strftime("%m/%d/%Y")
    finding = one("NW136", sick.healthy().with_columns(joined=pl.when(rows).then(day).otherwise(month)))
    assert "both orders" in finding.title
    assert all(row % 7 == 0 for row in finding.rows)


def test_scattered_unit_is_converted_back():
    frame = sick.healthy()
    rows = tuple(range(0, sick.ROWS, 6))
    finding = one("NW139", sick.scaled("size", rows, 2.54)(frame))
    assert finding.rows == rows
    assert np.allclose([float(fix.new) for fix in finding.fixes], frame["size"].to_numpy()[list(rows)], rtol=1e-5)


def test_currencies_that_change_are_named_and_one_currency_is_not():
    frame = sick.healthy()
    plain = pl.Series([f"${value:.2f}" for value in frame["income"].to_list()])
    assert not found("NW139", frame.with_columns(income=plain))
    mixed = plain.str.replace("$", "\u20ac", literal=True)
    rows = [3, 50, 77]
    finding = one("NW139", frame.with_columns(income=plain.scatter(rows, mixed.gather(rows))))
    assert finding.columns == ("income",)
    assert list(finding.rows) == rows
    assert "\u20ac; the numbers are read as they are" in finding.summary


def test_rows_sorted_by_class_are_no_change_of_unit():
    frame = sick.healthy().sort("target").with_columns(
        level=pl.when(pl.col("target") == "yes").then(pl.col("income") * 100).otherwise(pl.col("income"))
    )  # fmt: skip
    assert not found("NW139", frame)


def test_trend_is_no_change_of_unit():
    price = np.exp(np.cumsum(np.random.default_rng(0).normal(0.001, 0.01, sick.ROWS))) * 100
    assert not found("NW139", sick.healthy().with_columns(price=pl.Series(price)))


@pytest.mark.parametrize(
    ("expression", "how"),
    [
        (pl.col("size") * 1.8 + 32, "is 32 + 1.8 x size"),
        (
            pl.col("town").replace_strict({"Oslo": 4, "Bergen": 1, "Trondheim": 3, "Stavanger": 2}),
            "same groups as town",
        ),
        (pl.col("income").log(), "has the same information as income"),
        ((pl.col("income") / 100).round(0), "is, rounded, 0.01 x income"),
    ],
)
def test_copies_are_told_by_how_they_are_made(expression: pl.Expr, how: str):
    assert how in one("NW132", sick.healthy().with_columns(copy=expression)).summary


def test_single_words_that_differ_everywhere_name_rows_and_texts_do_not():
    names = [f"file_{k:04x}.dat" for k in range(sick.ROWS)]
    texts = [f"a text of several words about row {k}" for k in range(sick.ROWS)]
    frame = sick.healthy().with_columns(file=pl.Series(names), text=pl.Series(texts))
    assert one("NW133", frame).columns == ("file",)


ODD = {
    "one row": pl.DataFrame({"a": [1.0], "target": ["x"]}),
    "ten rows": sick.healthy(count=10),
    "nothing in columns": sick.healthy().with_columns(
        z=pl.lit(None), f=pl.lit(None, pl.Float64), s=pl.lit(None, pl.String)
    ),
    "a row for each class": pl.DataFrame({"a": np.arange(50.0), "target": [f"c{k}" for k in range(50)]}),
    "infinite": pl.DataFrame(
        {"a": [np.inf] * 5 + list(np.arange(95.0)), "b": [np.nan] * 100, "target": np.arange(100.0)}
    ),
    "lists": pl.DataFrame({"a": [[1.0, 2.0]] * 50, "target": ["x", "y"] * 25}),
    "huge numbers": pl.DataFrame({"a": [2**62 + k * k for k in range(60)], "target": ["x", "y"] * 30}),
    "constant target": pl.DataFrame({"a": np.arange(60.0) ** 2, "target": [1.0] * 60}),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("is_fast", [False, True])
def test_odd_tables_are_judged_or_skipped(name: str, is_fast: bool):
    dataset = read(ODD[name], target="target")
    try:
        made = sick.evidence(ODD[name])
        evidence = DataEvidence(dataset, made.parts, made.prepared, is_fast=is_fast)
    except DataError as error:
        evidence = DataEvidence(dataset, problem=str(error), is_fast=is_fast)
    for finding in examine(evidence, {code: DATA_CHECKS[code] for code in CODES}).findings:
        check_finding(finding.code, finding, len(dataset))


def test_fast_check_names_rows_of_the_whole_data():
    frame = pl.concat([sick.healthy(seed) for seed in range(40)])
    rows = tuple(range(0, len(frame), 50))
    dataset = read(sick.put("size", rows, -999.0)(frame), target="target")
    evidence = DataEvidence(dataset, split(dataset), is_fast=True)
    (finding,) = resolve("check", DATA_CHECKS["NW130"], DATA_CHECKS)(evidence)
    assert set(finding.rows) == set(rows) & set(evidence.rows().tolist())


def test_no_target_is_a_reason_to_skip():
    dataset = read(sick.healthy().drop("target"))
    with pytest.raises(Skip, match="no target"):
        list(resolve("check", DATA_CHECKS["NW134"], DATA_CHECKS)(DataEvidence(dataset)))


def test_names_of_a_million_letters_are_not_compared_letter_by_letter():
    long = "x" * 1_000_000  # all forms of it without a letter would take a terabyte
    frame = pl.DataFrame({"town": [long] * 40 + [long[1:]] + ["Bonn", "Oslo"] * 40, "target": ["a"] * 60 + ["b"] * 61})
    assert found("NW136", frame) == []
    short = frame.with_columns(pl.col("town").str.tail(TYPO_LONGEST - 1).str.replace("^x{59}$", "Gothenburg"))
    slip = short.with_columns(town=pl.when(pl.int_range(pl.len()) == 40).then(pl.lit("Gotenburg")).otherwise("town"))
    assert [finding.title for finding in found("NW136", slip)] == ["likely slips of typing"]
