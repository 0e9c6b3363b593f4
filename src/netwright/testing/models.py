"""The contract of backbones, activations, normalizations and first weights."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from netwright.machine.randomness import seeded
from netwright.models import BACKBONES, CAUSAL_BACKBONES, DENSE_BACKBONES, INITS
from netwright.models.activations import activation, gain
from netwright.models.forms import Misfit
from netwright.models.normalizations import normalization
from netwright.records.recipe import Recipe
from netwright.records.schema import Signal
from netwright.resolve import resolve

Backbone = str | Callable[[Signal, Recipe], tuple[nn.Module, Signal]]

EXAMPLES = 5
SIGNALS = (Signal("vector", 6), Signal("map", 3, (12, 9)), Signal("sequence", 4, (11,)))
TOLERANCE = 1e-5  # float32 sums in another order
RECIPE = Recipe(width=16, depth=2, dropout=0.0)


def check_backbone(backbone: Backbone) -> None:
    """A key of BACKBONES or a function. Raises AssertionError with what is broken."""
    fits = _check_forms(backbone, BACKBONES)
    for signal in fits:
        _check_seed(backbone, BACKBONES, signal)
        _check_gradients(backbone, BACKBONES, signal)
        _check_rows_alone(backbone, BACKBONES, signal)


def check_dense_backbone(backbone: Backbone) -> None:
    """A key of DENSE_BACKBONES or a function: a backbone that also keeps size and steps."""
    for signal in _check_forms(backbone, DENSE_BACKBONES):
        after = _built(backbone, DENSE_BACKBONES, signal)[1]
        _claim((after.form, after.size) == (signal.form, signal.size), f"{backbone} makes a {after} of a {signal}")
        _check_gradients(backbone, DENSE_BACKBONES, signal)
        _check_rows_alone(backbone, DENSE_BACKBONES, signal)


def check_causal_backbone(backbone: Backbone) -> None:
    """A key of CAUSAL_BACKBONES or a function: no output depends on a later step."""
    signal = SIGNALS[2]
    module = _built(backbone, CAUSAL_BACKBONES, signal)[0].eval()
    x, lengths = examples(signal)
    with torch.no_grad():
        before = _first(module(x, lengths))[0, :-1]
        x[0, -1] += 1.0
        after = _first(module(x, lengths))[0, :-1]
    _claim(bool(torch.allclose(before, after, atol=TOLERANCE)), f"{backbone} lets an output see a later step")


def check_activation(name: str) -> None:
    """A key of ACTIVATIONS: same shape, finite for large inputs, a gain that keeps the size of a signal."""
    x = torch.linspace(-100, 100, 201).reshape(3, 67).requires_grad_()
    y = activation(name)(x)
    y.sum().backward()
    _claim(y.shape == x.shape, f"{name} changes the shape")
    _claim(x.grad is not None and bool(x.grad.isfinite().all() and y.isfinite().all()), f"{name} is not finite")
    if name != "softmax":
        z = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
        size = float((activation(name)(z) * gain(name)).square().mean())
        _claim(abs(size - 1) < 0.05, f"{name} times its gain {gain(name):.3f} turns size 1 into {size:.3f}")


def check_normalization(name: str) -> None:
    """A key of NORMALIZATIONS: every form keeps its shape; in evaluation, rows see neither each other nor padding."""
    for signal in SIGNALS:
        module = normalization(name, signal)
        inputs = examples(signal)
        _claim(_first(module(*inputs)).shape == inputs[0].shape, f"{name} changes the shape of a {signal}")
        _compare_rows(name, module.eval(), signal)


def check_init(name: str) -> None:
    """A key of INITS: fills in place, from torch's generator alone."""
    first, second = torch.full((8, 4, 3, 3), torch.nan), torch.full((8, 4, 3, 3), torch.nan)
    for weight in (first, second):
        with seeded(1):
            resolve("init", name, INITS)(weight, gain("relu"))
    _claim(bool(first.isfinite().all()), f"{name} leaves weights unfilled")
    _claim(torch.equal(first, second), f"{name} fills differently from the same seed")


def examples(signal: Signal, count: int = EXAMPLES) -> tuple[Tensor, ...]:
    """The input of a module after this signal: x, and for sequences lengths from 1 to the longest, zero-padded."""
    generator = torch.Generator().manual_seed(0)
    if signal.form == "vector":
        return (torch.randn(count, signal.width, generator=generator),)
    if signal.form == "map":
        return (torch.randn(count, signal.width, *signal.size, generator=generator),)
    longest = signal.size[0]
    lengths = torch.linspace(longest, 1, count).long()
    x = torch.randn(count, longest, signal.width, generator=generator)
    return x * (torch.arange(longest) < lengths[:, None])[..., None], lengths


def _check_forms(backbone: Backbone, table: dict[str, str]) -> list[Signal]:
    """The signals that it takes; it must refuse others by name, and output the signal it announces."""
    fits: list[Signal] = []
    for signal in SIGNALS:
        try:
            module, after = _built(backbone, table, signal)
        except Misfit as misfit:
            _claim(str(signal) in misfit.problem, f"{backbone} refuses a {signal} without naming it: {misfit.problem}")
            continue
        fits.append(signal)
        output = module(*examples(signal))
        x = _first(output)
        width = x.shape[-1] if after.form == "sequence" else x.shape[1]
        size = {"vector": (), "map": tuple(x.shape[2:]), "sequence": tuple(x.shape[1:2])}[after.form]
        _claim((width, size) == (after.width, after.size), f"{backbone} says {after}, gives {tuple(x.shape[1:])}")
        _claim(isinstance(output, tuple) == (after.form == "sequence"), f"{backbone}: only sequences have lengths")
    _claim(bool(fits), f"{backbone} takes no form of signal")
    return fits


def _check_seed(backbone: Backbone, table: dict[str, str], signal: Signal) -> None:
    first, second, other = (_built(backbone, table, signal, seed=seed)[0].state_dict() for seed in (1, 1, 2))
    _claim(all(torch.equal(first[k], second[k]) for k in first), f"{backbone}: one seed gives two networks")
    _claim(any(not torch.equal(first[k], other[k]) for k in first), f"{backbone}: two seeds give one network")


def _check_gradients(backbone: Backbone, table: dict[str, str], signal: Signal) -> None:
    module = _built(backbone, table, signal)[0]
    _first(module(*examples(signal))).square().sum().backward()
    starved = [name for name, p in module.named_parameters() if p.grad is None or not p.grad.any()]
    _claim(not starved, f"{backbone}: no gradient reaches {', '.join(starved)}")


def _check_rows_alone(backbone: Backbone, table: dict[str, str], signal: Signal) -> None:
    _compare_rows(str(backbone), _built(backbone, table, signal)[0].eval(), signal)


def _compare_rows(name: str, module: nn.Module, signal: Signal) -> None:
    """In evaluation, each row gives the same alone, without padding, as in the batch."""
    inputs = examples(signal)
    with torch.no_grad():
        together = module(*inputs)
        for row in range(EXAMPLES):
            alone = _first(module(*_row(inputs, row)))[0]
            among = _first(together)[row]
            among = among[: len(alone)] if isinstance(together, tuple) else among
            same = torch.allclose(alone, among, atol=TOLERANCE)
            _claim(same, f"{name}: row {row} of a {signal} gives a different output alone than in a batch")


def _row(inputs: tuple[Tensor, ...], row: int) -> tuple[Tensor, ...]:
    if len(inputs) == 1:
        return (inputs[0][row : row + 1],)
    x, lengths = inputs
    return x[row : row + 1, : lengths[row]], lengths[row : row + 1]


def _built(backbone: Backbone, table: dict[str, str], signal: Signal, seed: int = 0) -> tuple[nn.Module, Signal]:
    with seeded(seed):
        return resolve("backbone", backbone, table)(signal, RECIPE)


def _first(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple) else output


def _claim(holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)
