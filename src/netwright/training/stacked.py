"""Networks with the same structure as one function: weights are rows of a matrix, layers are batched products."""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import partial
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.func import functional_call, vmap

from netwright.models import activations, dropout, mlp, network, normalizations, sequences, stems
from netwright.training.optimizer import decayed

Structure = tuple[tuple[object, ...], ...]


@final
class Stacked:
    """K networks of equal `structure`: (K, weights) and inputs (K, B, ...) to outputs (K, B, ...).

    Each network's weights are one row, those that decay first: `heavy` counts them.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        every = [_tensors(one) for one in networks]
        stacked = {name: torch.stack([tensors[name].detach() for tensors in every]) for name in every[0]}
        trained = [name for name, p in networks[0].named_parameters() if p.requires_grad]
        self._matrices = tuple(decayed(networks[0]))
        self._trained = {name: stacked[name] for name in dict.fromkeys((*self._matrices, *trained))}
        self._constant = {name: tensor for name, tensor in stacked.items() if name not in self._trained}
        self.heavy = sum(stacked[name][0].numel() for name in self._matrices)
        self._template = _stacked(deepcopy(networks[0]))
        self._places = _places(self._template)
        self._parts: dict[str, Tensor] = {}
        self._dropouts = {n: m for n, m in self._template.named_modules() if isinstance(m, _Dropout)}
        for name, layer in self._dropouts.items():
            layer.keep([1 - _dropped(one.get_submodule(name)) for one in networks])

    def weights(self) -> Tensor:
        """(K, weights): a copy of the trained weights."""
        return torch.cat([part.flatten(1) for part in self._trained.values()], 1)

    def put(self, row: Tensor, into: nn.Module) -> None:
        """Writes one network's weights into it."""
        parameters = dict(into.named_parameters())
        with torch.no_grad():
            for name, part in self.parts(row[None]).items():
                parameters[name].copy_(part[0])

    def parts(self, rows: Tensor) -> dict[str, Tensor]:
        """Rows of weights by name, (len(rows), *shape) each, as views of the rows."""
        split = rows.split([part[0].numel() for part in self._trained.values()], 1)
        named = zip(self._trained.items(), split, strict=True)
        return {name: flat.view(len(rows), *part.shape[1:]) for (name, part), flat in named}

    def absolute(self, parts: dict[str, Tensor]) -> Tensor:
        """(K, 1): the sum of the absolute weights that decay."""
        return torch.cat([parts[name].flatten(1) for name in self._matrices], 1).abs().sum(1, keepdim=True)

    def __call__(
        self,
        parts: dict[str, Tensor],
        inputs: Sequence[Tensor],
        *,
        generators: Sequence[Generator] = (),
        counts: Sequence[int] = (),
    ) -> Tensor:
        """Outputs of the first networks, those whose weights are given. With `generators`, one each, they train:
        dropout draws from them as in a single network, for the first `counts` rows of each.
        """
        for layer in self._dropouts.values():
            layer.draws = tuple(zip(generators, counts, strict=True))
        if self._template.training != bool(generators):
            self._template.train(bool(generators))
        if self._parts is not parts:  # set once: torch's functional_call takes a tenth of a step to do it each time
            self._parts = parts
            constant = {name: tensor[: len(inputs[0])] for name, tensor in self._constant.items()}
            for name, tensor in (parts | constant).items():
                store, key = self._places[name]
                store[key] = tensor
        return self._template(*inputs)


def structure(one: nn.Module) -> Structure:
    """What networks must share to be stacked: layers, sizes and whole numbers.

    Weights and other floats may differ, and so may dropout rates.
    """
    found: list[tuple[object, ...]] = []
    for name, module in one.named_modules():
        plain = {k: v for k, v in vars(module).items() if not k.startswith("_") and k != "training"}
        if isinstance(module, nn.Dropout):
            del plain["p"]
        found.append((name, type(module), *sorted(plain.items())))
    for name, tensor in _tensors(one).items():
        values = () if tensor.is_floating_point() else tuple(tensor.flatten().tolist())
        found.append((name, tensor.shape, tensor.dtype, tensor.requires_grad, values))
    return tuple(found)


def unstackable_layer(one: nn.Module) -> str:
    """Why a network has no stacked form; empty if it has one."""
    # Layers and weights are identified by name here, and torch names a shared one only once.
    for every, kinds in ((one.named_modules, "layers"), (one.named_parameters, "weights")):
        if sum(1 for _ in every(remove_duplicate=False)) > sum(1 for _ in every()):
            return f"{kinds} are used twice"
    unknown = next((m for m in _layers(one) if type(m) not in FORMS and type(m) not in AS_THEY_ARE), None)
    return "" if unknown is None else f"{type(unknown).__name__} has no stacked form"


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    """The modules that joints join."""
    if type(module) in JOINTS:
        for part in module.children():
            yield from _layers(part)
    else:
        yield module


def _tensors(one: nn.Module) -> dict[str, Tensor]:
    return {**dict(one.named_parameters()), **dict(one.named_buffers())}


def _places(module: nn.Module) -> dict[str, tuple[dict[str, Any], str]]:  # Any: torch's own annotations differ
    """The place of each tensor of a module, by name."""
    found: dict[str, tuple[dict[str, Any], str]] = {}
    for name in _tensors(module):
        owner, _, key = name.rpartition(".")
        one: Any = module.get_submodule(owner)  # Any: its tables of tensors are torch internals, as in functional_call
        found[name] = (one._parameters if key in one._parameters else one._buffers), key
    return found


def _dropped(module: nn.Module) -> float:
    return module.p if isinstance(module, nn.Dropout) else 0.0


# Modules for a stack: during a call their tensors, named as in one network, are (K, ...), and inputs and outputs are
# (K, B, ...).


def _stacked(module: nn.Module) -> nn.Module:
    if type(module) in JOINTS:
        for name, part in module.named_children():
            module.add_module(name, _stacked(part))
        return _Joined(module) if isinstance(module, network.Joined) else module
    return module if type(module) in AS_THEY_ARE else FORMS[type(module)](module)


@final
class _Joined(nn.Module):
    """Each branch takes one input here: sequences have no stacked form."""

    def __init__(self, one: network.Joined) -> None:
        super().__init__()
        self.branches, self.trunk, self.head = one.branches, one.trunk, one.head

    def forward(self, *inputs: Tensor) -> Tensor:
        features = [branch(x) for branch, x in zip(self.branches, inputs, strict=True)]
        return self.head(self.trunk(features[0] if len(features) == 1 else torch.cat(features, dim=-1)))


@final
class _Vectorized(nn.Module):
    """The module's own forward, vectorized by torch; for modules that draw no random numbers."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._parameters, self._buffers, self._modules = module._parameters, module._buffers, module._modules
        self._one = [module]  # in a list: its tensors are here already
        self._vectorized = vmap(partial(functional_call, module))
        self._places = _places(module)

    def forward(self, *inputs: Tensor) -> Tensor:
        if self._one[0].training != self.training:
            self._one[0].train(self.training)
        return self._vectorized({name: store[key] for name, (store, key) in self._places.items()}, inputs)


@final
class _Linear(nn.Module):
    """Several times as fast as torch's vectorized form."""

    bias: nn.Parameter | None

    def __init__(self, one: nn.Linear) -> None:
        super().__init__()
        self.weight = one.weight
        self.register_parameter("bias", one.bias)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(1, -2)
        weight = self.weight.mT
        outputs = torch.bmm(rows, weight) if self.bias is None else torch.baddbmm(self.bias[:, None], rows, weight)
        return outputs.unflatten(1, x.shape[1:-1])


@final
class _MemberLinear(nn.Module):
    """As above."""

    def __init__(self, one: mlp.MemberLinear) -> None:
        super().__init__()
        self.weight, self.r, self.s, self.bias = one.weight, one.r, one.s, one.bias

    def forward(self, x: Tensor) -> Tensor:
        rows = (x * self.r[:, None]).flatten(1, 2)
        outputs = torch.bmm(rows, self.weight.mT).unflatten(1, x.shape[1:3])
        return torch.addcmul(self.bias[:, None], outputs, self.s[:, None])


@final
class _LayerNorm(nn.Module):
    """As above."""

    def __init__(self, one: nn.LayerNorm) -> None:
        super().__init__()
        self.weight, self.bias = one.weight, one.bias
        self._normed = partial(F.layer_norm, normalized_shape=one.normalized_shape, eps=one.eps)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = (t.view(len(t), *(1,) * (x.ndim - t.ndim), *t.shape[1:]) for t in (self.weight, self.bias))
        return torch.addcmul(bias, self._normed(x), weight)


def _layer_norm(one: nn.LayerNorm) -> nn.Module:
    has_both = one.elementwise_affine and one.bias is not None  # pyright: ignore[reportUnnecessaryComparison]  bias=False
    return _LayerNorm(one) if has_both else _Vectorized(one)


@final
class _Dropout(nn.Module):
    """Each network draws as its layer would on a CPU; torch cannot draw by several seeds of ours at once."""

    def __init__(self, one: nn.Dropout) -> None:
        super().__init__()
        self._of_torch = type(one) is nn.Dropout
        self.draws: tuple[
            tuple[Generator, int], ...
        ] = ()  # each network's generator, and the number of rows that draw from it

    def keep(self, kept: list[float]) -> None:
        """Each network's share of units that stay."""
        self._kept = kept
        self._limits = torch.tensor(list(map(dropout.limit, kept)), dtype=torch.int16)
        self._scales = torch.tensor(list(map(dropout.scale, kept)))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or min(self._kept) == 1:
            return x
        drawing = [(k, generator, count) for k, (generator, count) in enumerate(self.draws) if self._kept[k] < 1]
        if self._of_torch:
            mask = torch.ones_like(x)
            for k, generator, count in drawing:
                mask[k, :count].bernoulli_(self._kept[k], generator=generator).div_(self._kept[k])
            return x * mask
        units = x[0].numel()
        numbers = torch.zeros(
            len(x), dropout.needed(units), dtype=torch.int64
        )  # a network without dropout keeps all, as 0 is below its limit
        for k, generator, count in drawing:
            dropout.draw(numbers[k, : dropout.needed(units // x.shape[1] * count)], generator)
        limits, scales = (t[: len(x)].view(-1, *(1,) * (x.ndim - 1)) for t in (self._limits, self._scales))
        return x * dropout.mask(numbers.view(torch.int16)[:, :units], limits, scales, x)


JOINTS = (network.Joined, nn.ModuleList, nn.Sequential, sequences.Chain, mlp.ResidualBlock)
"""Modules that work unchanged with stacked parts."""

AS_THEY_ARE = (
    *(stems.Floats, nn.Identity, nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.ReLU6, nn.CELU),
    *(
        mlp.Fan,
        mlp.MemberHead,
        nn.Softplus,
        nn.Softsign,
        nn.Hardswish,
        nn.Hardtanh,
        nn.Hardsigmoid,
        nn.Sigmoid,
        nn.Tanh,
    ),
)
"""The same with one more leading dimension."""

# Batch statistics would include padding rows; torch vectorizes neither LSTM nor GRU; and a stack of convolutions takes
# as long as the same convolutions one after another.
FORMS: dict[type[nn.Module], Callable[..., nn.Module]] = {
    nn.Linear: _Linear,
    nn.LayerNorm: _layer_norm,
    mlp.MemberLinear: _MemberLinear,
    nn.Dropout: _Dropout,
    dropout.Dropout: _Dropout,
    **dict.fromkeys((nn.RMSNorm, normalizations.RMSNorm, activations.Softmax), _Vectorized),
    **dict.fromkeys((stems.Numbers, stems.Categories, stems.Dates, stems.Flat), _Vectorized),
}
