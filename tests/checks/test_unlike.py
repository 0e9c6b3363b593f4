import numpy as np
import pytest
from tests.sick.files import evidence

from netwright.checks.data.pictures import blank


@pytest.mark.parametrize(
    ("odd", "of", "severity", "proposed"),
    [
        (1, 900, "warning", 1),  # more than a thousandth
        (1, 1_001, "note", 1),
        (9, 9_001, "note", 9),
        (10, 10_001, "warning", 10),  # too many to be accidents
        (60, 300, "warning", 60),
        (61, 300, "note", 0),  # the data are like that
    ],
)
def test_a_few_odd_rows_among_very_many_are_a_note_and_may_still_be_dropped(
    odd: int, of: int, severity: str, proposed: int
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (of, 16, 16), dtype=np.uint8)
    images[:odd] = 90
    (finding,) = blank(evidence((images, np.arange(of) % 2)))
    assert (finding.severity, len(finding.fixes), len(finding.rows)) == (severity, proposed, odd)
