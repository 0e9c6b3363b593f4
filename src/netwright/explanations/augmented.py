"""Training pictures next to their augmented versions, to see whether their labels still hold."""

import torch
from PIL import Image, ImageDraw
from torch import Generator, Tensor

from netwright.data import AUGMENTATIONS
from netwright.data.augment import changes, family_of
from netwright.records.batch import Batch
from netwright.records.run import Run
from netwright.resolve import resolve

ROWS = 8  # training rows
VERSIONS = 7  # of each, next to the original
LEAST_SIDE, MOST_SIDE = 64, 112  # pixels of a picture: smaller ones are enlarged, larger ones shrunk
GAP, TITLE = 2, 14  # pixels


def augmented_picture(run: Run) -> Image.Image | None:
    """A grid per augmentation of pictures: one line for each of 8 training rows, the original and 7 changed versions.

    None if no pictures are augmented.
    """
    place = next((k for k, block in enumerate(run.schema.blocks) if block.fields[0].family == "pictures"), None)
    names = [n for n in run.recipe.augment if family_of(resolve("augmentation", n, AUGMENTATIONS)) == "pictures"]
    if place is None or not names or not run.sample:
        return None
    inputs = tuple(x[:ROWS] for x in run.sample)
    batch = Batch(inputs, (), torch.arange(len(inputs[0])))
    grids = [_grid(_versions(run, name, batch, place), name) for name in names]
    picture = Image.new("RGB", (max(grid.width for grid in grids), sum(grid.height for grid in grids)), "white")
    top = 0
    for grid in grids:
        picture.paste(grid, (0, top))
        top += grid.height
    return picture


def _versions(run: Run, name: str, batch: Batch, place: int) -> list[Tensor]:
    """The pictures (rows, C, H, W), then changed versions of them."""
    change = changes(run.schema, (name,), run.task)
    seeds = range(run.recipe.seed, run.recipe.seed + VERSIONS)
    made = [change(batch, Generator().manual_seed(seed)) for seed in seeds]
    return [version.inputs[place] for version in (batch, *made)]


def _grid(versions: list[Tensor], name: str) -> Image.Image:
    height, width = versions[0].shape[2:]
    side = max(height, width)
    factor = MOST_SIDE / side if side > MOST_SIDE else max(1, LEAST_SIDE // side)
    size = round(width * factor), round(height * factor)
    grid = Image.new("RGB", (len(versions) * (size[0] + GAP), len(versions[0]) * (size[1] + GAP) + TITLE), "white")
    ImageDraw.Draw(grid).text((GAP, 0), name, fill="black")
    for column, pictures in enumerate(versions):
        for row, pixels in enumerate(pictures.expand(-1, 3, -1, -1) if pictures.shape[1] == 1 else pictures):
            shown = Image.fromarray(pixels.permute(1, 2, 0).numpy()).resize(size, Image.Resampling.NEAREST)
            grid.paste(shown, (column * (size[0] + GAP), row * (size[1] + GAP) + TITLE))
    return grid
