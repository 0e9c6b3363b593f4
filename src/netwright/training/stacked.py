"""Networks of one build as one function: their weights are rows of a matrix, their layers batched products."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

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

    The weights stand in one row for each network, those that decay in front: `heavy` counts them. What is no trainable
    weight stays as it is in the networks.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        self.template = networks[0]
        trained = {name: p for name, p in self.template.named_parameters() if p.requires_grad}
        matrices = decayed(self.template)
        self._names = [*matrices, *(name for name in trained if name not in matrices)]
        self._shapes = [trained[name].shape for name in self._names]
        self._sizes = [trained[name].numel() for name in self._names]
        self._matrices = list(matrices)
        self.heavy = sum(matrix.numel() for matrix in matrices.values())
        every = [_tensors(one) for one in networks]
        self._constants = {
            name: torch.stack([tensors[name] for tensors in every])
            for name, tensor in every[0].items()
            if name not in trained and tensor.is_floating_point()
        }
        self._shares = {
            name: _Shares([1 - _dropped(one.get_submodule(name)) for one in networks])
            for name, module in self.template.named_modules()
            if isinstance(module, nn.Dropout)
        }

    def weights(self, networks: Sequence[nn.Module]) -> Tensor:
        """(K, weights): a copy of what is trained."""
        every = [dict(one.named_parameters()) for one in networks]
        rows = [torch.cat([parameters[name].detach().flatten() for name in self._names]) for parameters in every]
        return torch.stack(rows)

    def put(self, row: Tensor, into: nn.Module) -> None:
        """Writes one network's weights into it."""
        parameters = dict(into.named_parameters())
        with torch.no_grad():
            for name, part in zip(self._names, row.split(self._sizes), strict=True):
                parameters[name].copy_(part.view_as(parameters[name]))

    def parts(self, rows: Tensor) -> dict[str, Tensor]:
        """What stands in rows of weights by name, (len(rows), *shape) each, in the rows' own memory."""
        split = zip(self._names, rows.split(self._sizes, 1), self._shapes, strict=True)
        return {name: part.view(len(rows), *shape) for name, part, shape in split}

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
        """Outputs of the networks whose weights are given, the first of all. With `generators`, one for each, they
        train: dropout draws from them as it would in a network alone, for the first `counts` rows of each.
        """
        constants = {name: tensor[: len(inputs[0])] for name, tensor in self._constants.items()}
        return _Pass(parts | constants, self._shares, generators, counts).through(self.template, "", *inputs)


def structure(one: nn.Module) -> Structure:
    """What networks have in common that one function can stand for: layers, sizes and whole numbers.

    Weights and other floats may differ, and so may shares of dropout.
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
    """Why a network has no stacked form, or nothing."""
    # Names stand for layers and weights here, and torch names what is used twice once.
    for every, kinds in ((one.named_modules, "layers"), (one.named_parameters, "weights")):
        if sum(1 for _ in every(remove_duplicate=False)) > sum(1 for _ in every()):
            return f"{kinds} are used twice"
    return _unknown_layer(one)


def _unknown_layer(module: nn.Module) -> str:
    form = FORMS.get(type(module))
    if form is None:
        return f"{type(module).__name__} has no stacked form"
    return "" if form is _mapped else next(filter(None, map(_unknown_layer, module.children())), "")


def _tensors(one: nn.Module) -> dict[str, Tensor]:
    return {**dict(one.named_parameters()), **dict(one.named_buffers())}


def _dropped(module: nn.Module) -> float:
    return module.p if isinstance(module, nn.Dropout) else 0.0


@final
@dataclass(frozen=True)
class _Pass:
    """One way through the networks: their tensors (K, ...) by name, and what dropout needs while they train."""

    tensors: dict[str, Tensor]
    shares: dict[str, "_Shares"]  # by dropout layer
    generators: Sequence[Generator]
    counts: Sequence[int]

    def through(self, module: nn.Module, name: str, *inputs: Tensor) -> Tensor:
        """A module's outputs for each network."""
        return FORMS[type(module)](self, module, name, *inputs)

    def own(self, name: str, part: str, x: Tensor) -> Tensor:
        """A tensor of the module, shaped to stand beside each row of x."""
        tensor = self.tensors[_joined(name, part)]
        return tensor.view(len(tensor), *(1,) * (x.ndim - tensor.ndim), *tensor.shape[1:])

    def below(self, name: str) -> dict[str, Tensor]:
        """The tensors of a module and its children, by the names that they have there."""
        front = f"{name}." if name else ""
        return {key[len(front) :]: tensor for key, tensor in self.tensors.items() if key.startswith(front)}


def _joined(name: str, part: str) -> str:
    return f"{name}.{part}" if name else part


# Forms: (pass, module, its name, inputs (K, B, ...)) -> (K, B, ...).


def _mapped(p: _Pass, module: nn.Module, name: str, *inputs: Tensor) -> Tensor:
    """The module's own forward, vectorized by torch: for what neither draws nor depends on its mode."""

    def one(tensors: dict[str, Tensor], *x: Tensor) -> Tensor:
        return functional_call(module, tensors, x)

    return vmap(one)(p.below(name), *inputs)


def _as_it_is(p: _Pass, module: nn.Module, name: str, x: Tensor) -> Tensor:
    """Elementwise without weights: the same for any shape."""
    return module(x)


def _one_after_another(p: _Pass, module: nn.Module, name: str, x: Tensor) -> Tensor:
    for part, child in module.named_children():
        x = p.through(child, _joined(name, part), x)
    return x


def _joined_network(p: _Pass, module: network.Joined, name: str, *inputs: Tensor) -> Tensor:
    x = p.through(module.branches, _joined(name, "branches"), *inputs)
    return p.through(module.head, _joined(name, "head"), p.through(module.trunk, _joined(name, "trunk"), x))


def _side_by_side(p: _Pass, module: nn.ModuleList, name: str, *inputs: Tensor) -> Tensor:
    """The branches of `Joined`, one for each input."""
    branches = zip(module.named_children(), inputs, strict=True)
    features = [p.through(branch, _joined(name, part), x) for (part, branch), x in branches]
    return features[0] if len(features) == 1 else torch.cat(features, dim=2)


def _linear(p: _Pass, module: nn.Linear, name: str, x: Tensor) -> Tensor:
    if x.ndim > 3:
        return _linear(p, module, name, x.flatten(1, -2)).unflatten(1, x.shape[1:-1])
    weight = p.tensors[_joined(name, "weight")].mT
    if module.bias is None:  # pyright: ignore[reportUnnecessaryComparison]  # Linear(bias=False) has none
        return torch.bmm(x, weight)
    return torch.baddbmm(p.tensors[_joined(name, "bias")][:, None], x, weight)


@final
class _Shares:
    """The share of units that each network keeps in a dropout layer."""

    def __init__(self, kept: list[float]) -> None:
        self.kept = kept
        self.means = torch.tensor(kept)
        self.limits = torch.tensor(list(map(dropout.limit, kept)), dtype=torch.int16)
        self.scales = torch.tensor(list(map(dropout.scale, kept)))


def _dropout(p: _Pass, module: nn.Dropout, name: str, x: Tensor) -> Tensor:
    """Each network's own draws, as torch's dropout on a CPU makes them: Bernoulli, then divided by its mean."""
    shares = p.shares[name]
    if not p.generators or min(shares.kept) == 1:
        return x
    mask = torch.ones_like(x)
    for row, kept, generator, count in zip(mask.unbind(), shares.kept, p.generators, p.counts, strict=False):
        if kept < 1:
            row[:count].bernoulli_(kept, generator=generator)
    return x * mask.div_(_beside(shares.means, x))


def _own_dropout(p: _Pass, module: dropout.Dropout, name: str, x: Tensor) -> Tensor:
    """Each network's own draws, as the module makes them."""
    shares = p.shares[name]
    if not p.generators or min(shares.kept) == 1:
        return x
    units = x[0].numel()
    most = dropout.needed(units)
    numbers = torch.zeros(len(x), most, dtype=torch.int64)  # 0 is below the limit of who keeps all
    for row, kept, generator, count in zip(numbers.unbind(), shares.kept, p.generators, p.counts, strict=False):
        if kept < 1:
            few = dropout.needed(units // x.shape[1] * count)
            dropout.draw(row if few == most else row[:few], generator)
    draws = numbers.view(torch.int16)[:, :units]
    return x * dropout.mask(draws, _beside(shares.limits, x), _beside(shares.scales, x), x)


def _beside(numbers: Tensor, x: Tensor) -> Tensor:
    """One of the numbers for each network, shaped to stand beside x."""
    return numbers[: len(x)].view(-1, *(1,) * (x.ndim - 1))


def _layer_norm(p: _Pass, module: nn.LayerNorm, name: str, x: Tensor) -> Tensor:
    if not module.elementwise_affine or module.bias is None:  # pyright: ignore[reportUnnecessaryComparison]  # bias=False
        return _mapped(p, module, name, x)
    normed = F.layer_norm(x, module.normalized_shape, None, None, module.eps)
    return torch.addcmul(p.own(name, "bias", x), normed, p.own(name, "weight", x))


def _residual(p: _Pass, module: mlp.ResidualBlock, name: str, x: Tensor) -> Tensor:
    return torch.add(x, p.through(module.body, _joined(name, "body"), x), alpha=module.scale)


def _fan(p: _Pass, module: mlp.Fan, name: str, x: Tensor) -> Tensor:
    return x[:, :, None].expand(-1, -1, module.members, -1)


def _member_linear(p: _Pass, module: mlp.MemberLinear, name: str, x: Tensor) -> Tensor:
    rows = (x * p.own(name, "r", x)).flatten(1, 2)
    out = torch.bmm(rows, p.tensors[_joined(name, "weight")].mT).unflatten(1, x.shape[1:3])
    return torch.addcmul(p.own(name, "bias", x), out, p.own(name, "s", x))


def _member_head(p: _Pass, module: mlp.MemberHead, name: str, x: Tensor) -> Tensor:
    outputs = torch.einsum("kbmw,kmwo->kbmo", x, p.tensors[_joined(name, "weight")]) + p.own(name, "bias", x)
    return outputs if p.generators else outputs.mean(2)


FORMS: dict[type[nn.Module], Callable[..., Tensor]] = {
    network.Joined: _joined_network,
    nn.ModuleList: _side_by_side,
    sequences.Chain: _one_after_another,
    nn.Sequential: _one_after_another,
    mlp.ResidualBlock: _residual,
    mlp.Fan: _fan,
    mlp.MemberLinear: _member_linear,
    mlp.MemberHead: _member_head,
    nn.Linear: _linear,
    nn.Dropout: _dropout,
    dropout.Dropout: _own_dropout,
    nn.LayerNorm: _layer_norm,
    nn.RMSNorm: _mapped,
    normalizations.RMSNorm: _mapped,
    stems.Numbers: _mapped,
    stems.Categories: _mapped,
    stems.Dates: _mapped,
    stems.Floats: _as_it_is,
    stems.Flat: _mapped,
    activations.Softmax: _mapped,
    nn.Identity: _as_it_is,
    nn.ReLU: _as_it_is,
    nn.LeakyReLU: _as_it_is,
    nn.ELU: _as_it_is,
    nn.SELU: _as_it_is,
    nn.GELU: _as_it_is,
    nn.SiLU: _as_it_is,
    nn.Mish: _as_it_is,
    nn.ReLU6: _as_it_is,
    nn.CELU: _as_it_is,
    nn.Softplus: _as_it_is,
    nn.Softsign: _as_it_is,
    nn.Hardswish: _as_it_is,
    nn.Hardtanh: _as_it_is,
    nn.Hardsigmoid: _as_it_is,
    nn.Sigmoid: _as_it_is,
    nn.Tanh: _as_it_is,
}
