import numpy as np
import pytest
import torch

import netwright as nw
from netwright.explanations.attacked import GAP, LEAST_SIDE, attacked_picture, pictures_of_rows
from netwright.records.robustness import Attacked
from netwright.stages.robustness import attacked
from netwright.stages.siege import Asked


@pytest.fixture(scope="module")
def result() -> tuple[nw.Run, Attacked]:
    """Bright and dark squares."""
    chance = np.random.default_rng(0)
    labels = np.array(["bright", "dark"] * 60)
    pictures = chance.integers(0, 60, (120, 8, 8)) + np.where(labels == "bright", 90, 60)[:, None, None]
    settings = {
        "epochs": 6,
        "layers": '["flatten", {"dense": 8}, "relu"]',
        "augment": "none",
        "adapt": False,
        "threads": 1,
    }
    run = nw.train((pictures.astype(np.uint8), labels), settings=settings, audit=False, diagnose=False)
    return run, attacked(run, Asked(eps=(0.3,)), lambda _: None)


def test_a_strip_shows_input_change_and_result_of_beaten_rows(result: tuple[nw.Run, Attacked]) -> None:
    run, found = result
    assert found.beaten.any()
    picture = attacked_picture(run, found)
    assert picture is not None
    assert picture.width == 3 * (LEAST_SIDE + GAP)
    show = pictures_of_rows(run, found)
    assert show is not None
    row = int(found.before.rows[found.beaten][0])
    strip = show(row)
    assert strip is not None and strip.size[0] == picture.width
    assert show(10**6) is None


def test_nothing_is_drawn_if_no_row_was_beaten(result: tuple[nw.Run, Attacked]) -> None:
    run, found = result
    nobody = Attacked(found.found, found.before, found.after, torch.zeros_like(found.beaten))
    assert attacked_picture(run, nobody) is None


def test_tables_have_no_pictures() -> None:
    table = {"x": list(range(40)), "y": ["a", "b"] * 20}
    run = nw.train(table, target="y", settings={"epochs": 1}, audit=False, diagnose=False)
    found = attacked(run, Asked(eps=(0.5,), methods=("noise",)), lambda _: None)
    assert attacked_picture(run, found) is None and pictures_of_rows(run, found) is None
