"""Planted faults in pictures, texts, series and symbols, found or not; false alarms on the clean data.

python benchmarks/files.py --data FOLDER [--seeds 5]

FOLDER holds fashion-mnist/, cifar10-jpeg.tar, bccd-voc.tar.gz, movie_reviews.csv, multi30k-en-de/, splice.csv and
japanese_vowels.csv. Each fault is planted into some rows, drawn by the seed, of otherwise clean data.
"""

import argparse
import gzip
import tarfile
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from PIL import Image, ImageFilter
from sklearn.datasets import load_digits

from machine import machine, processor
from netwright.checks import DATA_CHECKS
from netwright.checks.evidence import DataEvidence, examine
from netwright.data.prepare import prepare
from netwright.data.read import read
from netwright.data.split import split
from netwright.kinds.image import MAX_SIDE
from netwright.records.errors import DataError
from netwright.records.finding import Report
from netwright.statistics import share

PLANTED = 40  # rows of each fault, at most SHARE of the data
SHARE = 0.04
PICTURES, FILES = 5_000, 2_000  # of Fashion-MNIST as arrays, of CIFAR-10 as files
TIMED = 60_000
MINE = tuple(code for code in DATA_CHECKS if code == "NW101" or "NW140" <= code <= "NW163")
TABLE = {code: DATA_CHECKS[code] for code in MINE}
FORMATS = ("jpeg", "png", "gif", "bmp", "webp", "tiff")

Change = Callable[[Any, np.random.Generator], Any]  # Any: a picture, a text, a series


def audit(data: Any, **said: Any) -> Report:  # Any: as in `read`
    """The checks of this page on data as `netwright audit` reads them."""
    dataset = read(data, **said)
    parts = prepared = None
    problem = ""
    try:
        parts = split(dataset)
        prepared = prepare(dataset, parts)
    except DataError as error:
        problem = str(error)
    return examine(DataEvidence(dataset, parts, prepared, problem), TABLE)


def found(report: Report, code: str) -> set[int]:
    """Rows that a check names, notes included."""
    return {row for finding in report.findings if finding.code == code for row in finding.rows}


def alarms(report: Report, but: set[int]) -> int:
    """Rows named by anything above a note that are not sick."""
    return len({row for f in report.findings if f.severity != "note" for row in f.rows} - but)


def drawn(count: int, generator: np.random.Generator) -> np.ndarray:
    """The rows to spoil."""
    return generator.choice(count, min(PLANTED, int(SHARE * count)), replace=False)


def blurred(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """In pixels of the size that the network sees."""
    radius = generator.uniform(1.5, 3) * max(1, max(image.shape[:2]) / MAX_SIDE)
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def noisy(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Gaussian noise."""
    return (image + generator.normal(0, generator.uniform(55, 80), image.shape)).clip(0, 255).astype(np.uint8)


def blank(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """One grey or color."""
    return np.full_like(image, generator.integers(0, 256))


def dark(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Taken in bad light."""
    return (image * generator.uniform(0.04, 0.15)).astype(np.uint8)


def overexposed(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """What is left near white."""
    return (255 - (255 - image.astype(float)) * generator.uniform(0.04, 0.15)).astype(np.uint8)


def faint(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Nearly one level."""
    return (generator.integers(60, 180) + image * generator.uniform(0.04, 0.09)).astype(np.uint8)


PICTURE_FAULTS: dict[str, tuple[str, Change]] = {
    "one color": ("NW140", blank),
    "dark, 4 to 15 % of the light": ("NW141", dark),
    "overexposed, 4 to 15 % of the range left": ("NW141", overexposed),
    "low contrast, 4 to 9 % of the range": ("NW141", faint),
    "blurred, Gaussian of 1.5 to 3 pixels": ("NW142", blurred),
    "noise of 55 to 80 levels": ("NW144", noisy),
}


def of_arrays(images: np.ndarray, seed: int, change: Change | None) -> tuple[Report, set[int]]:
    """The report on pictures in memory, and the rows that were spoiled."""
    generator = np.random.default_rng(seed)
    images = images.copy()
    rows = drawn(len(images), generator) if change else np.array([], int)
    for row in rows:
        images[row] = change(images[row], generator) if change else images[row]
    return audit((images, np.arange(len(images)) % 2)), set(map(int, rows))


def of_files(
    pictures: list[np.ndarray], seed: int, spoil: Change | None, form: str = "jpeg"
) -> tuple[Report, set[int]]:
    """`spoil` is given a picture and gives another one, or the bytes of a file."""
    generator = np.random.default_rng(seed)
    rows = set(map(int, drawn(len(pictures), generator))) if spoil else set()
    with tempfile.TemporaryDirectory() as name:
        for row, picture in enumerate(pictures):
            path = Path(name) / f"label {row * 2 // len(pictures)}" / f"{row:05}.{form}"
            path.parent.mkdir(exist_ok=True)
            content = spoil(picture, generator) if spoil and row in rows else picture
            path.write_bytes(content if isinstance(content, bytes) else as_file(content, form))
        return audit(name), rows


def as_file(picture: np.ndarray, form: str = "jpeg") -> bytes:
    """The bytes of a picture file."""
    file = BytesIO()
    Image.fromarray(picture).save(file, form, **({"quality": 90} if form in ("jpeg", "webp") else {}))
    return file.getvalue()


def truncated(form: str) -> Change:
    """Files that end early."""

    def cut(picture: np.ndarray, generator: np.random.Generator) -> bytes:
        whole = as_file(picture, form)
        return whole[: int(len(whole) * generator.uniform(0.05, 0.9))]

    return cut


def half_written(picture: np.ndarray, generator: np.random.Generator) -> bytes:
    """Cut short, and closed as if it were whole: decoders do not complain."""
    big = np.asarray(Image.fromarray(picture).resize((128, 128)))
    whole = as_file(big)
    return whole[: int(len(whole) * generator.uniform(0.4, 0.6))] + b"\xff\xd9"


FILE_FAULTS: dict[str, tuple[str, Change]] = {
    "no bytes": ("NW101", lambda _picture, _generator: b""),
    "text named as a picture": ("NW101", lambda _picture, _generator: b"<html>404 Not Found</html>"),
    "random bytes": ("NW101", lambda _picture, generator: generator.bytes(2_000)),
    "four times as wide": ("NW143", lambda picture, _generator: np.tile(picture, (1, 4, 1))),
    "a sixth of the size": ("NW143", lambda picture, _generator: picture[::6, ::6]),
    "ten times the size": ("NW143", lambda picture, _generator: np.kron(picture, np.ones((10, 10, 1), np.uint8))),
    "grey among color": ("NW143", lambda picture, _generator: picture[:, :, 1]),
    "cut short and closed again": ("NW140", half_written),
}


def of_cells(frame: pl.DataFrame, column: str, target: str, code: str, seed: int, change: Change | None) -> Any:
    """The report on a table with a spoiled column, and the rows."""
    generator = np.random.default_rng(seed)
    cells = frame[column].to_list()
    rows = drawn(len(cells), generator) if change else np.array([], int)
    for row in rows:
        cells[row] = change(cells[row], generator) if change else cells[row]
    return audit(frame.with_columns(pl.Series(column, cells)), target=target), set(map(int, rows))


def mojibake(text: str, _generator: np.random.Generator) -> str:
    """UTF-8 read as Latin-1."""
    return f"{text} caf\u00e9 na\u00efve".encode().decode("latin-1")


def text_faults(data: Path) -> dict[str, tuple[str, Change]]:
    """What can be wrong with a text."""
    german = gzip.decompress((data / "multi30k-en-de" / "train.de.gz").read_bytes()).decode().splitlines()
    return {
        "empty or dots": ("NW150", lambda _text, generator: str(generator.choice(["", " ", "...", "--"]))),
        "UTF-8 read as Latin-1": ("NW151", mojibake),
        "letters lost": ("NW151", lambda text, _generator: text[:9] + "\ufffd" + text[9:]),
        "control characters": ("NW151", lambda text, _generator: text[:9] + "\x07\x1b" + text[9:]),
        "tags and entities": ("NW151", lambda text, _generator: f"<p>{text}<br />&nbsp;</p>"),
        "three sentences of German": ("NW152", lambda _text, generator: " ".join(generator.choice(german, 3))),
        "letters of Russian": ("NW152", lambda _text, _generator: "".join(map(chr, range(0x430, 0x450)))),
    }  # fmt: skip


SYMBOL_FAULTS: dict[str, tuple[str, Change]] = {
    "cut to a third": ("NW153", lambda text, _generator: text[:20]),
    "five letters unsure (N)": ("NW153", lambda text, _generator: text[:20] + "NNNNN" + text[25:]),
}


def stuck(values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """From a third on, one channel keeps its value."""
    channel, start = generator.integers(values.shape[1]), len(values) // 3
    values = values.copy()
    values[start:, channel] = values[start, channel]
    return values


def clipped(values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """One channel, above its 60 % quantile."""
    channel = generator.integers(values.shape[1])
    values = values.copy()
    values[:, channel] = values[:, channel].clip(*np.quantile(values[:, channel], (0.0, 0.6)))
    return values


def gapped(values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Steps missing at random."""
    values = values.copy()
    values[1:-1][generator.random(len(values) - 2) < 0.6] = np.nan
    return values


def shaken(values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Noise in all channels."""
    return values + generator.normal(0, 2, values.shape) * values.std(0)


SERIES_FAULTS: dict[str, tuple[str, Change]] = {
    "one of 12 channels stuck for two thirds": ("NW160", stuck),
    "one of 12 channels clipped at its 60 % quantile": ("NW161", clipped),
    "60 % of the steps missing": ("NW162", gapped),
    "cut to three steps": ("NW162", lambda values, _generator: values[:3]),
    "noise of twice the spread": ("NW163", shaken),
}


def of_series(data: Path, seed: int, change: Change | None) -> tuple[Report, set[int]]:
    """The report on series, and the rows that were spoiled."""
    rows = pl.read_csv(data / "japanese_vowels.csv")
    labels = pl.read_csv(data / "japanese_vowels_labels.csv")
    channels = [name for name in rows.columns if name.startswith("c")]
    series = [part.select(channels).to_numpy() for part in rows.partition_by("utterance", maintain_order=True)]
    generator = np.random.default_rng(seed)
    sick = drawn(len(series), generator) if change else np.array([], int)
    for row in sick:
        series[row] = change(series[row], generator) if change else series[row]
    cells = [dict(zip(channels, values.T.tolist(), strict=True)) for values in series]
    frame = pl.DataFrame({"series": cells, "speaker": labels["speaker"].cast(pl.String)})
    return audit(frame, target="speaker"), set(map(int, sick))


def trials(data: Path, seeds: int) -> Iterator[tuple[str, str, str, Report, set[int]]]:
    """(data, fault, code, report, sick rows), for all seeds; the fault is empty for clean data."""
    fashion = pixels(data / "fashion-mnist" / "t10k-images-idx3-ubyte.gz")[:PICTURES]
    digits = (load_digits().images * 15.9).astype(np.uint8)
    cifar = [picture for _, picture in zip(range(FILES), unpacked(data / "cifar10-jpeg.tar"), strict=False)]
    blood = [np.asarray(Image.fromarray(x).resize((320, 240))) for x in unpacked(data / "bccd-voc.tar.gz")]
    reviews = pl.read_csv(data / "movie_reviews.csv").select("text", "sentiment")
    splice = pl.read_csv(data / "splice.csv")
    sets: list[tuple[str, dict[str, tuple[str, Change]], Callable[[int, Change | None], tuple[Report, set[int]]]]] = [
        ("Fashion-MNIST", PICTURE_FAULTS, lambda seed, change: of_arrays(fashion, seed, change)),
        ("digits 8 x 8", dict(list(PICTURE_FAULTS.items())[:4]), lambda s, change: of_arrays(digits, s, change)),
        ("CIFAR-10 JPEG", PICTURE_FAULTS | FILE_FAULTS, lambda seed, change: of_files(cifar, seed, change)),
        ("BCCD photos", PICTURE_FAULTS | FILE_FAULTS, lambda seed, change: of_files(blood, seed, change)),
        ("movie reviews", text_faults(data), lambda s, change: of_cells(reviews, "text", "sentiment", "", s, change)),
        ("splice", SYMBOL_FAULTS, lambda seed, change: of_cells(splice, "sequence", "junction", "", seed, change)),
        ("japanese vowels", SERIES_FAULTS, lambda seed, change: of_series(data, seed, change)),
    ]
    for name, faults, make in sets:
        yield name, "", "", *make(0, None)
        for fault, (code, change) in faults.items():
            for seed in range(seeds):
                yield name, fault, code, *make(seed, change)
    for form in FORMATS:
        for seed in range(seeds):
            yield (
                f"CIFAR-10 {form}",
                "cut short at 5 to 90 %",
                "NW101",
                *of_files(cifar[:1000], seed, truncated(form), form),
            )


def pixels(path: Path) -> np.ndarray:
    """All pictures of an idx file."""
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)


def unpacked(path: Path) -> Iterator[np.ndarray]:
    """The pictures of an archive, one after the other."""
    with tarfile.open(path) as archive:
        for member in archive:
            if member.name.endswith(".jpg") and (file := archive.extractfile(member)):
                with Image.open(BytesIO(file.read())) as picture:
                    yield np.asarray(picture.convert("RGB"))


def seconds(data: Path) -> str:
    """How long the checks of pictures take, reading and encoding left out."""
    images = pixels(data / "fashion-mnist" / "train-images-idx3-ubyte.gz")[:TIMED]
    dataset = read((images, np.arange(len(images)) % 2))
    parts = split(dataset)
    prepared = prepare(dataset, parts)
    taken = list[float]()
    for is_fast in (False, True):
        began = time.perf_counter()
        examine(DataEvidence(dataset, parts, prepared, is_fast=is_fast), TABLE)
        taken.append(time.perf_counter() - began)
    return f"{len(images):,} images of 28 x 28: {taken[0]:.1f} s, in the fast form {taken[1]:.1f} s."


def main() -> None:
    """Prints the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    recalled, clean = defaultdict[tuple[str, str, str], list[int]](lambda: [0, 0, 0, 0]), list[str]()
    for name, fault, code, report, sick in trials(given.data, given.seeds):
        if not fault:
            notes = [f"{f.code} {f.title} ({len(f.rows)})" for f in report.findings]
            clean.append(f"| {name} | {report.count:,} | {alarms(report, sick)} | {'; '.join(notes) or 'nothing'} |")
            continue
        counts = recalled[name, fault, code]
        extra = alarms(report, sick)
        for place, value in enumerate((len(found(report, code) & sick), len(sick), extra, 1)):
            counts[place] += value
    print(f"{machine(processor(1), ('netwright', 'torch', 'numpy', 'polars', 'pillow'))}; {given.seeds} seeds\n")
    print("| data | fault | code | recall | false alarms in a data set, mean |\n|---|---|---|---|---|")
    for (name, fault, code), (hits, count, extra, runs) in recalled.items():
        print(f"| {name} | {fault} | {code} | {share(hits, count):.3f} of {count} | {extra / runs:.2g} |")
    print("\n| clean data | rows | false alarms | all findings |\n|---|---|---|---|")
    print("\n".join(clean))
    print(f"\n{seconds(given.data)}")


if __name__ == "__main__":
    main()
