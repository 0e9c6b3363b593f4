import pytest
import torch

from netwright.planning.device import device, prepare_device
from netwright.records.errors import RecipeError

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
