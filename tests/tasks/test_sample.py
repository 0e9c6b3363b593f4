from collections.abc import Iterable

import numpy as np
import pytest
import torch
from torch import Tensor

from netwright.records.batch import Batch
from netwright.tasks import sample
from netwright.tasks.classification import Classification
from netwright.tasks.sample import SLACK, Sample


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sample, "MOST_ROWS", 100)
    return 100


def _filled(rows: int, sizes: Iterable[int], seed: int = 0) -> Sample:
    found, numbers = Sample(seed), torch.arange(rows)
    for part in numbers.split(list(sizes)):
        found.add((part, part.float()[:, None].expand(-1, 3) / 7))
    return found


def test_rows_that_fit_are_all_kept_as_they_came(few: int) -> None:
    found = _filled(few, [60, 40])
    numbers, others = found.joined()
    assert numbers.tolist() == found.places().tolist() == list(range(few)) and found.count == few
    assert torch.equal(others[:, 2], torch.arange(few) / 7)
    assert Sample().joined() == ()


def test_of_more_rows_a_sample_is_kept_that_depends_on_their_number_and_the_seed_alone(few: int) -> None:
    whole, parts, other = _filled(1000, [1000]), _filled(1000, [7] * 142 + [6]), _filled(1000, [1000], seed=1)
    for found in (whole, parts):
        numbers, others = found.joined()
        assert len(numbers) == few and found.count == 1000
        assert torch.equal(numbers, torch.from_numpy(found.places())) and torch.equal(numbers.sort().values, numbers)
        assert torch.equal(others[:, 0], numbers / 7), "columns stay together"
    assert whole.places().tolist() == parts.places().tolist() != other.places().tolist()
    assert whole.joined()[0].tolist() == whole.joined()[0].tolist(), "asking changes nothing"


def test_every_row_is_as_likely_as_any_other_and_so_is_every_sample_size(few: int) -> None:
    seeds = 400
    counts = np.zeros(400)
    for seed in range(seeds):
        counts[_filled(400, [30] * 13 + [10], seed).places()] += 1
    error = np.sqrt(seeds * 0.25 * 0.75)
    assert counts.sum() == seeds * few
    assert abs(counts[:200].sum() - seeds * 50) < 5 * error * np.sqrt(200), "early rows are not preferred"
    assert np.abs(counts - seeds / 4).max() < 5 * error


def test_what_is_kept_stays_bounded_however_many_rows_come(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    most = 0
    found = Sample()
    for _ in range(500):
        found.add((torch.ones(20, 3),))
        most = max(most, found.nbytes)
    assert found.count == 10_000
    assert most <= (SLACK * few + 20) * (12 + 16), "12 bytes of a row, 16 of its key and place"
    monkeypatch.setattr(sample, "MOST_BYTES", 12 * 30)
    wide = Sample()
    wide.add((torch.ones(100, 3),))
    assert len(wide.joined()[0]) == 30


def test_scores_of_a_sample_say_so_and_come_near_those_of_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    r = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(20_000, 2, generator=r), torch.randint(0, 2, (20_000,), generator=r)
    logits[torch.arange(20_000), targets] += 1.0

    def scored(groups: Tensor | None = None):
        score = Classification(("a", "b")).score()
        for start in range(0, 20_000, 3000):
            rows = torch.arange(start, min(start + 3000, 20_000))
            score.add(logits[rows], Batch((), (targets[rows],), rows))
        return score.quick(), score.result(groups)

    _, whole = scored()
    monkeypatch.setattr(sample, "MOST_ROWS", 2000)
    quick, part = scored()
    assert (whole.count, whole.sampled) == (20_000, 0) and (part.count, part.sampled) == (20_000, 2000)
    assert sum(map(sum, part.confusion)) == 2000
    for ours, all_rows in zip(part.metrics, whole.metrics, strict=True):
        assert ours.low <= all_rows.value <= ours.high, ours.name
        assert 2 < (ours.high - ours.low) / (all_rows.high - all_rows.low) < 5, "wider, by the root of ten"
    assert quick["accuracy"] == part["accuracy"].value
    by_group = scored(torch.arange(20_000) // 10)[1]
    assert by_group["accuracy"].value == part["accuracy"].value
