"""The data sets of the benchmark: where they are, how they are split, and the score that a default should reach."""

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from sklearn import datasets
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

IDX_IMAGES_OFFSET = 16  # bytes before the pixels of an idx image file
IDX_LABELS_OFFSET = 8  # bytes before the labels of an idx label file
PIXEL_LEVELS = 16  # digits holds 0 to 16; images hold 0 to 255
FOLDS = 5
TEST_SHARE = 0.2

Protocol = Literal["folds", "share", "given"]


@dataclass(frozen=True)
class Bar:
    """A metric and what its value is held to: a number, or a simple model measured on the same split."""

    metric: str
    level: float | str | None  # a number, the name of a simple model, or nothing to hold it to
    higher_is_better: bool = True


@dataclass(frozen=True)
class Case:
    """One data set with its protocol.

    folds   5-fold cross validation, the seed deals the rows (stratified where the target is a class)
    share   80 % training, 20 % test, stratified, the seed deals the rows
    given   the data's own training and test parts
    """

    name: str
    load: Callable[[Path], pl.DataFrame]  # one row for each example; a column "part" where the parts are given
    target: str
    protocol: Protocol
    bars: tuple[Bar, ...]
    simple: tuple[str, ...]  # keys of simple_models.MODELS

    def splits(self, frame: pl.DataFrame, seed: int) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
        """(training rows, test rows), once or for each fold."""
        labels, rows = frame[self.target], np.arange(frame.height)
        match self.protocol:
            case "given":
                rest = frame.drop("part")
                yield rest.filter(frame["part"] == "train"), rest.filter(frame["part"] == "test")
            case "share":
                train, test = train_test_split(rows, test_size=TEST_SHARE, stratify=labels, random_state=seed)
                yield frame[train], frame[test]
            case "folds":
                deal = KFold if labels.dtype.is_float() else StratifiedKFold
                for train, test in deal(FOLDS, shuffle=True, random_state=seed).split(rows, labels):
                    yield frame[train], frame[test]


def _csv(file: str) -> Callable[[Path], pl.DataFrame]:
    return lambda folder: pl.read_csv(folder / file, infer_schema_length=None)


def _movie_reviews(folder: Path) -> pl.DataFrame:
    # `score` is what `sentiment` was made from.
    return pl.read_csv(folder / "movie_reviews.csv").drop("score")


def _fashion_mnist(folder: Path) -> pl.DataFrame:
    parts = []
    for part, stem in (("train", "train"), ("test", "t10k")):
        files = folder / "fashion-mnist"
        pixels = _idx(files / f"{stem}-images-idx3-ubyte.gz", IDX_IMAGES_OFFSET).reshape(-1, 28, 28)
        labels = _idx(files / f"{stem}-labels-idx1-ubyte.gz", IDX_LABELS_OFFSET)
        parts.append(pl.DataFrame({"image": pixels, "label": labels}).with_columns(part=pl.lit(part)))
    return pl.concat(parts).with_columns(pl.col("label").cast(pl.String))


def _idx(file: Path, offset: int) -> np.ndarray:
    return np.frombuffer(gzip.decompress(file.read_bytes()), dtype=np.uint8, offset=offset)


def _japanese_vowels(folder: Path) -> pl.DataFrame:
    steps = pl.read_csv(folder / "japanese_vowels.csv").sort("utterance", "time")
    channels = [name for name in steps.columns if name not in ("utterance", "time")]
    series = steps.group_by("utterance", maintain_order=True).agg(channels)
    labels = pl.read_csv(folder / "japanese_vowels_labels.csv").rename({"split": "part"})
    joined = series.select("utterance", sound=pl.struct(channels)).join(labels, on="utterance", maintain_order="left")
    return joined.drop("utterance").with_columns(pl.col("speaker").cast(pl.String))


def _built_in(load: Callable[..., tuple[pl.DataFrame, pl.Series]]) -> Callable[[Path], pl.DataFrame]:
    def frame(_: Path) -> pl.DataFrame:
        values, target = load(return_X_y=True, as_frame=True)
        return pl.DataFrame({name: values[name].to_numpy() for name in values}).with_columns(
            pl.Series("target", target.to_numpy())
        )

    return frame


def _digits(_: Path) -> pl.DataFrame:
    pixels, labels = datasets.load_digits(return_X_y=True)
    images = (pixels.reshape(-1, 8, 8) * (255 / PIXEL_LEVELS)).astype(np.uint8)
    return pl.DataFrame({"image": images, "label": labels}).with_columns(pl.col("label").cast(pl.String))


CASES = (
    Case(
        "breast cancer",
        _built_in(datasets.load_breast_cancer),
        "target",
        "folds",
        (Bar("accuracy", 0.97), Bar("auc", 0.995)),
        ("logistic", "boosting"),
    ),
    Case("wine", _built_in(datasets.load_wine), "target", "folds", (Bar("accuracy", 0.975),), ("logistic", "boosting")),
    Case(
        "diabetes",
        _built_in(datasets.load_diabetes),
        "target",
        "folds",
        (Bar("rmse", 55.5, higher_is_better=False),),
        ("ridge", "boosting (regressor)"),
    ),
    Case(
        "heart",
        _csv("heart.csv"),
        "target",
        "folds",
        (Bar("accuracy", "logistic"), Bar("auc", "logistic")),
        ("logistic", "boosting"),
    ),
    Case("digits", _digits, "label", "folds", (Bar("accuracy", 0.985),), ("pixels + logistic", "pixels + SVC")),
    Case(
        "JapaneseVowels",
        _japanese_vowels,
        "speaker",
        "given",
        (Bar("accuracy", 0.98),),
        ("resampled + ridge", "resampled + 1-NN"),
    ),
    Case("splice", _csv("splice.csv"), "junction", "share", (Bar("accuracy", 0.94),), ("one-hot + logistic",)),
    Case(
        "lending club",
        _csv("lending_club.csv"),
        "Class",
        "share",
        (Bar("auc", "logistic"), Bar("average_precision", "logistic")),
        ("logistic", "boosting"),
    ),
    Case(
        "telescope",
        _csv("telescope.csv"),
        "Class",
        "share",
        (Bar("accuracy", "boosting"), Bar("auc", "boosting")),
        ("logistic", "boosting"),
    ),
    Case("adult", _csv("adult.csv"), "income", "share", (Bar("auc", 0.915),), ("logistic", "boosting")),
    Case(
        "movie reviews",
        _movie_reviews,
        "sentiment",
        "share",
        (Bar("accuracy", "TF-IDF + logistic"),),
        ("TF-IDF + logistic",),
    ),
    Case("Fashion-MNIST", _fashion_mnist, "label", "given", (Bar("accuracy", 0.92),), ("pixels + logistic",)),
)
