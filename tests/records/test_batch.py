import torch

from netwright.records.batch import Rows


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
