"""Findings get the code and the title of their check."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from tests.sick import series, visits

from netwright.checks import DATA_CHECKS
from netwright.checks.evidence import DataEvidence, Skip, examine, made, require_apart, titled
from netwright.data.dataset import Dataset
from netwright.data.prepare import prepare
from netwright.data.read import read_source
from netwright.data.split import split
from netwright.records.finding import Finding, Fix
from netwright.records.frames import Frames, Raw
from netwright.records.source import Source


def odd_rows(evidence: object):
    """odd rows

    Rows that are odd.
    """
    yield Finding("warning", "one row is odd", rows=(0,), fixes=(Fix(0, "row 0", "drop"),))
    yield Finding("note", "so is another one", title="another odd row")


def test_finding_and_its_fixes_get_the_code_of_the_table_and_the_first_line_of_the_page():
    (found, own), checked = made("NW199", odd_rows, None, lambda: 0.0)
    assert (found.code, found.title, found.fixes[0].code, checked.title) == ("NW199", "odd rows", "NW199", "odd rows")
    assert (own.code, own.title) == ("NW199", "another odd row")


@pytest.mark.parametrize("code", ["NW302", "NW110"])
def test_finding_in_the_name_of_a_check_gets_its_title(code: str):
    assert (
        titled(Finding("error", "so it is", code=code)).title
        == {
            "NW302": "vanishing gradients",
            "NW110": "label errors",
        }[code]
    )


def test_healthy_windows_have_no_finding_though_they_overlap():
    report = examine(series.evidence(series.healthy()), DATA_CHECKS)
    assert not report.findings
    left = {check.code for check in report.checks if "examples overlap" in check.skipped}
    assert {"NW121", "NW123", "NW125", "NW126", "NW127", "NW160", "NW170", "NW171"} <= left
    assert not any("bug" in check.skipped for check in report.checks)


def _cut(spans: list[tuple[int, int]], past: np.ndarray) -> Dataset:
    """Examples that predict some rows, from the past."""
    raw = Raw(pl.DataFrame({"x": range(10)}), ("x",))
    table = pl.DataFrame({"past": range(len(spans))})
    frames = Frames(table, np.array(spans), {"past": past}, {})
    return Dataset(raw.table, ("x",), "x.csv").framed(frames, raw)


def test_examples_overlap_if_they_share_rows_or_the_cells_of_what_they_see():
    values = np.arange(10.0)
    apart, shared = values[:6].reshape(2, 3), np.lib.stride_tricks.sliding_window_view(values, 3)[:2]
    assert not _cut([(3, 4), (6, 7)], apart).overlaps
    assert _cut([(3, 5), (4, 6)], apart).overlaps
    assert _cut([(3, 4), (4, 5)], shared).overlaps
    assert not replace(_cut([(3, 5), (4, 6)], apart), spans=None).overlaps
    with pytest.raises(Skip, match="overlap"):
        require_apart(DataEvidence(_cut([(3, 5), (4, 6)], apart)))


def test_healthy_interactions_have_no_finding_though_parts_of_users_overlap():
    source = Source(
        visits.healthy(), user="user", item="item", time="at", rating="stars", drop=("code",), task="ranking"
    )
    dataset = read_source(source)
    parts = split(dataset, source)
    report = examine(DataEvidence(dataset, parts, prepare(dataset, parts, source)), DATA_CHECKS)
    assert not [finding for finding in report.findings if finding.severity != "note"]
    assert not any("bug" in check.skipped for check in report.checks)
    made_of_rows = {check.code for check in report.checks if not check.skipped}
    assert {f"NW19{number}" for number in range(8)} <= made_of_rows
