from functools import cache

import numpy as np

from netwright.data.prepare import Prepared, prepare
from netwright.data.read import read
from netwright.data.split import split
from netwright.planning.trial import LEAST_CELLS, PAIRS, SHARE, Trial, rows_of, try_augmentations
from netwright.records.recipe import Recipe

RECIPE = Recipe(
    layers=("flatten", {"dense": 32}, "relu"), epochs=12, batch_size=64, lr=1e-2, label_smoothing=0.1,
    augment=("auto",), device="cpu",
)  # fmt: skip
CLASSES, SIDE = 4, 8


def _pictures(*, is_direction: bool, rows: int = 900) -> Prepared:
    """Noisy pictures of four shapes that look either way; the label is the shape, or the way it looks."""
    generator = np.random.default_rng(0)
    shapes = generator.integers(40, 216, (CLASSES, SIDE, SIDE))
    shape, way = generator.integers(0, CLASSES, rows), generator.integers(0, 2, rows)
    seen = np.where(way[:, None, None] == 1, shapes[shape][:, :, ::-1], shapes[shape])
    pixels = (seen + generator.normal(0, 110, seen.shape)).clip(0, 255).astype(np.uint8)
    dataset = read((pixels, np.array(["left", "right"])[way] if is_direction else shape))
    return prepare(dataset, split(dataset))


@cache
def _tried(*, is_direction: bool) -> Trial:
    return try_augmentations(_pictures(is_direction=is_direction), RECIPE)


def test_mirroring_is_taken_where_shapes_look_either_way() -> None:
    trial = _tried(is_direction=False)
    assert "flip" in trial.names
    assert trial.effects["flip"].high < 0 and trial.pairs["flip"] == PAIRS
    assert "flip" in trial.note.partition(" help")[0]


def test_mirroring_is_refused_where_the_label_is_the_way_it_looks() -> None:
    trial = _tried(is_direction=True)
    assert "flip" not in trial.names
    assert trial.effects["flip"].low > 0 and trial.pairs["flip"] == 1
    assert "flip" in trial.note.partition(" hurt")[0]


def test_trainings_stay_within_the_budget() -> None:
    prepared, recipe = _pictures(is_direction=False, rows=4_000), RECIPE.edit({"epochs": 2})
    count, passes = 5, 2  # trainings of a pair: without, and with each of four
    assert PAIRS * (count + 1) * rows_of(prepared, recipe, 4) * passes <= max(
        SHARE * len(prepared.train) * 2, LEAST_CELLS / SIDE**2
    )


def test_few_rows_are_not_tried_and_it_is_said() -> None:
    trial = try_augmentations(_pictures(is_direction=False, rows=300), RECIPE.edit({"augment": "auto, flip"}))
    assert trial.names == ("flip",)
    assert trial.note == "augment: training has too few rows and passes to try any"


def test_same_rows_and_seed_give_the_same_trial() -> None:
    recipe = RECIPE.edit({"epochs": 1, "augment": "auto, shift, rotate"})
    first, second = (try_augmentations(_pictures(is_direction=True), recipe) for _ in range(2))
    assert first == second and {"flip", "cutout"} <= set(first.effects)
