"""Images and labels in MNIST's idx format: `train-images-idx3-ubyte.gz` next to `train-labels-idx1-ubyte.gz`."""

from pathlib import Path

import numpy as np
import polars as pl

from netwright.data.dataset import Dataset
from netwright.data.readers.files import open_bytes, reading
from netwright.records.errors import DataError
from netwright.records.source import Source

IMAGES, LABELS = "-images-idx3-ubyte", "-labels-idx1-ubyte"
PARTS = {"train": "train", "valid": "valid", "val": "valid", "test": "test", "t10k": "test"}
BYTE = 8  # the type code of unsigned bytes; LeCun's page on MNIST, "the IDX file format"


def holds_idx(folder: Path) -> bool:
    """Whether the folder has images in this format."""
    return any(IMAGES in file.name for file in folder.iterdir())


def read_idx(source: Source) -> Dataset:
    """Column "image" of pixels (H, W) and the target "label"; parts by the files' names (train, t10k)."""
    path = Path(source.data)
    with reading(path):
        pairs = [(name, *_pair(file, source)) for file in sorted(path.iterdir()) if (name := _name(file))]
    if not pairs:
        raise DataError(f"{path} has no file *{IMAGES}", remedy="give the folder of the idx files.")
    images = pl.Series("image", np.concatenate([image for _, image, _ in pairs]))
    labels = pl.Series("label", np.concatenate([label for _, _, label in pairs]).astype(np.int64))
    parts = [PARTS.get(name, "") for name, _, _ in pairs]
    part = pl.Series("part", np.repeat(parts, [len(image) for _, image, _ in pairs])) if all(parts) else None
    table = pl.DataFrame([images] if not source.is_labelled else [images, labels])
    targets = () if not source.is_labelled else ("label",)
    return Dataset(table, targets, str(path), parts=part, kinds={"image": source.kinds.get("image", "image")})


def _name(file: Path) -> str:
    return file.name.partition(IMAGES)[0] if IMAGES in file.name else ""


def _pair(file: Path, source: Source) -> tuple[np.ndarray, np.ndarray]:
    images = _read(file, 3)
    partner = file.with_name(file.name.replace(IMAGES, LABELS))
    if not source.is_labelled and not partner.exists():
        return images, np.zeros(len(images), np.uint8)
    if not partner.exists():
        raise DataError(f"{file.name} has no {partner.name} next to it", remedy="put the file of labels next to it.")
    labels = _read(partner, 1)
    if len(labels) != len(images):
        problem = f"{file.name} has {len(images):,} images, but {partner.name} has {len(labels):,} labels"
        raise DataError(problem, remedy="download both files again.")
    return images, labels


def _read(file: Path, dimensions: int) -> np.ndarray:
    with open_bytes(file) as stream:
        data = stream.read()
    start = 4 + 4 * dimensions
    if len(data) < start or data[:4] != bytes((0, 0, BYTE, dimensions)):
        raise DataError(f"{file} is not an idx file of bytes in {dimensions} dimensions", remedy="download it again.")
    shape = tuple(np.frombuffer(data, ">u4", dimensions, offset=4).tolist())
    if len(data) != start + int(np.prod(shape)):
        problem = f"{file} is cut short: {len(data):,} bytes instead of {start + int(np.prod(shape)):,}"
        raise DataError(problem, remedy="download the file again.")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
