"""What an attack found, in words."""

import json
from dataclasses import asdict, replace

from pydantic import TypeAdapter

from netwright.records.finding import Chart, Finding, Measure, Report
from netwright.records.robustness import Example, Level, Robustness, Tried


def rate(name: str, value: float) -> Measure:
    return Measure(name, value, max(0.0, value - 0.05), min(1.0, value + 0.05))


TRIED = (
    Tried("pgd", "20 gradient steps (PGD)", rate("pgd", 0.2), False, 1.0),
    Tried("square", "random squares", rate("square", 0.12), True, 1.0),
)
LEVEL = Level(0.1, TRIED, rate("all", 0.12), (rate("cat is reached", 0.3),), Measure("smallest", 0.04))
FOUND = Robustness(
    "runs/pets", 256, "test rows", "each value by up to 0.1 of its range", "right answers", True, rate("none", 0.9),
    (LEVEL,), (rate("blur", 0.8),), Chart("lines", "", "", "", ("right",), ((0.9, 0.12),), (0.0, 0.1)),
    (Example(3, "pets/3.png", "cat", "dog\x1b[1m", (("photo", "dark", "light"),)),), ("transfer (no rows)",),
    Report("runs/pets", 256, (), ()), is_full=False,
)  # fmt: skip
DOUBT = Finding("warning", "", code="NW504", title="two losses disagree")


def test_a_quick_attack_claims_no_robustness() -> None:
    told = str(FOUND)
    assert "12 of 100 answers stay right (7 to 17) under every attack tried; --full tries more." in told
    assert "Robust accuracy" not in told


def test_a_full_attack_without_doubts_says_robust_accuracy_and_one_with_a_doubt_an_upper_bound() -> None:
    full = replace(FOUND, is_full=True)
    assert "Robust accuracy: 12 of 100 (7 to 17)." in str(full)
    doubted = replace(full, report=replace(FOUND.report, findings=(DOUBT,)))
    assert "Upper bound: 12 of 100 answers, unreliable: two losses disagree." in str(doubted)
    assert "Robust accuracy" not in str(doubted)


def test_the_table_has_a_line_for_each_attack_and_marks_those_that_go_on_from_others() -> None:
    lines = {line[:44].strip(): line[44:].split() for line in str(FOUND).split("\n")}
    assert lines["no attack"] == ["90.0"]
    assert lines["20 gradient steps (PGD)"] == ["20.0"]
    assert lines["then random squares"] == ["12.0"]
    assert lines["all together"] == ["12.0", "(7.0", "to", "17.0)"]
    assert lines["cat is reached"] == ["30.0"]
    assert lines["smallest change that beats a row, median"] == ["0.04"]
    assert "by size: 0 90.0, 0.1 12.0" in str(FOUND) and "everyday changes: blur 80.0" in str(FOUND)
    assert "not tried: transfer (no rows)" in str(FOUND)


def test_what_comes_from_data_moves_no_cursor() -> None:
    assert r"pets/3.png: cat becomes dog\x1b[1m" in str(FOUND)


def test_several_sizes_are_columns() -> None:
    both = replace(FOUND, levels=(LEVEL, replace(LEVEL, size=0.3, union=rate("all", 0.01))))
    assert "at 0.1 (7 to 17)" in str(both) and "at 0.3" in str(both)
    assert (both.result("union", 0), both.result("union", 1)) == (0.12, 0.01)


def test_harm_of_numbers_is_a_mean() -> None:
    harm = replace(FOUND, is_share=False, measure="change of the answer")
    assert "An adversary causes a change of the answer of 0.12 on average." in str(harm)


def test_results_are_found_by_name() -> None:
    assert (FOUND.result("clean"), FOUND.result("pgd"), FOUND.result("union")) == (0.9, 0.2, 0.12)
    assert FOUND.result("decision") != FOUND.result("decision")  # NaN: it was not tried


def test_it_survives_json() -> None:
    adapter = TypeAdapter(Robustness)
    assert str(adapter.validate_json(json.dumps(asdict(FOUND)))) == str(FOUND)
