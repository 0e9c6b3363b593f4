import numpy as np
import polars as pl
import pytest
import torch
from tests.sick import duplicates as SICK

from netwright.checks.data.leaks import (
    groups_in_several_parts,
    leaks,
    time_leaks,
)
from netwright.checks.data.leaks import (
    test_rows_in_training as rows_in_training,
)
from netwright.checks.evidence import DataEvidence, Skip


def test_copies_are_dropped_from_training_and_the_test_part_stays():
    evidence = SICK.leaking()
    (finding,) = rows_in_training(evidence)
    assert finding.rows == tuple(range(400, 420))
    assert [fix.row for fix in finding.fixes] == list(range(20))
    assert {fix.action for fix in finding.fixes} == {"drop"}
    assert finding.severity == "error"


def test_few_leaked_rows_are_a_warning_since_no_score_shows_them():
    (finding,) = rows_in_training(SICK.leaking(2))
    assert finding.severity == "warning"


def test_groups_that_do_not_tell_the_target_are_no_leak():
    assert not [*groups_in_several_parts(SICK.patients(is_known=False))]


def test_the_group_column_is_named_in_the_remedy():
    (finding,) = groups_in_several_parts(SICK.patients())
    assert finding.columns == ("patient",)
    assert "--group patient" in finding.remedies[0].advice


def test_times_without_memory_are_no_leak():
    assert not [*time_leaks(SICK.hours(is_smooth=False))]


def test_rows_sorted_by_the_target_are_no_time_leak():
    frame = SICK.numbers().sort("y")
    assert not [*time_leaks(SICK.evidence(frame))]


def test_an_order_without_a_column_of_times_is_less_certain():
    noise = np.random.default_rng(1).normal(size=500)
    walk = np.convolve(noise, np.ones(30))[:500]
    frame = pl.DataFrame({"a": np.random.default_rng(2).normal(size=500), "y": walk})
    (finding,) = time_leaks(SICK.evidence(frame))
    assert finding.severity == "warning" and finding.confidence < 0.9


def test_without_parts_nothing_is_judged():
    evidence = DataEvidence(SICK.with_copies().dataset, problem="too few rows")
    for check in (rows_in_training, groups_in_several_parts, time_leaks):
        with pytest.raises(Skip, match="too few rows"):
            _ = [*check(evidence)]


def test_leaked_near_copies_are_counted_beside_exact_ones():
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (60, 16, 16), generator=generator).numpy().astype(np.uint8)
    frame = pl.DataFrame(
        {
            "x": np.concatenate([pictures, pictures[:3, :, ::-1], pictures[3:5]]),
            "y": [n % 2 for n in range(65)],
            "part": ["train"] * 30 + ["valid"] * 10 + ["test"] * 25,
        }
    )
    leaked = leaks(SICK.evidence(frame, parts="part"))
    assert leaked.test.tolist() == [60, 61, 62, 63, 64]
    assert leaked.train.tolist() == [0, 1, 2, 3, 4]
    assert leaked.exact == 2
