"""The networks that all peers train, by their data; nothing here imports a framework."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

LR, WEIGHT_DECAY = 1e-3, 0.01  # AdamW's, for all
TEST_ROWS = 2_000
IMAGES_OFFSET, LABELS_OFFSET = 16, 8  # bytes before the data of an idx file
PATCHES_PAD = 2  # pixels on each side: 28 -> 32, so that patches of 4 x 4 make 64 tokens
WINDOW = 128  # characters
RESERVED = 2  # tokens 0 and 1 are netwright's padding and unknown; every peer leaves them free
TOKENS = RESERVED + 65  # the characters of Tiny Shakespeare
TEST_WINDOWS = 32  # 4,096 characters
STEPS, CHANNELS, CLASSES = 100, 32, 10

Array = np.ndarray


@dataclass(frozen=True)
class Parts:
    """Training and test rows: pixels (N, H, W) uint8, tokens (N, T) int64 or series (N, T, C) float32, and int64."""

    x: Array
    y: Array
    test_x: Array
    test_y: Array


@dataclass(frozen=True)
class Case:
    """One network and its data."""

    name: str
    title: str
    rows: int
    batch_size: int
    load: Callable[[Path, int], Parts]  # from the folder of data and a number of training rows


def fashion_mnist(folder: Path, rows: int, *, tests: int | None = TEST_ROWS) -> Parts:
    """Pictures (N, 28, 28) of ten kinds of clothes; `tests` None is all 10,000 test rows."""
    (x, y), (test_x, test_y) = (_idx_pair(folder / "fashion-mnist", stem) for stem in ("train", "t10k"))
    return Parts(x[:rows], y[:rows], test_x[:tests], test_y[:tests])


def _padded(folder: Path, rows: int) -> Parts:
    parts = fashion_mnist(folder, rows)
    around = ((0, 0), (PATCHES_PAD, PATCHES_PAD), (PATCHES_PAD, PATCHES_PAD))
    return Parts(np.pad(parts.x, around), parts.y, np.pad(parts.test_x, around), parts.test_y)


def _shakespeare(folder: Path, rows: int) -> Parts:
    """Windows of the text, each character's target the next one; the test windows are from its end."""
    text = _text(folder)
    number = {character: k for k, character in enumerate(sorted(set(text)), RESERVED)}
    assert len(number) == TOKENS - RESERVED, f"expected {TOKENS - RESERVED} characters, and {len(number)} came"
    tokens = np.array([number[character] for character in text], np.int64)
    stride = (len(tokens) - (TEST_WINDOWS + 1) * WINDOW) // rows
    starts = np.r_[np.arange(rows) * stride, len(tokens) - 1 - WINDOW * np.arange(TEST_WINDOWS, 0, -1)]
    windows = tokens[starts[:, None] + np.arange(WINDOW + 1)]
    x, y = windows[:, :-1], windows[:, 1:]
    return Parts(x[:rows], y[:rows], x[rows:], y[rows:])


def _series(_: Path, rows: int) -> Parts:
    """Waves in noise: the class is the frequency, channels and starts differ."""
    draw = np.random.default_rng(0)
    count = rows + TEST_ROWS
    y = draw.integers(CLASSES, size=count)
    steps = np.arange(STEPS) / STEPS
    phase = draw.uniform(0, 2 * np.pi, (count, 1, CHANNELS))
    waves = np.sin(2 * np.pi * (2 + 2 * y[:, None, None]) * steps[:, None] + phase)
    x = (waves + draw.normal(size=waves.shape)).astype(np.float32)
    return Parts(x[:rows], y[:rows], x[rows:], y[rows:])


def _idx_pair(folder: Path, stem: str) -> tuple[Array, Array]:
    images = _idx(folder / f"{stem}-images-idx3-ubyte.gz", IMAGES_OFFSET).reshape(-1, 28, 28)
    return images, _idx(folder / f"{stem}-labels-idx1-ubyte.gz", LABELS_OFFSET).astype(np.int64)


def _idx(file: Path, offset: int) -> Array:
    return np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8, offset=offset)


def _text(folder: Path) -> str:
    return (folder / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")


CASES = {
    case.name: case
    for case in (
        Case("mlp", "MLP 784-512-512-10, Fashion-MNIST", 60_000, 128, fashion_mnist),
        Case("conv", "convnet 32-64 with pooling, dense 128, Fashion-MNIST", 12_000, 128, fashion_mnist),
        Case("vit", "ViT 128 x 6, 4 heads, 64 tokens, Fashion-MNIST", 1_536, 128, _padded),
        Case("gpt", "GPT 256 x 4, 4 heads, 128 characters, Tiny Shakespeare", 640, 32, _shakespeare),
        Case("lstm", "LSTM 128, 100 steps of 32 numbers, waves in noise", 3_840, 64, _series),
    )
}
