"""One walk over the layers of a network: their names, their kinds, and what passes through them."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, TypeVar, final

from torch import Tensor, nn
from torch.nn.modules import activation, batchnorm, conv, instancenorm
from torch.nn.utils.rnn import PackedSequence
from torch.utils.hooks import RemovableHandle

Key = TypeVar("Key")

Family = Literal["rectifying", "sigmoid", "tanh", ""]

RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.Threshold, nn.Hardtanh)
SIGMOIDS = (nn.Sigmoid, nn.Hardsigmoid)
SQUASHERS = (nn.Tanh, nn.Softsign, *SIGMOIDS)
RECURRENT = (nn.RNNBase, nn.RNNCellBase)
CHANNELS_FIRST = (
    *(conv._ConvNd, batchnorm._BatchNorm, instancenorm._InstanceNorm, nn.GroupNorm),  # pyright: ignore[reportPrivateUsage]  torch has no public name for them
)
# Of the range from its middle: a tanh beyond +-0.94, or a sigmoid beyond 0.03 or 0.97, where the slope is below an
# eighth of the steepest (1 - 0.94^2). Glorot and Bengio 2010.
FLAT = 0.94


def layers(network: nn.Module, wanted: Callable[[nn.Module], bool]) -> list[tuple[str, nn.Module]]:
    """The wanted modules by qualified name, each once; the network itself is named by its class."""
    return [(name or type(m).__name__, m) for name, m in network.named_modules() if wanted(m)]


def is_layer(module: nn.Module) -> bool:
    """Whether a module has no submodules, or has weights of its own."""
    return not any(True for _ in module.children()) or has_weights(module)


def has_weights(module: nn.Module) -> bool:
    """Whether it has parameters of its own, not only in submodules."""
    return any(True for _ in module.parameters(recurse=False))


def is_activation(module: nn.Module) -> bool:
    """Whether a module is one of torch's nonlinearities; attention is in the same file but is not one."""
    return type(module).__module__ == activation.__name__ and not isinstance(module, nn.MultiheadAttention)


def family(module: nn.Module) -> Family:
    """How a module bounds its outputs: rectifiers can have dead units, the others saturated ones."""
    if isinstance(module, nn.Hardtanh):
        return "rectifying" if module.min_val == 0 else ""
    if isinstance(module, RECTIFIERS) or getattr(module, "nonlinearity", "") == "relu":
        return "rectifying"
    if isinstance(module, SIGMOIDS):
        return "sigmoid"
    return "tanh" if isinstance(module, (*SQUASHERS, *RECURRENT)) else ""


def idle(values: Tensor, *, channels_first: bool | None) -> Tensor:
    """For each unit (channel), whether it is 0 in all rows and positions; a dead unit is idle on every row.

    `values` are 0 or more. `channels_first`: which axis holds the units; None if no earlier layer shows that.
    """
    if values.ndim < 2:
        return values == 0
    is_first = values.ndim > 3 if channels_first is None else channels_first
    axis = 1 if is_first else values.ndim - 1
    return values.amax([d for d in range(values.ndim) if d != axis]) == 0


def saturated(values: Tensor, *, is_sigmoid: bool) -> Tensor:
    """For each value, whether it lies in a flat part: beyond FLAT."""
    return (values - 0.5).abs() > FLAT / 2 if is_sigmoid else values.abs() > FLAT


def matrices(module: nn.Module) -> list[nn.Parameter]:
    """The matrices and kernels of a module itself.

    Selected by name: tables of scales, and of replacements for missing numbers, may have no gradient and start equal.
    """
    return [p for name, p in module.named_parameters(recurse=False) if p.ndim > 1 and "weight" in name]


def tensors(values: Any) -> Iterator[Tensor]:
    """All tensors in a module's inputs or outputs."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, PackedSequence):
        yield values.data
    elif isinstance(values, tuple | list):
        for part in values:  # pyright: ignore[reportUnknownVariableType]  whatever a user's module returns
            yield from tensors(part)
    elif isinstance(values, dict):
        for part in values.values():  # pyright: ignore[reportUnknownVariableType]
            yield from tensors(part)


def tensor_of(output: Any) -> Tensor | None:
    """The first tensor in a module's output: an LSTM's outputs, without its last state."""
    return next(tensors(output), None)


def after_calls(
    parts: Iterable[tuple[Key, nn.Module]], hear: Callable[[Key, nn.Module, tuple[Any, ...], Any], None]
) -> list[RemovableHandle]:
    """Hooks that pass each call's inputs and outputs to `hear`, with the module's key."""
    return [module.register_forward_hook(partial(hear, key)) for key, module in parts]


@contextmanager
def hooked(handles: Iterable[RemovableHandle]) -> Generator[None]:
    """Removes the hooks at the end."""
    handles = tuple(handles)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@final
class Layout:
    """Which axis holds the units, as layers are called in turn: the last one with weights decides."""

    def __init__(self) -> None:
        self._last = (False, 0)  # whether its channels come first, and the number of dimensions of its output

    def channels_first(self, module: nn.Module, output: Tensor) -> bool | None:
        """For the module that was just called; None if no layer decides it."""
        if has_weights(module) and not is_activation(module):
            self._last = (isinstance(module, CHANNELS_FIRST), output.ndim)
        is_first, ndim = self._last
        return is_first if output.ndim == ndim else None
