"""Images and labels in MNIST's idx format: `train-images-idx3-ubyte.gz` next to `train-labels-idx1-ubyte.gz`."""

import math
from pathlib import Path

import numpy as np
import polars as pl

from netwright.data.dataset import Dataset
from netwright.data.readers.files import CHUNK, open_bytes, reading, too_large
from netwright.machine.memory import free_memory
from netwright.records.errors import DataError
from netwright.records.paths import spelled
from netwright.records.source import Source

IMAGES, LABELS = "-images-idx3-ubyte", "-labels-idx1-ubyte"
PARTS = {"train": "train", "valid": "valid", "val": "valid", "test": "test", "t10k": "test"}
BYTE = 8  # the type code of unsigned bytes; LeCun's page on MNIST, "the IDX file format"


def holds_idx(folder: Path) -> bool:
    """Whether the folder has images in this format."""
    with reading(folder):
        return any(IMAGES in file.name for file in folder.iterdir())


def read_idx(source: Source) -> Dataset:
    """Column "image" of pixels (H, W) and the target "label"; parts by the files' names (train, t10k)."""
    path = Path(source.data)
    with reading(path):
        pairs = [(name, *_pair(file, source)) for file in sorted(path.iterdir()) if (name := _name(file))]
    if not pairs:
        raise DataError(f"{spelled(path)} has no file *{IMAGES}", remedy="give the folder of the idx files.")
    sizes = {image.shape[1:]: name for name, image, _ in pairs}
    if len(sizes) > 1:
        told = " and ".join(f"{height} x {width} ({name})" for (height, width), name in sizes.items())
        raise DataError(
            f"the parts of {spelled(path)} have images of several sizes: {told}", remedy="give parts of one size."
        )
    images = pl.Series("image", np.concatenate([image for _, image, _ in pairs]))
    labels = pl.Series("label", np.concatenate([label for _, _, label in pairs]).astype(np.int64))
    parts = [PARTS.get(name, "") for name, _, _ in pairs]
    part = pl.Series("part", np.repeat(parts, [len(image) for _, image, _ in pairs])) if all(parts) else None
    table = pl.DataFrame([images] if not source.is_labelled else [images, labels])
    targets = () if not source.is_labelled else ("label",)
    return Dataset(table, targets, spelled(path), parts=part, kinds={"image": source.kinds.get("image", "image")})


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
    """The bytes of a file, in the shape that its header says; no more are read than it says."""
    with open_bytes(file) as stream:
        header = stream.read(4 + 4 * dimensions)
        if len(header) < 4 + 4 * dimensions or header[:4] != bytes((0, 0, BYTE, dimensions)):
            problem = f"{spelled(file)} is not an idx file of bytes in {dimensions} dimensions"
            raise DataError(problem, remedy="download it again.")
        shape = tuple(np.frombuffer(header, ">u4", dimensions, offset=4).tolist())
        said, data = math.prod(shape), bytearray()
        if said > free_memory():
            raise too_large(file)
        if not said:
            raise DataError(
                f"{spelled(file)} holds nothing: {' x '.join(map(str, shape))}", remedy="download it again."
            )
        while len(data) <= said and (piece := stream.read(min(CHUNK, said + 1 - len(data)))):
            data += piece
    if len(data) != said:
        came = "there are more" if len(data) > said else f"there are {len(data):,}"
        problem = f"the header of {spelled(file)} says {said:,} bytes ({' x '.join(map(str, shape))}), and {came}"
        raise DataError(problem, remedy="download the file again.")
    return np.frombuffer(data, np.uint8).reshape(shape)
