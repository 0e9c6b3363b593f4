from dataclasses import replace

import numpy as np
import polars as pl
import torch

from netwright.data.examples import empty
from netwright.explanations.augmented import GAP, TITLE, augmented_picture
from netwright.kinds.image import Image
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.records.schema import Schema
from netwright.tasks.classification import Classification

CELLS = pl.Series("image", np.random.default_rng(0).integers(0, 256, (20, 16, 24), dtype=np.uint8))
FIELD = Image.learn("image", CELLS)


def _run(*names: str) -> Run:
    network = torch.nn.Flatten()
    task = Classification(("no", "yes"))
    recipe = Recipe(augment=names)
    parts = (empty(), empty(), empty())
    return Run(network, task, Schema((FIELD,)), recipe, *parts, lambda: network, sample=(FIELD.encode(CELLS),))


def test_originals_stand_before_their_changed_versions() -> None:
    picture = augmented_picture(_run("flip", "mixup"))
    assert picture is not None
    width, height = 24 * 2 + GAP, 16 * 2 + GAP  # enlarged twice, not above 64 pixels
    assert picture.size == (8 * width, 2 * (8 * height + TITLE))
    pixels = np.asarray(picture)[TITLE:, :, 0]
    tiles = [pixels[: 16 * 2 : 2, column * width :][:, : 24 * 2 : 2] for column in range(8)]
    original = CELLS[0].to_numpy()
    assert np.array_equal(tiles[0], original)
    assert all(np.array_equal(tile, original) or np.array_equal(tile, original[:, ::-1]) for tile in tiles[1:])
    assert any(np.array_equal(tile, original[:, ::-1]) for tile in tiles[1:])


def test_nothing_is_drawn_where_no_picture_is_changed() -> None:
    assert augmented_picture(_run()) is None
    assert augmented_picture(replace(_run("flip"), sample=())) is None
