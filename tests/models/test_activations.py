import pytest
import torch

from netwright.models.activations import activation, gain
from netwright.records.errors import RecipeError


@pytest.mark.parametrize(
    ("name", "closed_form"),
    [("relu", 2**0.5), ("identity", 1.0), ("selu", 1.0), ("leaky_relu", (2 / (1 + 1e-4)) ** 0.5)],
)
def test_gain_equals_its_closed_form(name, closed_form):
    assert gain(name) == pytest.approx(closed_form, rel=1e-4)


def test_softmax_shares_out_over_channels_of_maps_and_last_dimensions():
    softmax = activation("softmax")
    assert torch.allclose(softmax(torch.randn(2, 3, 4, 5)).sum(1), torch.ones(2, 4, 5))
    assert torch.allclose(softmax(torch.randn(2, 4, 5)).sum(2), torch.ones(2, 4))


def test_unknown_activation_is_an_error_with_the_nearest_name():
    with pytest.raises(RecipeError, match="there is no activation 'rellu'") as caught:
        activation("rellu")
    assert caught.value.remedy == "did you mean 'relu'?"
