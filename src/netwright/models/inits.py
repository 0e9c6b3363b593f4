"""Initial weights: functions (weight, gain) that fill in place and draw from torch's generator."""

from torch import Tensor, nn

from netwright.models import INITS
from netwright.models.activations import gain
from netwright.resolve import resolve

SMALL = 0.02  # the standard deviation of "normal", as in GPT (Radford et al. 2018)
HEAD_SCALE = 0.1  # initial logits of about 0.1: the loss starts at chance, and gradients still reach the trunk


def he(weight: Tensor, gain: float) -> None:
    """Preserves the size of a signal through the layer and its activation (He et al. 2015, arXiv:1502.01852)."""
    nn.init.normal_(weight, std=gain / _fans(weight)[0] ** 0.5)


def xavier(weight: Tensor, gain: float) -> None:
    """A compromise between preserving signal and gradient, for any activation (Glorot and Bengio 2010)."""
    nn.init.normal_(weight, std=(2 / sum(_fans(weight))) ** 0.5)


def lecun(weight: Tensor, gain: float) -> None:
    """Preserves the size of a signal through the layer alone (LeCun et al. 1998); selu needs it."""
    nn.init.normal_(weight, std=1 / _fans(weight)[0] ** 0.5)


def orthogonal(weight: Tensor, gain: float) -> None:
    """Preserves lengths and angles (Saxe et al. 2013, arXiv:1312.6120)."""
    nn.init.orthogonal_(weight, gain)


def normal(weight: Tensor, gain: float) -> None:
    """The same small spread for every layer."""
    nn.init.normal_(weight, std=SMALL)


def zeros(weight: Tensor, gain: float) -> None:
    """All units alike: the network cannot learn, which shows why initial weights must differ."""
    nn.init.zeros_(weight)


def initialize(layer: nn.Module, init: str, activation: str, *, scale: float = 1.0) -> None:
    """Fills the layer's `weight` to fit the activation that follows, times `scale`; its `bias` becomes zero.

    `init` is a key of INITS, an import path, or "auto", which is "he" with the activation's own gain.
    """
    weight, bias = layer.weight, layer.bias
    if not isinstance(weight, Tensor):
        raise TypeError(f"{type(layer).__name__} has no weight to fill")
    resolve("init", "he" if init == "auto" else init, INITS)(weight, gain(activation))
    if scale != 1.0:
        weight.detach().mul_(scale)
    if isinstance(bias, Tensor):
        nn.init.zeros_(bias)


def _fans(weight: Tensor) -> tuple[int, int]:
    """Fan-in and fan-out of a weight (outputs, inputs, *kernel), in torch's layout."""
    kernel = weight[0, 0].numel()
    return weight.shape[1] * kernel, weight.shape[0] * kernel
