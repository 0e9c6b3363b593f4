from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from netwright.machine.measure import Measured
from netwright.planning.measure import measured
from netwright.records.recipe import Recipe
from netwright.records.run import Run
from netwright.tasks.classification import Classification
from netwright.training.adopt import adopt
from netwright.training.weights import copied, named

TASK = Classification(("low", "high"))


class Timed(nn.Module):
    """A network whose forward pass moves a clock by what bf16 or fp32 shall cost."""

    def __init__(self, fp32: float, bf16: float, alone: float = 1.0) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.costs = fp32, bf16, alone

    def forward(self, x: Tensor) -> Tensor:
        fp32, bf16, alone = self.costs
        time = bf16 if torch.is_autocast_enabled("cpu") else fp32
        NOW[0] += time * (alone if torch.get_num_threads() == 1 else 1.0)
        return self.linear(x)


NOW = [0.0]


def clock() -> float:
    return NOW[0]


def run_of(network: nn.Module, changes: dict[str, object] | None = None) -> Run:
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    recipe = Recipe(batch_size=32, kernels="torch", threads=1).edit(changes or {})
    return adopt(network, TASK, (x, (x[:, 0] > 0).long()), recipe=recipe)


def choice(network: nn.Module, changes: dict[str, object] | None = None) -> Measured:
    found = measured(run_of(network, changes), clock=clock)
    return replace(found, gain=round(found.gain, 6))  # sums on the clock are rounded


def test_bf16_is_taken_where_whole_steps_are_clearly_faster() -> None:
    assert choice(Timed(0.03, 0.01)) == Measured("bf16", "torch", 1, "never", 3.0, is_kept=False)


def test_bf16_is_not_tried_where_the_cpu_has_no_instructions_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_slow(on: torch.device, _clock: object) -> bool:
        return on.type == "cpu"

    monkeypatch.setattr("netwright.planning.measure.is_slow_in_bf16", is_slow)
    tried: list[bool] = []
    network = Timed(0.03, 0.01)
    run = run_of(network)
    hook = torch.nn.modules.module.register_module_forward_pre_hook(
        lambda *_: tried.append(torch.is_autocast_enabled("cpu"))
    )
    with hook:
        assert measured(run, clock=clock).precision == "fp32"
    assert tried
    assert not any(tried)


def test_bf16_is_not_taken_for_a_small_gain() -> None:
    assert choice(Timed(0.011, 0.01)) == Measured("fp32", "torch", 1, "never", 1.0, is_kept=False)


def test_own_kernels_that_are_asked_for_stay_where_fp32_is_faster() -> None:
    found = choice(Timed(0.01, 0.03), {"kernels": "own"})
    assert (found.precision, found.kernels) == ("fp32", "own")


def test_a_setting_overrules_the_measurement() -> None:
    assert choice(Timed(0.03, 0.01), {"precision": "fp32"}).precision == "fp32"
    assert choice(Timed(0.01, 0.03), {"precision": "bf16"}).precision == "bf16"


def test_one_thread_is_taken_where_a_second_brings_nothing() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert choice(Timed(0.01, 0.01, alone=1.0), {"threads": 0}).threads == 1
        assert choice(Timed(0.01, 0.01, alone=1.5), {"threads": 0}).threads == 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


class Fp32Only(Timed):
    def forward(self, x: Tensor) -> Tensor:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("not implemented for 'BFloat16'")
        return super().forward(x)


def test_a_network_that_cannot_compute_in_bf16_stays_in_fp32() -> None:
    assert choice(Fp32Only(0.03, 0.01)).precision == "fp32"


def test_measuring_leaves_weights_modes_and_random_state_as_they_were() -> None:
    run = run_of(nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2)).eval())
    before, state = copied(run.network), torch.get_rng_state()
    measured(run)
    assert all(torch.equal(tensor, before[name]) for name, tensor in named(run.network).items())
    assert not run.network.training
    assert torch.equal(torch.get_rng_state(), state)


def test_what_was_found_is_remembered_for_the_same_network_and_batch(tmp_path: Path) -> None:
    memory = tmp_path / "folder" / "arithmetic.json"
    for network in (Timed(0.03, 0.01), Timed(0.01, 0.03)):  # the second is not measured
        assert measured(run_of(network), memory=memory, clock=clock, worked=clock).precision == "bf16"
    other = replace(run_of(Timed(0.01, 0.03)), recipe=Recipe(batch_size=16, kernels="torch", threads=1))
    assert measured(other, memory=memory, clock=clock, worked=clock).precision == "fp32"  # another batch


def test_a_broken_memory_is_measured_anew(tmp_path: Path) -> None:
    memory = tmp_path / "arithmetic.json"
    memory.write_text("{")
    assert measured(run_of(Timed(0.03, 0.01)), memory=memory, clock=clock).precision == "bf16"


def test_what_a_busy_machine_measured_is_not_remembered_and_says_so(tmp_path: Path) -> None:
    memory = tmp_path / "arithmetic.json"
    found = measured(run_of(Timed(0.03, 0.01)), memory=memory, clock=clock, worked=lambda: NOW[0] / 2)
    assert not memory.exists()
    assert not found.is_kept


def test_a_memory_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run = run_of(Timed(0.03, 0.01))
    assert not measured(run, memory=tmp_path / "file" / "a.json", clock=clock, worked=clock).is_kept
    assert measured(run, memory=tmp_path / "a.json", clock=clock, worked=clock).is_kept
    assert measured(run, memory=tmp_path / "a.json", clock=clock, worked=clock).is_kept


def test_compiling_is_tried_for_long_trainings_only_and_kept_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def compiles(network: nn.Module) -> nn.Module:
        made.append(1)
        return Timed(0.03, 0.03)

    monkeypatch.setattr(torch, "compile", compiles)
    assert choice(Timed(0.06, 0.06)).compile == "never"
    assert not made
    long = choice(Timed(0.06, 0.06), {"epochs": 10_000})
    assert (long.compile, long.gain) == ("always", 2.0)
    assert choice(Timed(0.03, 0.03), {"epochs": 10_000}).compile == "never"
    assert choice(Timed(0.06, 0.06), {"epochs": 10_000, "compile": "never"}).compile == "never"


def test_without_a_compiler_training_goes_on_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(network: nn.Module) -> nn.Module:
        raise RuntimeError("No working C++ compiler found")

    monkeypatch.setattr(torch, "compile", refuses)
    assert choice(Timed(0.06, 0.06), {"epochs": 10_000}).compile == "never"
