from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from netwright.data.dataset import Dataset
from netwright.data.examples import InMemory, adopted, augmented, empty, in_memory
from netwright.data.prepare import encode_new, prepare
from netwright.data.read import read
from netwright.data.split import split
from netwright.records.batch import Batch, Examples, joined
from netwright.records.errors import DataError
from netwright.records.schema import Schema


def _examples(count: int = 103) -> InMemory:
    dataset = Dataset(pl.DataFrame({"x": range(2 * count)}), (), "people.csv")
    rows = torch.arange(2 * count)
    return in_memory(dataset, Schema(()), None, (rows[:, None] * 10.0,), (rows % 3,), np.arange(0, 2 * count, 2))


def _same(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) and all(
        torch.equal(a, b)
        for x, y in zip(first, second, strict=True)
        for a, b in zip((*x.inputs, *x.targets, x.rows), (*y.inputs, *y.targets, y.rows), strict=True)
    )


def test_rows_in_order_without_a_seed() -> None:
    batches = list(_examples().batches(10, seed=None))
    assert [len(batch) for batch in batches] == [10] * 10 + [3]
    assert torch.cat([batch.rows for batch in batches]).tolist() == list(range(0, 206, 2))


def test_inputs_and_targets_go_with_their_rows() -> None:
    for batch in _examples().batches(10, seed=3):
        assert torch.equal(batch.inputs[0][:, 0], batch.rows * 10.0)
        assert torch.equal(batch.targets[0], batch.rows % 3)


def test_every_row_comes_once_and_the_seed_decides_the_order() -> None:
    examples = _examples()
    first, again, other = (torch.cat([b.rows for b in examples.batches(10, seed=s)]) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert sorted(first.tolist()) == list(range(0, 206, 2))


@pytest.mark.parametrize("seed", [None, 5])
@pytest.mark.parametrize("start", [0, 4, 10, 11])
def test_starting_later_gives_the_same_batches(seed: int | None, start: int) -> None:
    examples = _examples()
    assert _same(list(examples.batches(10, seed=seed, start=start)), list(examples.batches(10, seed=seed))[start:])


@pytest.mark.parametrize(
    ("count", "size", "sizes"), [(21, 10, [10, 9, 2]), (1, 10, [1]), (11, 10, [9, 2]), (3, 1, [1] * 3)]
)
def test_no_shuffled_batch_has_one_row_alone(count: int, size: int, sizes: list[int]) -> None:
    assert [len(batch) for batch in _examples(count).batches(size, seed=0)] == sizes


def test_no_rows_give_no_batches() -> None:
    assert len(empty()) == 0
    assert list(empty().batches(4, seed=0)) == []


def test_rows_in_memory_are_taken_without_a_walk_those_of_other_parts_too() -> None:
    examples = _examples()
    assert examples.is_indexed and examples.is_in_memory
    assert torch.equal(examples.rows, torch.arange(0, 206, 2))
    assert torch.equal(examples.column(0)[:, 0], examples.rows * 10.0)
    batch = examples.take(torch.tensor([5, 2, 5]))
    assert (batch.rows.tolist(), batch.inputs[0].flatten().tolist()) == ([5, 2, 5], [50, 20, 50])
    assert torch.equal(examples.targets(torch.tensor([5, 2]))[0], torch.tensor([2, 2]))


def test_parts_and_other_targets_of_rows_in_memory_are_those_of_their_rows() -> None:
    examples = _examples()
    part = examples.part(torch.tensor([7, 3]))
    assert (part.rows.tolist(), part.source == examples.source) == ([14, 6], True)
    other = examples.relabelled((examples.rows + 1,))
    assert other.source != examples.source
    for batch in other.batches(10, seed=1):
        assert torch.equal(batch.targets[0], batch.rows + 1)


@pytest.mark.parametrize("seed", [None, 3])
def test_processes_share_each_batch_in_memory(seed: int | None) -> None:
    whole = [batch.rows.tolist() for batch in _examples().batches(10, seed=seed)]
    parts = [list(_examples().batches(10, seed=seed, rank=rank, world=3)) for rank in range(3)]
    shared = [sorted(torch.cat([part[k].rows for part in parts]).tolist()) for k in range(len(whole))]
    assert shared == [sorted(rows) for rows in whole]


def _texts(augment: tuple[str, ...] = ()) -> Examples:
    words = np.array(["sun", "rain", "wind", "fog", "snow"])
    generator = np.random.default_rng(0)
    texts = [" ".join(generator.choice(words, generator.integers(1, 12))) for _ in range(60)]
    dataset = read(pl.DataFrame({"text": texts, "y": ["a", "b"] * 30}), target="y", kinds={"text": "text"})
    prepared = prepare(dataset, split(dataset))
    return augmented(prepared.train, prepared.schema, augment, prepared.task)


def test_batches_of_texts_are_cut_to_their_longest_row_and_say_how_long_each_is() -> None:
    examples = _texts()
    whole, cuts = examples.column(0), set[int]()
    for batch in examples.batches(4, seed=1):
        (words,), (lengths,) = batch.inputs, batch.lengths
        assert lengths is not None
        assert lengths.tolist() == (words != 0).sum(1).tolist()
        assert words.shape[1] == int(lengths.max())
        place = torch.searchsorted(examples.rows, batch.rows)
        assert torch.equal(whole[place, : words.shape[1]], words)
        assert not whole[place, words.shape[1] :].any()
        assert [x is y for x, y in zip(batch.arguments, (words, lengths), strict=True)] == [True, True]
        cuts.add(words.shape[1])
    assert len(cuts) > 3
    assert {batch.inputs[0].shape[1] for batch in examples.uncut().batches(4, seed=1)} == {whole.shape[1]}
    assert examples.take(examples.rows[:3]).head(1).inputs[0].shape[1] == int((whole[0] != 0).sum())


def test_lengths_are_those_of_augmented_rows() -> None:
    for batch in _texts(("word_swap", "word_dropout")).batches(4, seed=1):
        assert batch.lengths[0] is not None
        assert batch.lengths[0].tolist() == (batch.inputs[0] != 0).sum(1).tolist()


def _pictures() -> Examples:
    generator = np.random.default_rng(0)
    dataset = read((generator.integers(0, 256, (40, 14, 14), dtype=np.uint8), generator.integers(0, 2, 40)))
    prepared = prepare(dataset, split(dataset))
    examples, _ = encode_new(prepared.schema, prepared.task, dataset)
    return augmented(examples, prepared.schema, ("flip", "shift"), prepared.task)


def test_augmented_batches_depend_on_seed_and_batch_alone() -> None:
    pictures = _pictures()
    whole = list(pictures.batches(8, seed=1))
    assert _same(whole, list(pictures.batches(8, seed=1)))
    assert _same(whole[3:], list(pictures.batches(8, seed=1, start=3)))


def test_pictures_are_changed_for_training_and_never_for_evaluation() -> None:
    pictures = _pictures()
    plain = next(pictures.batches(40, seed=None)).inputs[0]
    changed = next(pictures.batches(40, seed=1))
    assert not torch.equal(changed.inputs[0], plain[changed.rows])
    assert torch.equal(plain, next(pictures.batches(40, seed=None)).inputs[0])


X, Y = torch.randn(10, 3), torch.arange(10) % 2


def _loader(shuffle: bool) -> DataLoader[tuple[Tensor, ...]]:
    return DataLoader(TensorDataset(X, Y), batch_size=4, shuffle=shuffle)


def test_adopted_loader_numbers_its_rows_and_can_start_later() -> None:
    examples = adopted(_loader(False), "train loader")
    assert len(examples) == 10
    assert [batch.rows.tolist() for batch in examples.batches(99, seed=0)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [batch.rows.tolist() for batch in examples.batches(99, seed=0, start=2)] == [[8, 9]]
    assert examples.locate(3) == "train loader, row 3"


def test_shuffling_loader_depends_on_the_seed_and_leaves_torch_alone() -> None:
    examples = adopted(_loader(True))
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    first = [batch.inputs[0] for batch in examples.batches(4, seed=1)]
    assert torch.equal(torch.rand(1), expected)
    again = [batch.inputs[0] for batch in examples.batches(4, seed=1)]
    other = [batch.inputs[0] for batch in examples.batches(4, seed=2)]
    assert torch.equal(torch.cat(first), torch.cat(again))
    assert not torch.equal(torch.cat(first), torch.cat(other))


def test_lists_of_batches_are_counted() -> None:
    assert len(adopted([(X, Y), (X[:3], Y[:3])])) == 13
    assert len(adopted(DataLoader(TensorDataset(X, Y), batch_size=4, drop_last=True))) == 8


def test_generator_is_refused_because_it_can_be_read_once_only() -> None:
    def once() -> Iterator[Any]:
        yield X, Y

    with pytest.raises(DataError, match="the train loader is a generator, which can be read only once"):
        adopted(once(), "train loader")


def test_loader_without_batches_is_an_error() -> None:
    with pytest.raises(DataError, match="the loader has no batches"):
        adopted([])


def test_lists_as_targets_are_cut_to_the_longest_of_the_batch_and_say_how_long_each_is() -> None:
    counts = torch.arange(20) % 5 + 1
    boxes = torch.rand(20, 5, 4).where((torch.arange(5) < counts[:, None])[..., None], -1.0)
    labels = torch.arange(20)
    examples = InMemory(
        (torch.zeros(20, 3),), (boxes, labels), torch.arange(20), str,
        counts=lambda targets: ((targets[0] >= 0).all(2).sum(1), None),
    )  # fmt: skip
    cuts = set[int]()
    for batch in examples.batches(3, seed=1):
        some, names = batch.targets
        assert batch.target_lengths[0] is not None and batch.target_lengths[1] is None
        assert torch.equal(batch.target_lengths[0], counts[batch.rows])
        assert torch.equal(some, boxes[batch.rows, : some.shape[1]])
        assert torch.equal(names, batch.rows)
        assert some.shape[1] == int(counts[batch.rows].max())
        cuts.add(some.shape[1])
    assert len(cuts) > 1
    whole = joined(list(examples.batches(3, seed=None)))
    is_real = (torch.arange(5) < counts[:, None])[..., None]
    assert torch.equal(whole.targets[0].where(is_real, -1.0), boxes)
    assert whole.target_lengths[0] is not None and torch.equal(whole.target_lengths[0], counts)
