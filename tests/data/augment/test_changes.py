"""Which changes suit which data, and their targets."""

import numpy as np
import polars as pl
import pytest
import torch
from torch import Generator

from netwright.data.augment import changes, suited
from netwright.kinds.image import Image
from netwright.kinds.number import Number
from netwright.records.batch import Batch
from netwright.records.errors import RecipeError
from netwright.records.schema import Schema
from netwright.tasks.classification import Classification
from netwright.tasks.segmentation import Segmentation

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 9, 9), dtype=np.uint8)
PICTURE = Image.learn("image", pl.Series("image", PIXELS))
AGE = Number.learn("age", pl.Series("age", [float(n) for n in range(50)]))
TWO = Classification(("no", "yes"))
MASKS = Segmentation((0, 1), (9, 9))


def _batch() -> Batch:
    return Batch((torch.from_numpy(PIXELS)[:, None],), (torch.arange(20) % 2,), torch.arange(20))


def test_mixed_pictures_bring_the_targets_of_the_pictures_they_were_mixed_with() -> None:
    batch = changes(Schema((PICTURE,)), ("flip", "mixup"), TWO)(_batch(), Generator().manual_seed(0))
    assert batch.mix is not None
    assert torch.equal(batch.mix.targets[0], _batch().targets[0].roll(1))
    assert torch.equal(batch.targets[0], _batch().targets[0])
    assert changes(Schema((PICTURE,)), ("flip",), TWO)(_batch(), Generator().manual_seed(0)).mix is None


@pytest.mark.parametrize(
    ("fields", "task", "name", "problem"),
    [
        ((AGE,), TWO, "flip", "augment flip changes columns of the kind image, and the data have number"),
        ((PICTURE, AGE), TWO, "mixup", "augment mixup mixes pictures, and the other columns could not be mixed alike"),
        ((PICTURE,), MASKS, "flip", "augment flip changes what stands where, and the targets of segmentation"),
        ((PICTURE,), MASKS, "cutmix", "augment cutmix changes what stands where"),
    ],
)  # fmt: skip
def test_changes_that_would_do_nothing_or_harm_are_refused(
    fields: tuple, task: object, name: str, problem: str
) -> None:
    with pytest.raises(RecipeError, match=problem):
        changes(Schema(fields), (name,), task)  # type: ignore[arg-type]
    assert name not in suited(Schema(fields), task)  # type: ignore[arg-type]


def test_masks_allow_what_leaves_things_in_place() -> None:
    assert suited(Schema((PICTURE,)), MASKS) == ("cutout", "grain", "blur", "color")


def test_two_mixings_are_refused() -> None:
    with pytest.raises(RecipeError, match="mixes rows that mixup has mixed"):
        changes(Schema((PICTURE,)), ("mixup", "cutmix"), TWO)


def test_changed_numbers_stay_within_the_bounds_of_their_columns() -> None:
    other = Number.learn("size", pl.Series("size", [0.0, 1000.0]))
    x = torch.tensor([[48.9, 999.0], [0.1, 1.0]]).repeat(200, 1)
    batch = Batch((x,), (torch.zeros(400),), torch.arange(400))
    changed = changes(Schema((AGE, other)), ("noise",), TWO)(batch, Generator().manual_seed(0)).inputs[0]
    assert (changed >= 0).all() and (changed <= torch.tensor([49.0, 1000.0])).all()
    assert (changed == 0).any() and (changed[::2] < x[::2]).any()
