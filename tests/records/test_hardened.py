"""The table of defenses."""

import json
from dataclasses import asdict, replace

from pydantic import TypeAdapter

from netwright.records.hardened import Defended, Hardened

ROWS = (
    Defended("none", "no defense", {"clean": 0.98, "noise": None, "pgd": 0.1, "all": 0.05, "cost": 1.0}),
    Defended(
        "adversarial", "adversarial training", {"clean": 0.97, "pgd": 0.7, "all": 0.6, "cost": 8.25}, (0.54, 0.66)
    ),
    Defended(
        "quantize",
        "quantized inputs",
        {"clean": 0.98, "pgd": 0.96, "all": 0.9},
        (0.86, 0.93),
        ("gradients lead nowhere",),
        True,
    ),
)
TABLE = Hardened("runs/digits", 256, "test rows", "each value by up to 0.1", "right answers", True, ROWS, "adversarial")


def test_it_shows_what_was_measured_which_is_best_and_what_a_lesson_is() -> None:
    told = str(TABLE)
    assert "runs/digits, 256 test rows, right answers: each value by up to 0.1" in told
    lines = {line[:40].strip(): line for line in told.split("\n")}
    assert lines["adversarial training"].split()[2:] == [
        "97.0", "70.0", "60.0", "8.2", "x", "(54.0", "to", "66.0)", "<-", "best",
    ]  # fmt: skip
    assert lines["quantized inputs"].endswith("a lesson")
    assert "noise" not in told
    assert "quantized inputs: an upper bound, unreliable: gradients lead nowhere." in told
    assert "better than none" not in told


def test_it_says_if_no_defense_is_better_than_none() -> None:
    worse = replace(ROWS[1], results={**ROWS[1].results, "all": 0.05})
    assert "No defense here is better than none." in str(replace(TABLE, rows=(ROWS[0], worse)))


def test_of_harm_less_is_better() -> None:
    rows = (replace(ROWS[0], results={"all": 3.0}), replace(ROWS[1], results={"all": 1.25}))
    told = str(replace(TABLE, rows=rows, is_share=False))
    assert "1.25" in told
    assert "better than none" not in told


def test_it_survives_json() -> None:
    adapter = TypeAdapter(Hardened)
    assert str(adapter.validate_json(json.dumps(asdict(TABLE)))) == str(TABLE)
