from math import inf
from pathlib import Path

import pytest

from netwright.machine import measure
from netwright.machine.measure import Choice, Measured, fastest, recall, remember


def test_a_gain_has_to_outweigh_what_a_choice_costs() -> None:
    seconds = {"fp32": 1.0, "bf16": 0.9}
    found = fastest(lambda choice, _: seconds[choice[0]], [("fp32", "torch"), ("bf16", "torch")], 2, may_use_one=False)
    assert found == (("fp32", "torch", 2), 1.0, 1.0)
    seconds["bf16"] = 0.5
    found = fastest(lambda choice, _: seconds[choice[0]], [("fp32", "torch"), ("bf16", "torch")], 2, may_use_one=False)
    assert found == (("bf16", "torch", 2), 0.5, 2.0)


def test_what_fails_in_every_arithmetic_is_measured_as_endless() -> None:
    assert fastest(lambda *_: inf, [("bf16", "torch")], 1, may_use_one=True) == (("fp32", "torch", 1), inf, 1.0)


def test_one_thread_is_taken_only_if_it_is_nearly_as_fast() -> None:
    def steps(choice: Choice, _: int) -> float:
        return 1.04 if choice[2] == 1 else 1.0

    assert fastest(steps, [("fp32", "torch")], 2, may_use_one=True)[0][2] == 1
    assert fastest(steps, [("fp32", "torch")], 2, may_use_one=False)[0][2] == 2


def test_the_sentence_names_arithmetic_threads_and_gain() -> None:
    assert (
        str(Measured("bf16", "own", 2, "always", 2.64))
        == "bf16, own kernels, compiled, 2 threads: 2.6 times as fast as plain fp32"
    )
    assert str(Measured("fp32", "torch", 1, "never", 1.01)) == "fp32, 1 thread"


def test_what_is_not_remembered_names_the_settings_that_keep_it() -> None:
    told = str(Measured("bf16", "own", 2, "always", 1.0, is_kept=False))
    assert told.startswith("bf16, own kernels, compiled, 2 threads; not remembered, so the same command may choose")
    assert told.endswith("--set precision=bf16 --set kernels=own --set compile=always --set threads=2")


def test_what_another_process_measured_first_stays(tmp_path: Path) -> None:
    first, second = Measured("bf16", "own", 2, "never", 2.0), Measured("fp32", "torch", 1, "never", 1.0)
    assert remember(tmp_path / "a.json", "key", first) == first
    assert remember(tmp_path / "a.json", "key", second) == first
    assert recall(tmp_path / "a.json") == {"key": first}


def test_the_oldest_outcomes_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "REMEMBERED", 3)
    found = Measured("fp32", "torch", 1, "never", 1.0)
    for number in range(5):
        remember(tmp_path / "a.json", str(number), found)
    assert list(recall(tmp_path / "a.json")) == [str(number) for number in range(2, 5)]
