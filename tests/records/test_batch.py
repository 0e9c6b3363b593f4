from collections.abc import Iterator

import pytest
import torch

from netwright.records.batch import Batch, Examples, Rows


def test_rows_of_batches_come_back_joined_in_their_types() -> None:
    generator = torch.Generator().manual_seed(0)
    batches = [(torch.rand(n, 3, generator=generator), torch.arange(n)) for n in (2, 5, 1, 9, 9)]
    rows = Rows()
    for number, batch in enumerate(batches, 1):
        rows.add(batch)
        for joined, parts in zip(rows.joined(), zip(*batches[:number], strict=True), strict=True):
            assert torch.equal(joined, torch.cat(parts))
            assert joined.dtype == parts[0].dtype


def test_no_rows_and_no_tensors_join_to_nothing() -> None:
    rows = Rows()
    rows.add(())
    assert rows.joined() == ()


class Loader(Examples):
    """Twenty rows in batches of six, whatever is asked for; no more than the three methods that have to be there."""

    def __len__(self) -> int:
        return 20

    def batches(self, size: int, *, seed: int | None, start: int = 0, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        rows = torch.arange(20) if seed is None else torch.randperm(20, generator=torch.Generator().manual_seed(seed))
        for some in rows.split(6)[start:]:
            yield Batch((some * 10.0, some[:, None] * 2), (some % 3,), some).share(rank, world)

    def locate(self, row: int) -> str:
        return f"line {row}"


def test_an_own_loader_has_all_of_the_contract_by_walking_over_its_batches() -> None:
    examples = Loader()
    assert torch.equal(examples.rows, torch.arange(20))
    assert torch.equal(examples.targets()[0], torch.arange(20) % 3)
    assert torch.equal(examples.targets(torch.tensor([7, 2]))[0], torch.tensor([1, 2]))
    assert torch.equal(examples.column(1), torch.arange(20)[:, None] * 2)
    assert torch.equal(examples.column(0, torch.tensor([7, 2, 7])), torch.tensor([70.0, 20.0, 70.0]))
    assert [rows.tolist() for rows in examples.batch_rows(99, seed=None)] == [
        [*range(k, min(k + 6, 20))] for k in (0, 6, 12, 18)
    ]
    assert examples.plain() is examples and examples.on(torch.device("cpu")) is examples
    assert not examples.is_indexed and not examples.is_in_memory
    assert examples.spans is None and examples.groups is None


def test_rows_of_an_own_loader_are_taken_in_the_order_asked_for() -> None:
    batch = Loader().take(torch.tensor([19, 0, 13, 0]))
    assert batch.rows.tolist() == [19, 0, 13, 0]
    assert batch.inputs[1].flatten().tolist() == [38, 0, 26, 0]
    with pytest.raises(IndexError, match="lack some of the requested rows"):
        Loader().take(torch.tensor([3, 20]))


def test_part_of_an_own_loader_has_its_rows_alone_in_each_pass() -> None:
    part = Loader().part(torch.tensor([1, 4, 7, 19]))
    assert (len(part), part.rows.tolist(), part.locate(4)) == (4, [1, 4, 7, 19], "line 4")
    shuffled = [batch.rows.tolist() for batch in part.batches(2, seed=3)]
    assert sorted(row for rows in shuffled for row in rows) == [1, 4, 7, 19]
    assert [batch.rows.tolist() for batch in part.batches(2, seed=3, start=1)] == shuffled[1:]
    assert part.part(torch.tensor([3])).targets()[0].tolist() == [1]


def test_an_own_loader_is_given_other_targets_in_every_order() -> None:
    targets = (torch.arange(20) + 100,)
    for seed in (None, 1):
        for batch in Loader().relabelled(targets).batches(6, seed=seed):
            assert torch.equal(batch.targets[0], batch.rows + 100)
            assert torch.equal(batch.inputs[0], batch.rows * 10.0)


def test_processes_that_share_batches_get_each_row_once() -> None:
    whole = list(Loader().batches(6, seed=2))
    parts = [list(Loader().batches(6, seed=2, rank=rank, world=4)) for rank in range(4)]
    assert {len(part) for part in parts} == {len(whole)}
    for number, batch in enumerate(whole):
        shared = torch.cat([part[number].rows for part in parts])
        assert sorted(shared.tolist()) == sorted(batch.rows.tolist())
