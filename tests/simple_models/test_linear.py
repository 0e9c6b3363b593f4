"""Each kind of column carries a signal that a linear model of it has to find."""

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.feature_extraction.text import TfidfVectorizer

from netwright.data.examples import InMemory
from netwright.kinds import KINDS
from netwright.records.schema import Schema
from netwright.records.task import Scores
from netwright.resolve import resolve
from netwright.simple_models import constant, linear
from netwright.simple_models.compare import compare
from netwright.simple_models.wanted import Wanted
from netwright.tasks import TASKS


def _scores(
    columns: dict[str, pl.Series], target: pl.Series, task: str, kinds: dict[str, str], fit=linear.fit
) -> Scores | None:
    table = pl.DataFrame(columns)
    rows = torch.from_numpy(np.random.default_rng(0).permutation(len(target)))
    train, test = rows[: len(rows) * 3 // 4].sort().values, rows[len(rows) * 3 // 4 :].sort().values
    schema = Schema(tuple(resolve("kind", kinds[c.name], KINDS).learn(c.name, c[train.numpy()]) for c in table))
    learned = resolve("task", task, TASKS).learn(target.to_frame()[train.numpy()], schema)
    inputs, targets = schema.encode(table), learned.encode(target.to_frame())
    parts = [InMemory(inputs, targets, part, str) for part in (train, test)]
    found, failed = compare({"model": fit}, schema, learned, *parts)
    assert not failed
    return found[0][1] if found else None


def _numbers(data) -> tuple[dict[str, pl.Series], pl.Series, dict[str, str]]:
    columns = {name: pl.Series(name, data.data[:, i]) for i, name in enumerate(data.feature_names)}
    return columns, pl.Series("y", data.target), dict.fromkeys(columns, "number")


def test_numbers_and_labels_reach_what_logistic_regression_is_known_for():
    columns, target, kinds = _numbers(load_breast_cancer())
    assert _scores(columns, target, "classification", kinds)["accuracy"].value > 0.95  # 0.979 in cross validation


def test_numbers_and_a_number_reach_what_ridge_is_known_for():
    columns, target, kinds = _numbers(load_diabetes())
    assert _scores(columns, target, "regression", kinds)["rmse"].value < 60  # 54.5 in cross validation


def test_pictures_are_read_pixel_by_pixel():
    digits = load_digits()
    photos = pl.Series("photo", (digits.images * 15).astype(np.uint8))
    target = pl.Series("y", digits.target)
    assert _scores({"photo": photos}, target, "classification", {"photo": "image"})["accuracy"].value > 0.94


def test_words_pairs_of_words_categories_letters_and_series_are_all_read():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 400)
    noise = generator.choice(["film", "story", "scene", "actor"], (400, 6))
    columns = {
        "text": pl.Series(
            [" ".join([*words, "not good" if y else "good not"]) for words, y in zip(noise, labels, strict=True)]
        ),
        "category": pl.Series(np.where(labels, "left", "right")),
        "sequence": pl.Series(["".join(generator.choice(list("ACGT"), 9)) + "AC"[y] + "ACGT" for y in labels]),
        "series": pl.Series([(generator.normal(size=5 + y) + y).tolist() for y in labels]),
        "date": pl.Series(labels * 365).cast(pl.Date),
    }
    for kind, column in columns.items():
        scores = _scores({kind: column}, pl.Series("y", labels), "classification", {kind: kind})
        assert scores["accuracy"].value > 0.9, kind
    together = _scores(columns, pl.Series("y", labels), "classification", {kind: kind for kind in columns})
    assert together["accuracy"].value > 0.98


def test_text_features_equal_those_of_scikit_learn():
    from netwright.kinds.features import words
    from netwright.kinds.text import Text
    from netwright.records.features import ALL

    texts = ["a good good film", "a bad film", "not a good film", "bad bad film", ""]
    field = Text.learn("text", pl.Series(texts))
    ours = words(field.encode(pl.Series(texts)), int(field.high) + 1, ALL)(field.encode(pl.Series(texts)))
    known = set(field.vocabulary)
    unknown = [" ".join(word if word in known else "UNK" for word in text.split()) for text in texts]
    theirs = TfidfVectorizer(
        ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"\S+", lowercase=False
    ).fit_transform(unknown)
    assert sorted(np.round(ours.toarray(), 6).T.tolist()) == sorted(np.round(theirs.toarray(), 6).T.tolist())


def test_missing_numbers_are_a_signal_of_their_own():
    labels = np.arange(200) % 2
    column = pl.Series(np.where(labels, np.nan, np.random.default_rng(0).normal(size=200)))
    assert _scores({"a": column}, pl.Series("y", labels), "classification", {"a": "number"})["accuracy"].value == 1.0


def test_log_probabilities_of_sure_answers_grow_with_the_input_and_are_not_cut():
    x = np.array([[-1.0], [1.0]] * 20, dtype=np.float32)
    answer = linear.fit(x, Wanted.classes(np.arange(40) % 2, 2), strength=1.0)
    near, far = answer(np.array([[100.0], [1000.0]], dtype=np.float32))[:, 0].tolist()
    assert far == pytest.approx(10 * near, rel=1e-3)  # as a float32 probability both would be 0


def test_tasks_with_masks_have_no_linear_baseline_but_a_constant_one():
    generator = np.random.default_rng(0)
    photos = pl.Series("photo", generator.integers(0, 256, (40, 8, 8), dtype=np.uint8))
    masks = pl.Series("mask", generator.choice([0, 1], (40, 8, 8), p=[0.8, 0.2]).astype(np.uint8))
    assert _scores({"photo": photos}, masks, "segmentation", {"photo": "image"}) is None
    scores = _scores({"photo": photos}, masks, "segmentation", {"photo": "image"}, constant.fit)
    assert scores["pixel_accuracy"].value == pytest.approx(0.8, abs=0.03)


def test_constant_answers_with_the_shares_of_the_training_labels():
    columns, target, kinds = _numbers(load_breast_cancer())
    scores = _scores(columns, target, "classification", kinds, constant.fit)
    share = scores["accuracy"].value
    assert share == pytest.approx(0.63, abs=0.05)  # 357 of 569 rows are benign
    assert scores["auc"].value == 0.5 and scores["balanced_accuracy"].value == 0.5
