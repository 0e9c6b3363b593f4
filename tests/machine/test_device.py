from collections.abc import Callable

import pytest
import torch

from netwright.machine.device import PRODUCTS, device, prepare_device, suited
from netwright.records.errors import RecipeError
from netwright.records.recipe import Recipe

DENORMAL = 1e-40  # below float32's smallest normal number, 1.2e-38


def test_auto_is_the_gpu_where_there_is_one() -> None:
    assert device("cpu").type == "cpu"
    assert device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_a_gpu_that_is_not_there_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RecipeError, match="device is cuda, but torch finds no GPU") as caught:
        device("cuda")
    assert caught.value.remedy == "set device=cpu, or install a CUDA torch."


def test_denormals_count_as_zero_within_and_not_afterwards() -> None:
    with prepare_device():
        assert (torch.tensor([DENORMAL]) * 0.5).item() == 0.0
        with prepare_device():
            pass
        assert (torch.tensor([DENORMAL]) * 0.5).item() == 0.0
    assert (torch.tensor([DENORMAL]) * 0.5).item() > 0.0


def seconds(bf16: float, fp32: float) -> Callable[[], float]:
    """A clock under which products in each precision take so long."""
    now, calls = [0.0], [0]

    def clock() -> float:
        calls[0] += 1
        if calls[0] % 2 == 0:
            now[0] += bf16 if calls[0] <= 2 * PRODUCTS else fp32
        return now[0]

    return clock


def test_answers_are_computed_in_the_precision_of_the_training_where_the_cpu_can() -> None:
    recipe, cpu = Recipe(precision="bf16"), torch.device("cpu")
    assert suited(recipe, cpu, seconds(0.01, 0.02)) == (recipe, "")
    other, told = suited(recipe, cpu, seconds(0.02, 0.01))
    assert other.precision == "fp32"
    assert "computing in fp32" in told
    assert suited(Recipe(precision="fp32"), cpu, seconds(0.01, 0.02))[0].precision == "fp32"
