"""Pictures, texts, series and symbols with one illness each, and healthy twins."""

import tempfile
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from netwright.checks.evidence import DataEvidence
from netwright.data.prepare import prepare
from netwright.data.read import read
from netwright.data.split import split
from netwright.records.errors import DataError

COUNT = 60
SICK = (7, 31)
Pictures = np.ndarray[Any, np.dtype[np.uint8]]


def evidence(data: Any, **said: Any) -> DataEvidence:
    dataset = read(data, **said)
    parts = prepared = None
    problem = ""
    try:
        parts = split(dataset)
        prepared = prepare(dataset, parts)
    except DataError as error:
        problem = str(error)
    return DataEvidence(dataset, parts, prepared, problem)


def pictures(side: int = 24) -> Pictures:
    """Squares on soft grounds, with fine texture: (60, side, side)."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] / side
    slope = generator.uniform(-1, 1, (2, COUNT, 1, 1))
    scene = 120 + 50 * (slope[0] * x + slope[1] * y) + generator.normal(0, 8, (COUNT, side, side))
    for image in scene:
        top, left = generator.integers(2, side // 2, 2)
        image[top : top + 8, left : left + 8] += generator.uniform(60, 90)
    return scene.clip(0, 255).astype(np.uint8)


def changed(change: Callable[[Pictures], Any]) -> DataEvidence:
    images = pictures()
    for row in SICK:
        images[row] = change(images[row])
    return labelled(images)


def labelled(images: Pictures) -> DataEvidence:
    return evidence((images, np.arange(len(images)) % 2))


def blurred(image: Pictures) -> Pictures:
    soft = image.astype(float)
    for _ in range(12):
        around = np.pad(soft, 1, mode="edge")
        soft = soft / 2 + (around[:-2, 1:-1] + around[2:, 1:-1] + around[1:-1, :-2] + around[1:-1, 2:]) / 8
    return soft.astype(np.uint8)


def noisy(image: Pictures) -> Pictures:
    return (image + np.random.default_rng(1).normal(0, 60, image.shape)).clip(0, 255).astype(np.uint8)


def folder(spoil: Callable[[Path], None] = lambda _folder: None) -> DataEvidence:
    with tempfile.TemporaryDirectory() as name:
        for row, image in enumerate(pictures()):
            path = Path(name) / f"label {row % 2}" / f"{row:02}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(image).save(path)
        spoil(Path(name))
        return evidence(name)


def break_files(folder: Path) -> None:
    (folder / "label 0" / "00.png").write_bytes(b"")
    whole = (folder / "label 0" / "02.png").read_bytes()
    (folder / "label 0" / "02.png").write_bytes(whole[: len(whole) // 2])
    (folder / "label 0" / "04.png").write_text("no picture")


def files(*odd: Pictures) -> DataEvidence:
    """Pictures as bytes of files; the odd ones stand first."""
    cells = list[bytes]()
    for image in (*odd, *pictures()[len(odd) :]):
        file = BytesIO()
        Image.fromarray(image).save(file, "png")
        cells.append(file.getvalue())
    return evidence(pl.DataFrame({"image": cells, "target": np.arange(COUNT) % 2}), target="target")


def texts(change: Callable[[str], str | None] = lambda text: text) -> DataEvidence:
    words = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in "lmnrst"]
    generator = np.random.default_rng(0)
    rows = [" ".join(generator.choice(words, 30)) for _ in range(COUNT)]
    for row in SICK:
        rows[row] = change(rows[row])  # type: ignore[call-overload]  # None stands for a missing text
    return evidence(pl.DataFrame({"text": rows, "target": np.arange(COUNT) % 2}), target="target")


def one_text() -> DataEvidence:
    frame = texts().dataset.table.with_row_index()
    often = pl.when(pl.col("index") % 4 == 3).then(pl.lit("this review was taken away by its author")).otherwise("text")
    return evidence(frame.with_columns(often.alias("text")).drop("index"), target="target")


def sequences(change: Callable[[str], str] = lambda text: text) -> DataEvidence:
    generator = np.random.default_rng(0)
    rows = ["".join(generator.choice(list("ACGT"), 60)) for _ in range(400)]
    for row in SICK:
        rows[row] = change(rows[row])
    return evidence(pl.DataFrame({"gene": rows, "target": np.arange(400) % 2}), target="target")


def series(change: Callable[[np.ndarray[Any, Any]], Any] = lambda values: values) -> DataEvidence:
    generator = np.random.default_rng(0)
    steps = np.arange(40) / 40
    phases = generator.uniform(0, 6, (2, COUNT, 1))
    waves = np.stack([np.sin(9 * steps + phases[0]), np.cos(14 * steps + phases[1])], axis=2)
    values = (waves + generator.normal(0, 0.02, waves.shape)).astype(np.float32)
    for row in SICK:
        values[row] = change(values[row])
    return evidence((values, np.arange(COUNT) % 2))


def still(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.where(np.arange(40)[:, None] < 10, values, values[10])


def gaps(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.where((np.arange(40)[:, None] > 5) & (np.arange(40)[:, None] < 30), np.nan, values)


def noisy_steps(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return values + np.random.default_rng(2).normal(0, 1.5, values.shape)


healthy_pictures = partial(labelled, pictures())
CASES: dict[str, tuple[Callable[[], DataEvidence], tuple[int, ...], Callable[[], DataEvidence]]] = {
    "NW101": (partial(folder, break_files), (0, 1, 2), folder),
    "NW140": (partial(changed, lambda image: 90), SICK, healthy_pictures),
    "NW141": (partial(changed, lambda image: image // 8), SICK, healthy_pictures),
    "NW142": (partial(changed, blurred), SICK, healthy_pictures),
    "NW143": (partial(files, np.tile(pictures()[0], (1, 4)), pictures()[1][:5, :5]), (0, 1), files),
    "NW144": (partial(changed, noisy), SICK, healthy_pictures),
    "NW150": (partial(texts, lambda text: " ... "), SICK, texts),
    "NW151": (partial(texts, lambda text: f"{text} caf\u00c3\u00a9"), SICK, texts),
    "NW152": (one_text, (3, 7), texts),
    "NW153": (partial(sequences, lambda text: text[:20]), SICK, sequences),
    "NW160": (partial(series, still), SICK, series),
    "NW161": (partial(series, lambda values: values.clip(-0.5, 0.5)), SICK, series),
    "NW162": (partial(series, gaps), SICK, series),
    "NW163": (partial(series, noisy_steps), SICK, series),
}
