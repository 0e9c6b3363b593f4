from pathlib import Path

import numpy as np
import pytest

from netwright.data.read import read
from netwright.records.errors import DataError, NetwrightError

PIXELS = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)


def _write(folder: Path, name: str, labels: list[int], cut: int = 0) -> None:
    images = bytes((0, 0, 8, 3)) + np.array(PIXELS.shape, ">u4").tobytes() + PIXELS.tobytes()
    (folder / f"{name}-images-idx3-ubyte").write_bytes(images[: len(images) - cut])
    head = bytes((0, 0, 8, 1)) + np.array([len(labels)], ">u4").tobytes()
    (folder / f"{name}-labels-idx1-ubyte").write_bytes(head + bytes(labels))


def test_pairs_of_files_are_images_labels_and_parts(tmp_path: Path) -> None:
    _write(tmp_path, "train", [5, 1, 5])
    _write(tmp_path, "t10k", [1, 1, 5])
    dataset = read(tmp_path)
    assert np.array_equal(dataset.table["image"].to_numpy()[:3], PIXELS)
    assert dataset.table["label"].to_list() == [1, 1, 5, 5, 1, 5]
    assert dataset.parts is not None and dataset.parts.to_list() == ["test"] * 3 + ["train"] * 3


def test_file_that_is_cut_short_is_an_error(tmp_path: Path) -> None:
    _write(tmp_path, "train", [5, 1, 5], cut=7)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte says 60 bytes .3 x 4 x 5., and there are 53"):
        read(tmp_path)


def test_images_and_labels_of_different_number_are_an_error(tmp_path: Path) -> None:
    _write(tmp_path, "train", [5, 1])
    with pytest.raises(
        DataError, match="train-images-idx3-ubyte has 3 images, but train-labels-idx1-ubyte has 2 labels"
    ):
        read(tmp_path)


def test_images_without_labels_are_an_error(tmp_path: Path) -> None:
    _write(tmp_path, "train", [5, 1, 5])
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="train-images-idx3-ubyte has no train-labels-idx1-ubyte next to it"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("shape", "told"),
    [((1 << 22, 1 << 21, 1 << 21), "does not fit into memory"), ((0, 4, 5), "holds nothing: 0 x 4 x 5")],
)
def test_headers_that_say_too_much_or_nothing_are_refused(shape: tuple[int, ...], told: str, tmp_path: Path) -> None:
    _write(tmp_path, "train", [5, 1, 5])
    head = bytes((0, 0, 8, 3)) + np.array(shape, ">u4").tobytes()
    (tmp_path / "train-images-idx3-ubyte").write_bytes(head + PIXELS.tobytes())
    with pytest.raises(NetwrightError, match=told):
        read(tmp_path)


def test_bytes_beyond_the_header_and_parts_of_two_sizes_are_refused(tmp_path: Path) -> None:
    _write(tmp_path, "train", [5, 1, 5])
    images = tmp_path / "train-images-idx3-ubyte"
    whole = images.read_bytes()
    images.write_bytes(whole + b"x")
    with pytest.raises(DataError, match=r"says 60 bytes \(3 x 4 x 5\), and there are more"):
        read(tmp_path)
    images.write_bytes(whole)
    _write(tmp_path, "t10k", [5, 1, 5])
    other = bytes((0, 0, 8, 3)) + np.array((3, 5, 4), ">u4").tobytes() + PIXELS.tobytes()
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(other)
    with pytest.raises(DataError, match=r"images of several sizes: 5 x 4 \(t10k\) and 4 x 5 \(train\)"):
        read(tmp_path)
