"""The pictures in rows, small enough for a page."""

from base64 import b64encode
from collections.abc import Callable
from io import BytesIO

import numpy as np
import polars as pl
from PIL import Image as PIL

from netwright.data.dataset import Dataset
from netwright.kinds import KINDS
from netwright.kinds.image import DECODED, Image
from netwright.kinds.pictures import viewer
from netwright.records.schema import Field
from netwright.resolve import with_detail

SIDE = 112  # pixels: even uncompressed, 112 x 112 in color stay below 40 KB
WIDE = 3  # times as wide as high, at most
LOSSLESS = 64  # pixels per side up to which pictures stay lossless: JPEG would smear them

Pictures = Callable[[int], PIL.Image | None]
"""From a row's number to its picture; None if it has no readable one."""


def pictures_of(dataset: Dataset) -> Pictures | None:
    """Looks up the pictures of rows in the first image column; None if there is no such column."""
    name = next((name for name in dataset.inputs if _holds_images(dataset, name)), None)
    if name is None:
        return None
    column = dataset.table[name]
    view = viewer(dataset.learned_from(column.gather_every(max(1, len(column) // DECODED))))

    def find(row: int) -> PIL.Image | None:
        cell = dataset.mapped[name].cells(np.array([row])) if name in dataset.mapped else column[row : row + 1]
        return view(cell.rename(name), SIDE)

    return find


def as_uri(picture: PIL.Image) -> str:
    """The picture as a `data:` URI of at most 40 KB."""
    picture = picture.convert("RGB")
    picture.thumbnail((WIDE * SIDE, SIDE))  # several side by side, such as before and after
    is_small = max(picture.size) <= LOSSLESS
    file = BytesIO()
    picture.save(file, "PNG" if is_small else "JPEG")
    return f"data:image/{'png' if is_small else 'jpeg'};base64,{b64encode(file.getvalue()).decode()}"


def _holds_images(dataset: Dataset, name: str) -> bool:
    if name in dataset.kinds:
        return with_detail("kind", dataset.kinds[name], KINDS, Field)[0].family == "pictures"
    return Image.matches(_some(dataset, name))


def _some(dataset: Dataset, name: str) -> pl.Series:
    return dataset.learned_from(dataset.table[name].head(DECODED))
