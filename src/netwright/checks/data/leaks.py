"""What training rows tell about test rows: scores are too good where they tell more than new data will."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from netwright.checks.data.near import joined, near
from netwright.checks.data.repeats import repeats
from netwright.checks.evidence import DataEvidence, Skip
from netwright.data.examples import InMemory
from netwright.data.readers.files import counted
from netwright.data.split import Rows
from netwright.records.errors import DataError
from netwright.records.finding import Finding, Fix, Measure, Remedy
from netwright.records.run import Run
from netwright.records.task import Scores
from netwright.training.evaluate import evaluate

ERROR_SHARE = 0.01  # of the test rows: known answers to so many move a score by up to a point
ERROR_ROWS = 5  # at least: fewer are within the interval of any score


@dataclass(frozen=True, eq=False)
class Leaked:
    """Rows of the test part whose copies train."""

    test: Rows  # ascending
    train: Rows  # the copies, ascending
    exact: int  # how many of `test` are equal to their copy; the others nearly


def test_rows_in_training(evidence: DataEvidence) -> Iterator[Finding]:
    """test rows among the training rows

    Rows of the test part that also stand in the training part, exactly or nearly.

    Why it matters: the network has seen the answers to these test rows. The score is then better than it will be on new
    data, and it favors networks that learn by heart.

    How it is decided: equal rows as in NW170, nearly equal ones as in NW171, one in each part. Where chance alone gives
    as many equal rows, in a table of few distinct values, it is no finding. It is an error from ERROR_SHARE = 1 % of
    the test rows and ERROR_ROWS = 5, which can move a score by a point, and else a warning. The copies are to be
    dropped from the training part, so that the test part stays what it was and scores can be compared.
    """
    leaked = evidence.once(leaks)
    if not len(leaked.test):
        return
    count = len(_parts(evidence)[1])
    share = len(leaked.test) / count
    locate = evidence.dataset.locate
    near = len(leaked.test) - leaked.exact
    kinds = "" if not near else f", {leaked.exact:,} exactly and {near:,} nearly"
    yield Finding(
        "NW127",
        "error" if share >= ERROR_SHARE and len(leaked.test) >= ERROR_ROWS else "warning",
        "test rows among the training rows",
        f"{counted(len(leaked.test), 'row')} of {count:,} in the test part ({share:.1%}) also "
        f"{'stand' if len(leaked.test) > 1 else 'stands'} in the training part{kinds}",
        (Measure("share of the test rows", share, threshold=ERROR_SHARE),),
        rows=tuple(leaked.test.tolist()),
        otherwise=("different things that look the same",) if near else (),
        remedies=(
            Remedy(
                "drop the copies from the training part, or move them to the test part.",
                effect="the score falls to what new data will show",
                cost=f"{counted(len(leaked.train), 'row')} of the training part",
            ),
        ),
        fixes=tuple(Fix(row, locate(row), "drop", code="NW127") for row in leaked.train.tolist()),
    )


def leaks(evidence: DataEvidence) -> Leaked:
    """Test rows with a copy in the training part, and the copies. Raises Skip where there are no parts."""
    train, test = _parts(evidence)
    found = evidence.once(repeats)
    if found.are_natural:
        return Leaked(test[:0], test[:0], 0)
    exact, copies = _shared(found.rows, found.first, train, test)
    if not evidence.is_fast:
        try:
            pairs = evidence.once(near).pairs
        except Skip:  # NW171 says why near duplicates cannot be judged; equal rows can
            pairs = np.empty((0, 2), np.int64)
        alike, copies = _shared(found.rows, joined(found.rows, found.first, pairs), train, test)
        return Leaked(alike, copies, len(exact))
    return Leaked(exact, copies, len(exact))


def _shared(rows: Rows, label: Rows, train: Rows, test: Rows) -> tuple[Rows, Rows]:
    """The test rows and the training rows whose label stands in both parts."""
    tests, trains = np.isin(rows, test), np.isin(rows, train)
    is_shared = np.isin(label, np.intersect1d(label[tests], label[trains]))
    return rows[is_shared & tests], rows[is_shared & trains]


@dataclass(frozen=True)
class Unleaked:
    """The score of the test part with and without the rows that training has seen. `print` tells it."""

    scores: Scores  # all test rows
    without: Scores  # those that have no copy in the training part
    leaked: int  # rows

    def __str__(self) -> str:
        name, before = self.scores.metrics[0].name, self.scores.metrics[0]
        after = self.without[name]
        rows = "row" if self.leaked == 1 else "rows"
        return (
            f"{name} {before.value:.4g}; {after.value:.4g} [{after.low:.4g}, {after.high:.4g}] "
            f"without the {self.leaked:,} leaked test {rows}"
        )


def without_leaks(run: Run, evidence: DataEvidence) -> Unleaked | None:
    """The run's test score beside that of the test rows without a copy in the training part; None where none leaked.

    `evidence` is of the data that the run was trained on, with the same parts. Raises Skip where there are no parts,
    and DataError where all test rows have copies.
    """
    leaked = evidence.once(leaks).test
    if not isinstance(run.test, InMemory):
        raise Skip("the test part is an engineer's own loader, whose rows cannot be chosen")
    rows = run.test.index.cpu().numpy()
    clean = np.setdiff1d(rows, leaked)
    if len(clean) == len(rows):
        return None
    if not len(clean):
        problem = f"all {counted(len(rows), 'test row')} also stand in the training part"
        raise DataError(problem, remedy="bring test rows that training has not seen.")
    some = replace(run.test, index=torch.from_numpy(clean))
    without = evaluate(run.network, run.task, some, run.recipe).result()
    whole = run.scores or evaluate(run.network, run.task, run.test, run.recipe).result()
    return Unleaked(whole, without, len(rows) - len(clean))


def _parts(evidence: DataEvidence) -> tuple[Rows, Rows]:
    if evidence.parts is None:
        raise Skip(f"there are no parts: {evidence.problem.splitlines()[0] if evidence.problem else 'not split'}")
    return evidence.parts.train, evidence.parts.test
