from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import polars as pl
import pytest

from netwright.kinds.image import Image
from netwright.kinds.number import Number
from netwright.kinds.sequence import Sequence
from netwright.kinds.series import Series
from netwright.kinds.text import Text
from netwright.planning.choose import choose
from netwright.records.errors import RecipeError
from netwright.records.recipe import Recipe, setting
from netwright.records.schema import Field, Schema
from netwright.records.task import Task
from netwright.tasks.classification import Classification
from netwright.tasks.language_model import LanguageModel
from netwright.tasks.segmentation import Segmentation

NUMBER = Number.learn("age", pl.Series("age", [float(n) for n in range(50)]))
TEXT = Text.learn("text", pl.Series("text", ["a kind word", "a rude word", "no word at all"] * 10))
SERIES = Series.learn("wave", pl.Series("wave", np.random.default_rng(0).normal(size=(20, 30, 2)).astype(np.float32)))
TWO: Task = Classification(("no", "yes"))


def picture(side: int) -> Field:
    pixels = np.random.default_rng(0).integers(0, 256, (20, side, side), dtype=np.uint8)
    return Image.learn("image", pl.Series("image", pixels))


@dataclass(frozen=True)
class Options:
    """A task's own settings."""

    horizon: int = setting(24, "steps ahead", low=1, high=1000)


@dataclass(frozen=True)
class Forecasting(Classification):  # type: ignore[misc]  final, but a quick way to a whole task
    """A task with a setting of its own."""

    options: ClassVar[type] = Options


def chosen(*fields: Field, rows: int = 500, task: Task = TWO, **given: object) -> Recipe:
    return choose(Schema(fields), task, rows, given)[0]


def test_images_get_a_convnet_of_more_channels_where_they_are_tiny() -> None:
    tiny, usual = chosen(picture(8)), chosen(picture(28), rows=50_000)
    assert (tiny.backbone, usual.backbone) == ("convnet", "convnet")
    assert tiny.width > usual.width


def test_pictures_are_shifted_only_in_many_passes_over_many_rows() -> None:
    augments = [chosen(picture(28), rows=rows).augment for rows in (500, 2_000, 50_000)]
    assert augments == [(), ("shift",), ()]


def test_the_users_own_passes_decide_whether_pictures_are_shifted() -> None:
    assert chosen(picture(28), rows=50_000, epochs="20").augment == ("shift",)
    assert chosen(picture(28), rows=2_000, epochs=3).augment == ()


def test_pictures_with_masks_are_not_shifted() -> None:
    assert chosen(picture(28), rows=2_000, task=Segmentation((0, 1), (28, 28))).augment == ()


def test_small_tables_keep_the_last_weights_and_larger_ones_the_best() -> None:
    assert chosen(NUMBER, rows=999).keep == "last"
    assert chosen(NUMBER, rows=1000).keep == "best"
    assert chosen(NUMBER).members > 1


def test_word_order_is_learned_where_there_are_many_texts() -> None:
    assert chosen(TEXT, rows=500).backbone == "bag"
    assert chosen(TEXT, rows=50_000).backbone == "convnet1d"


def test_series_get_convolutions_along_time() -> None:
    assert chosen(SERIES).backbone == "convnet1d"


def test_the_richest_input_decides() -> None:
    assert chosen(NUMBER, TEXT).backbone == chosen(TEXT).backbone
    assert chosen(NUMBER, TEXT, picture(28)).backbone == "convnet"


def test_language_models_get_a_transformer() -> None:
    cells = pl.DataFrame({"text": ["the quick brown fox"] * 5})
    schema = Schema((Sequence.learn("text", cells["text"]),))
    assert choose(schema, LanguageModel.learn(pl.DataFrame(), schema), 500, {})[0].backbone == "transformer"


@pytest.mark.parametrize(
    "fields", [(NUMBER,), (TEXT,), (SERIES,), (picture(28),)], ids=["table", "text", "series", "image"]
)
def test_more_rows_need_fewer_epochs(fields: tuple[Field, ...]) -> None:
    epochs = [chosen(*fields, rows=rows).epochs for rows in (1_500, 5_000, 1_000_000)]
    assert epochs == sorted(epochs, reverse=True)
    assert epochs[-1] >= 5


def test_what_the_user_gives_wins_and_is_told() -> None:
    given = {"backbone": "mlp", "epochs": "3", "clip": 0.5, "seed": 7}
    recipe, (told, why) = choose(Schema((picture(28),)), TWO, 500, given)
    assert why.startswith("keep last: smoothed labels")
    assert (recipe.backbone, recipe.epochs, recipe.clip, recipe.seed) == ("mlp", 3, 0.5, 7)
    assert told.startswith("settings: ")
    assert {"backbone mlp", "epochs 3", "clip 0.5", "schedule triangular"} <= set(
        told.removeprefix("settings: ").split(", ")
    )
    assert "seed" not in told


def test_the_same_data_give_the_same_settings() -> None:
    assert choose(Schema((NUMBER, TEXT)), TWO, 500, {}) == choose(Schema((NUMBER, TEXT)), TWO, 500, {})


def test_a_tasks_own_settings_are_checked_and_reported_before_any_training() -> None:
    task = Forecasting(("no", "yes"))
    recipe, (told, *_) = choose(Schema((NUMBER,)), task, 500, {"horizon": "96"})
    assert (recipe.own, "horizon 96" in told) == (Options(96), True)
    assert chosen(NUMBER, task=task).own == Options()
    with pytest.raises(RecipeError, match="there is no setting 'horizn': did you mean 'horizon'"):
        chosen(NUMBER, task=task, horizn=3)
    with pytest.raises(RecipeError, match="there is no setting 'horizon'"):
        chosen(NUMBER, horizon=3)
