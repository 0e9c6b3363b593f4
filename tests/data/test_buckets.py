import dataclasses

import torch
from torch import Tensor

from netwright.data.buckets import computed
from netwright.data.examples import InMemory
from netwright.models.sequences import row_lengths


def _texts(lengths: Tensor) -> InMemory:
    words = torch.where(torch.arange(int(lengths.max())) < lengths[:, None], 5, 0).byte()
    return InMemory((words,), (), torch.arange(0, len(lengths), 2), str, steps=(lambda x: row_lengths(x != 0),))


def _uneven() -> Tensor:
    """Lengths as sentences have them: many short ones, a few long."""
    return torch.empty(6_000).log_normal_(2.5, 0.7, generator=torch.Generator().manual_seed(0)).long().clamp(1, 200)


def test_bucketed_batches_compute_a_third_of_the_steps_of_random_ones() -> None:
    lengths = _uneven()
    random = _texts(lengths)
    buckets = random.by_length()
    steps = [computed(lengths, examples.batch_rows(64, seed=3)) for examples in (random, buckets)]
    padding = [1 - int(lengths[random.rows].sum()) / count for count in steps]
    assert padding[0] > 0.7
    assert padding[1] < 0.11
    assert steps[1] < steps[0] / 3
    seen = sum(batch.inputs[0].numel() for batch in buckets.batches(64, seed=3))
    assert seen == steps[1]


def test_every_epoch_has_the_same_rows_in_other_batches_and_each_is_reproducible() -> None:
    buckets = _texts(_uneven()).by_length()
    first, again, other = (buckets.batch_rows(64, seed=seed) for seed in (1, 1, 2))
    assert [rows.tolist() for rows in first] == [rows.tolist() for rows in again]
    assert sorted(torch.cat(first).tolist()) == sorted(torch.cat(other).tolist()) == buckets.rows.tolist()
    assert not {tuple(sorted(rows.tolist())) for rows in first} & {tuple(sorted(rows.tolist())) for rows in other}
    later = [batch.rows.tolist() for batch in buckets.batches(64, seed=1, start=40)]
    assert later == [rows.tolist() for rows in first[40:]]


def test_short_and_long_batches_come_in_a_random_order() -> None:
    lengths = _uneven()
    means = [float(lengths[rows].float().mean()) for rows in _texts(lengths).by_length().batch_rows(64, seed=1)]
    assert means != sorted(means)


def test_rows_of_like_lengths_stay_in_a_random_order_and_so_does_evaluation() -> None:
    even = _texts(torch.randint(90, 100, (2_000,), generator=torch.Generator().manual_seed(0)))
    assert even.by_length() is even
    buckets = _texts(_uneven()).by_length()
    assert torch.equal(torch.cat(buckets.batch_rows(64, seed=None)), buckets.rows)


def test_parts_of_bucketed_examples_are_bucketed() -> None:
    lengths = _uneven()
    part = _texts(lengths).by_length().part(torch.arange(640))
    assert isinstance(part, InMemory)
    random = dataclasses.replace(part, buckets=None)
    assert computed(lengths, part.batch_rows(64, seed=0)) < 0.6 * computed(lengths, random.batch_rows(64, seed=0))
