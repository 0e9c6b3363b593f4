import torch

from netwright.checks.training.held_out import TWIN_COLUMNS, flat
from netwright.records.batch import Batch


def test_few_pixels_of_large_pictures_hold_no_memory_of_the_others() -> None:
    pictures = torch.arange(2 * 3 * 64 * 64).reshape(2, 3, 64, 64).to(torch.uint8)
    for x in (pictures, pictures.float()):
        columns = flat(Batch((x,), (), torch.arange(2)))
        assert columns.shape[1] <= TWIN_COLUMNS
        assert columns.untyped_storage().nbytes() == 4 * columns.numel()
        assert torch.equal(columns, x.flatten(1)[:, ::48].float())
