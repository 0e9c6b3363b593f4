"""What the tier fast has to come to, so that no change makes the doctor worse unseen. It claims nothing more."""

from collections.abc import Sequence

from benchmarks.zoo.scores import Row, is_found, is_loud, is_named

# Percent. Measured were 100, 97.1 and 2.2 (102 faulty, 89 healthy trainings): about the ends of Wilson's intervals.
LEAST_RECALL, LEAST_CAUSE_FIRST, MOST_FLAGGED = 95.0, 90.0, 8.0


def below(rows: Sequence[Row]) -> list[str]:
    """The bars that are missed, as sentences."""
    faults, healthy = [r for r in rows if r["kind"] == "fault"], [r for r in rows if r["kind"] != "fault"]
    recall = 100 * sum(map(is_found, faults)) / len(faults)
    cause = 100 * sum(is_named(row, 1) for row in faults) / len(faults)
    flagged = 100 * sum(map(is_loud, healthy)) / len(healthy)
    held = (
        (recall >= LEAST_RECALL, f"recall is {recall:.1f} %, at least {LEAST_RECALL:g} expected"),
        (
            cause >= LEAST_CAUSE_FIRST,
            f"the cause comes first in {cause:.1f} %, at least {LEAST_CAUSE_FIRST:g} expected",
        ),
        (flagged <= MOST_FLAGGED, f"{flagged:.1f} % of the healthy are flagged, at most {MOST_FLAGGED:g} expected"),
    )
    return [told for is_held, told in held if not is_held]
