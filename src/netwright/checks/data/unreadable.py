"""Rows and files that cannot be read."""

from collections import Counter
from collections.abc import Iterator

from netwright.checks.data.unlike import drops
from netwright.checks.evidence import DataEvidence
from netwright.kinds.picture_files import is_picture
from netwright.records.errors import counted
from netwright.records.finding import SHOWN, Finding, Measure, Remedy, Severity

MANY = 0.1  # share of unreadable rows from which the data as a whole are broken: an incomplete copy


def unreadable(evidence: DataEvidence) -> Iterator[Finding]:
    """rows that cannot be read

    Files that are empty, cut short, missing or of another type than their name says; cells that do not fit their
    column; and files among the others that were skipped because of their name.

    Why it matters: such rows are left out, so the network is trained and scored on fewer rows than were collected, and
    seldom on a fair sample of them. A camera, a day or a class may be missing altogether.

    How it is decided: every row is decoded to its end; one that fails is listed with the decoder's reason. From a tenth
    of the rows on it is an error, since the whole copy is then at fault, not single files. It is also an error if the
    data cannot be prepared at all. Skipped files are counted and opened: those that are images by content but not by
    name are a warning, other ones a note.
    """
    if evidence.prepared is None and evidence.problem:
        advice = "Repair this, then audit again: most checks need data that can be read."
        yield Finding("error", evidence.problem, title="data cannot be prepared", remedies=(Remedy(advice),))
    if evidence.prepared is not None and evidence.prepared.bad:
        yield _rows(evidence, dict(evidence.prepared.bad))
    if evidence.dataset.skipped:
        yield _skipped(evidence)


def _rows(evidence: DataEvidence, bad: dict[int, str]) -> Finding:
    share = len(bad) / len(evidence.dataset)
    severity: Severity = "error" if share >= MANY else "warning"
    reasons = Counter(bad.values()).most_common(SHOWN)
    told = "; ".join(f"{count:,} x {reason}" for reason, count in reasons)
    return Finding(
        severity=severity,
        summary=f"{counted(len(bad), 'row')} of {len(evidence.dataset):,} cannot be read and were left out: {told}",
        measures=(Measure("share of the rows", share, threshold=MANY if severity == "error" else None),),
        rows=tuple(sorted(bad)),
        remedies=(Remedy("Fetch these files or cells again, or drop the rows for good."),),
        fixes=drops(evidence, sorted(bad), 1.0),
    )


def _skipped(evidence: DataEvidence) -> Finding:
    files = evidence.dataset.skipped
    images = tuple(path for path in files if "image" in evidence.dataset.table.columns and is_picture(path))
    others = [path for path in files if path not in set(images)]
    severity: Severity = "warning" if images else "note"
    are = f", {len(images):,} of which are images by content but not by name" if images else ""
    advice = "Rename the images with an image suffix (.jpg, .png)." if images else "Move them elsewhere."
    return Finding(
        severity=severity,
        title="files that were skipped",
        summary=f"{counted(len(files), 'file')} beside the {len(evidence.dataset):,} rows did not become rows{are}",
        places=(*images, *others)[:SHOWN],
        remedies=(Remedy(advice),),
    )
