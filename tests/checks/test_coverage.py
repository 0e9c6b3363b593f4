import numpy as np
import polars as pl
import pytest

from netwright.checks.data.coverage import few_rows, worse_groups
from netwright.checks.data.learning_curve import little_data
from netwright.checks.evidence import DataEvidence, Skip
from netwright.data.prepare import prepare
from netwright.data.read import read
from netwright.data.split import split


def evidence(frame: pl.DataFrame, part: str = "") -> DataEvidence:
    dataset = read(frame, target="y", split=part)
    parts = split(dataset)
    return DataEvidence(dataset, parts, prepare(dataset, parts))


def parted(rows: int = 1200) -> pl.DataFrame:
    generator = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "x": generator.uniform(0, 100, rows).round(2),
            "color": generator.choice(["red", "green", "blue"], rows),
            "shape": generator.choice(["disc", "square", "star"], rows),
            "y": generator.choice(["a", "b"], rows),
            "part": np.repeat(["train", "valid", "test"], [rows // 2, rows // 4, rows // 4]),
        }
    )


def test_a_range_that_training_lacks_is_found_with_its_ends_and_rows():
    inside = pl.col("x").is_between(30, 50)
    frame = parted().filter((pl.col("part") != "train") | ~inside)
    data = evidence(frame, "part")
    [found] = [f for f in few_rows(data) if "in test" in f.title]
    assert found.columns == ("x",)
    values = data.dataset.table["x"].gather(list(found.rows))
    assert values.is_between(28, 52).all()  # a piece of the range, a thirtieth of the rows, is the grain
    assert len(values) > 0.7 * len(frame.filter(inside & (pl.col("part") == "test")))


def test_nothing_is_found_where_parts_are_alike():
    assert list(few_rows(evidence(parted(), "part"))) == []


def test_a_pair_that_hardly_comes_is_a_note():
    frame = parted(3000)
    gone = (pl.col("color") == "red") & (pl.col("shape") == "star")
    [found] = few_rows(evidence(frame.filter(~gone).drop("part")))
    assert found.severity == "note"
    assert found.summary.startswith("color red with shape star: 0 rows")


def test_values_that_are_new_in_every_row_are_no_missing_groups():
    frame = parted().with_columns(name=pl.Series([f"n{row}" for row in range(1200)]))
    assert list(few_rows(evidence(frame, "part"))) == []


def test_a_group_whose_labels_are_a_coin_is_named():
    frame = parted(2400).drop("part")
    sure = pl.when(pl.col("x") > 50).then(pl.lit("a")).otherwise(pl.lit("b"))
    data = evidence(frame.with_columns(y=pl.when(pl.col("color") == "red").then("y").otherwise(sure)))
    found = list(worse_groups(data))
    assert any("color red" in f.summary for f in found)
    assert all("color red" in f.summary for f in found if f.columns)


def test_groups_of_a_number_that_is_farther_off_are_named():
    generator = np.random.default_rng(0)
    x = generator.uniform(0, 1, 2000)
    y = 3 * x + generator.normal(size=2000) * np.where(x > 0.8, 1.0, 0.1)
    found = list(worse_groups(evidence(pl.DataFrame({"x": x, "z": generator.normal(size=2000), "y": y}))))
    assert found and found[0].columns == ("x",)
    assert "times as far off" in found[0].summary


def test_gain_of_more_rows_is_found_where_the_curve_falls_and_not_where_it_is_flat():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(480, 4))
    table = pl.DataFrame({f"x{place}": x[:, place] for place in range(4)})
    [steep] = little_data(evidence(table.with_columns(y=pl.Series(np.where(x.sum(1) > 0, "a", "b")))))
    [flat] = little_data(evidence(table.with_columns(y=pl.Series(generator.choice(["a", "b"], 480)))))
    assert steep.measures[0].low is not None and steep.measures[0].low > 0
    assert flat.measures[0].low is not None and flat.measures[0].low <= 0
    assert steep.remedies and not flat.remedies


@pytest.mark.parametrize("rows", [12, 60])
def test_few_rows_are_not_judged(rows: int):
    frame = parted(rows).drop("part").with_columns(y=pl.Series(["a", "b"] * (rows // 2)))
    with pytest.raises(Skip):
        list(little_data(evidence(frame)))


def test_columns_of_nothing_and_mixed_cells_are_taken():
    frame = parted().with_columns(
        empty=pl.lit(None, pl.Float64), mixed=pl.Series(["1", "x", "", "2.5"] * 300), none=pl.lit(None, pl.String)
    )
    data = evidence(frame, "part")
    assert all(f.severity == "note" for check in (few_rows, worse_groups) for f in check(data))
