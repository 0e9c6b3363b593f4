"""Which changes suit which data, and their targets."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import polars as pl
import pytest
import torch
from torch import Generator

from netwright.data import AUGMENTATIONS
from netwright.data.augment import changes, suited
from netwright.kinds.image import Image
from netwright.kinds.number import Number
from netwright.kinds.text import Text
from netwright.records.batch import Batch
from netwright.records.errors import RecipeError
from netwright.records.schema import Schema
from netwright.resolve import resolve
from netwright.tasks.classification import Classification
from netwright.tasks.language_model import LanguageModel
from netwright.tasks.segmentation import Segmentation

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 9, 9), dtype=np.uint8)
PICTURE = Image.learn("image", pl.Series("image", PIXELS))
AGE = Number.learn("age", pl.Series("age", [float(n) for n in range(50)]))
TWO = Classification(("no", "yes"))
MASKS = Segmentation((0, 1), (9, 9))
WORDS = Text.learn("text", pl.Series("text", ["a fine day", "a fine day"]))
LETTERS = LanguageModel(("a", "fine", "day"), " ")


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
        ((AGE,), TWO, "flip", "augment flip changes pictures, but the data have only columns of kind number"),
        ((PICTURE, AGE), TWO, "mixup", "augment mixup mixes images, but the other columns cannot be mixed"),
        ((PICTURE,), MASKS, "cutmix", "augment cutmix moves content, but the targets of segmentation"),
        ((WORDS,), LETTERS, "word_swap", "augment word_swap moves content, but the targets of language"),
    ],
)  # fmt: skip
def test_changes_that_would_do_nothing_or_harm_are_refused(
    fields: tuple, task: object, name: str, problem: str
) -> None:
    with pytest.raises(RecipeError, match=problem):
        changes(Schema(fields), (name,), task)  # type: ignore[arg-type]
    assert name not in suited(Schema(fields), task)  # type: ignore[arg-type]


MOVING = ("flip", "flip_vertical", "shift", "rotate", "zoom", "crop")


def test_masks_allow_what_they_can_follow() -> None:
    assert suited(Schema((PICTURE,)), MASKS) == (*MOVING, "cutout", "grain", "blur", "color")


def _scene(side: int) -> tuple[Image, Batch]:
    """Pictures of a bright half-plane each, and masks of what is bright."""
    generator = torch.Generator().manual_seed(0)
    places = torch.arange(side) - side / 2
    slope = torch.randn(60, 2, 1, 1, generator=generator)
    pixels = ((slope[:, 0] * places + slope[:, 1] * places[:, None]) * 40 + 128).clamp(0, 255).byte()[:, None]
    field = Image.learn("image", pl.Series("image", pixels[:, 0].numpy()))
    return field, Batch((pixels,), ((pixels[:, 0] > 128).byte(),), torch.arange(60))


@pytest.mark.parametrize("name", MOVING)
def test_masks_move_with_their_pictures(name: str) -> None:
    field, batch = _scene(28)
    moved = changes(Schema((field,)), (name,), Segmentation((0, 1), (28, 28)))(batch, Generator().manual_seed(3))
    shown, mask = moved.inputs[0][:, 0] > 128, moved.targets[0].bool()
    assert not torch.equal(moved.targets[0], batch.targets[0])
    agree = (shown == mask).float().mean()
    assert agree == 1 if name in MOVING[:3] else agree > 0.97
    assert (shown == batch.targets[0].bool()).float().mean() < agree


def test_masks_of_another_size_move_as_far() -> None:
    field, batch = _scene(28)
    small = batch.targets[0][:, ::2, ::2]
    moved = changes(Schema((field,)), ("shift",), Segmentation((0, 1), (14, 14)))(
        Batch(batch.inputs, (small,), batch.rows), Generator().manual_seed(3)
    )
    assert ((moved.inputs[0][:, 0, ::2, ::2] > 128) == moved.targets[0].bool()).float().mean() > 0.95


@pytest.mark.parametrize("name", MOVING)
def test_points_move_with_their_pictures(name: str) -> None:
    x = torch.zeros(40, 1, 29, 29, dtype=torch.uint8)
    x[:, 0, 10:13, 17:20] = 255  # around (18, 11)
    move = resolve("augmentation", name, AUGMENTATIONS).draw(x, Generator().manual_seed(1))
    found = move.pictures(x)[:, 0].float()
    y, z = (torch.arange(29.0).view(shape) for shape in ((1, 29, 1), (1, 1, 29)))
    seen = torch.stack([(found * part).sum((1, 2)) / found.sum((1, 2)) for part in (z, y)], 1)
    place = torch.tensor([[2 * 18.5 / 29 - 1, 2 * 11.5 / 29 - 1]]).expand(40, 1, 2)
    expected = (move.geometry.points(place)[:, 0] + 1) * 29 / 2 - 0.5
    inside = ((expected > 2) & (expected < 26)).all(1) & ((found > 0).sum((1, 2)) < 30)
    assert inside.sum() > 20
    assert (seen - expected)[inside].abs().max() < 0.3


def test_all_pictures_of_a_row_move_alike() -> None:
    field, batch = _scene(28)
    other = dataclasses.replace(field, name="back")
    pair = Batch((batch.inputs[0], batch.inputs[0]), (torch.zeros(60),), batch.rows)
    moved = changes(Schema((field, other)), ("flip", "rotate"), TWO)(pair, Generator().manual_seed(0))
    assert torch.equal(moved.inputs[0], moved.inputs[1])
    assert not torch.equal(moved.inputs[0], batch.inputs[0])


def test_two_mixings_are_refused() -> None:
    with pytest.raises(RecipeError, match="augment mixup and cutmix both mix rows"):
        changes(Schema((PICTURE,)), ("mixup", "cutmix"), TWO)


def test_changed_numbers_stay_within_the_bounds_of_their_columns() -> None:
    other = Number.learn("size", pl.Series("size", [0.0, 1000.0]))
    x = torch.tensor([[48.9, 999.0], [0.1, 1.0]]).repeat(200, 1)
    batch = Batch((x,), (torch.zeros(400),), torch.arange(400))
    changed = changes(Schema((AGE, other)), ("noise",), TWO)(batch, Generator().manual_seed(0)).inputs[0]
    assert (changed >= 0).all() and (changed <= torch.tensor([49.0, 1000.0])).all()
    assert (changed == 0).any() and (changed[::2] < x[::2]).any()


@dataclass(frozen=True)
class _Scan(Image):
    """A kind of pictures from outside the package."""

    kind: ClassVar[str] = "scan"


def test_a_foreign_kind_of_pictures_is_changed_like_images() -> None:
    schema = Schema((_Scan(**vars(PICTURE)),))
    assert suited(schema, TWO) == suited(Schema((PICTURE,)), TWO)
    changed = changes(schema, ("flip", "grain"), TWO)(_batch(), Generator().manual_seed(0))
    assert not torch.equal(changed.inputs[0], _batch().inputs[0])
