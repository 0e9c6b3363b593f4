"""Networks of five families as plain modules, and what can be wrong inside of them."""

import random
from collections.abc import Callable

import torch
from benchmarks.zoo.plans import Plan
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.models.normalizations import normalization
from netwright.records.schema import Signal

VECTORS = 0.1  # spread of words' first vectors; with torch's 1 reviews come to 0.68 right, with 0.1 to 0.75


class Exp(nn.Module):
    """An activation that grows without bound."""

    def forward(self, x: Tensor) -> Tensor:
        """e to the power of x."""
        return x.exp()


class Last(nn.Module):
    """A recurrent layer over (B, T, C): all its outputs, or the last one."""

    def __init__(self, layer: nn.Module, *, is_last: bool) -> None:
        super().__init__()
        self.layer, self.is_last = layer, is_last

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) or (B, C)."""
        out = self.layer(x)[0]
        return out[:, -1] if self.is_last else out


class Attention(nn.Module):
    """Pre-norm self-attention and a small dense part, over (B, T, C). Xiong et al. 2020, arXiv:2002.04745."""

    def __init__(self, width: int, activation: nn.Module, dropout: float) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.up, self.activation, self.down = nn.Linear(width, 2 * width), activation, nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C)."""
        h = self.before(x)
        x = x + self.dropout(self.attention(h, h, h, need_weights=False)[0])
        return x + self.dropout(self.down(self.activation(self.up(self.between(x)))))


class Positions(nn.Module):
    """Steps as vectors that know where they stand."""

    def __init__(self, channels: int, width: int, steps: int) -> None:
        super().__init__()
        self.lift = nn.Linear(channels, width)
        self.places = nn.Parameter(0.3 * torch.randn(steps, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) to (B, T, width)."""
        return self.lift(x) + self.places


class Mean(nn.Module):
    """The mean over steps, normalized."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) to (B, C)."""
        return self.norm(x.mean(1))


class Network(nn.Module):
    """Blocks, a last layer, and in the middle of the blocks what the plan puts there."""

    def __init__(self, blocks: list[nn.Module], last: nn.Linear, plan: Plan) -> None:
        super().__init__()
        self.blocks, self.last, self.plan = nn.ModuleList(blocks), last, plan
        self.end = getattr(nn, plan.end)() if plan.end not in ("", "Softmax") else None
        if plan.end == "Softmax":
            self.end = nn.Softmax(1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) to (B, outputs)."""
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number == (len(self.blocks) - 1) // 2 and self.plan.inside:
                x = INSIDE[self.plan.inside](x, self.plan.strength, self)
        x = self.last(x)
        return x if self.end is None else self.end(x)


# What stands between two blocks: (h, strength, network) -> h.


def detached(h: Tensor, _strength: float, _network: nn.Module) -> Tensor:
    """The blocks before get no gradient."""
    return h.detach()


def leaking(h: Tensor, strength: float, _network: nn.Module) -> Tensor:
    """Rows see the mean of their batch."""
    return h - strength * h.mean(0)


def mixed_axes(h: Tensor, _strength: float, _network: nn.Module) -> Tensor:
    """A view that was meant as a transpose: a row's numbers come from other rows."""
    return h.reshape(len(h), -1).T.reshape(h.shape) + h


def always_dropped(h: Tensor, strength: float, _network: nn.Module) -> Tensor:
    """Dropout that is not told of evaluation mode."""
    return F.dropout(h, strength)


def own_random(h: Tensor, strength: float, network: nn.Module) -> Tensor:
    """Noise that no seed of torch decides."""
    return h * random.uniform(1 - strength, 1 + strength) if network.training else h


def deaf(h: Tensor, _strength: float, _network: nn.Module) -> Tensor:
    """Nothing of the input goes on."""
    return torch.zeros_like(h)


def narrowed(h: Tensor, _strength: float, _network: nn.Module) -> Tensor:
    """Only the sum of all units goes on."""
    return torch.zeros_like(h) + h.mean(-1, keepdim=True)


INSIDE: dict[str, Callable[[Tensor, float, nn.Module], Tensor]] = {
    "detached": detached,
    "leaking": leaking,
    "mixed axes": mixed_axes,
    "always dropped": always_dropped,
    "own random": own_random,
    "deaf": deaf,
    "narrowed": narrowed,
}


def _activation(plan: Plan) -> nn.Module:
    if plan.activation in ("Exp", "Softmax"):
        return Exp() if plan.activation == "Exp" else nn.Softmax(-1)
    return getattr(nn, plan.activation)()


def dense(plan: Plan, shape: tuple[int, ...]) -> tuple[list[nn.Module], int]:
    """Linear layers."""
    blocks, width = list[nn.Module](), torch.Size(shape).numel()
    for number in range(plan.depth):
        parts: list[nn.Module] = [nn.Flatten()] if number == 0 else []
        parts.append(nn.Linear(width, plan.width))
        parts += [normalization(plan.norm, Signal("vector", plan.width))] if plan.norm else []
        parts.append(_activation(plan))
        parts += [nn.Dropout(plan.dropout)] if plan.dropout else []
        blocks.append(nn.Sequential(*parts))
        width = plan.width
    return blocks, width


def conv(plan: Plan, shape: tuple[int, ...]) -> tuple[list[nn.Module], int]:
    """3 x 3 convolutions on pictures, halved behind the first and flattened behind the last."""
    channels = max(4, plan.width // 4)
    high, wide = shape
    blocks: list[nn.Module] = []
    for number in range(plan.depth):
        parts: list[nn.Module] = [nn.Unflatten(1, (1, high))] if number == 0 else []
        parts.append(nn.Conv2d(1 if number == 0 else channels, channels, 3, padding=1))
        parts += [normalization(plan.norm, Signal("map", channels))] if plan.norm else []
        parts.append(_activation(plan))
        parts += [nn.MaxPool2d(2)] if number == 0 else []
        parts += [nn.Dropout(plan.dropout)] if plan.dropout else []
        parts += [nn.Flatten()] if number == plan.depth - 1 else []
        blocks.append(nn.Sequential(*parts))
    return blocks, channels * (high // 2) * (wide // 2)


def recurrent(kind: type[nn.LSTM] | type[nn.GRU]) -> Callable[[Plan, tuple[int, ...]], tuple[list[nn.Module], int]]:
    """Layers over the steps; the last one's last output goes on."""

    def build(plan: Plan, shape: tuple[int, ...]) -> tuple[list[nn.Module], int]:
        widths = [shape[-1], *[plan.width] * plan.depth]
        blocks: list[nn.Module] = [
            Last(kind(widths[k], plan.width, batch_first=True), is_last=k == plan.depth - 1) for k in range(plan.depth)
        ]
        blocks += [nn.Dropout(plan.dropout)] if plan.dropout else []
        return blocks, plan.width

    return build


def attention(plan: Plan, shape: tuple[int, ...]) -> tuple[list[nn.Module], int]:
    """Steps with their places, attention blocks, and their mean."""
    blocks: list[nn.Module] = [Positions(shape[-1], plan.width, shape[0])]
    blocks += [Attention(plan.width, _activation(plan), plan.dropout) for _ in range(plan.depth)]
    return [*blocks, Mean(plan.width)], plan.width


FAMILIES: dict[str, Callable[[Plan, tuple[int, ...]], tuple[list[nn.Module], int]]] = {
    "dense": dense,
    "conv": conv,
    "lstm": recurrent(nn.LSTM),
    "gru": recurrent(nn.GRU),
    "attention": attention,
}


def network(plan: Plan, x: Tensor, outputs: int) -> Network:
    """For inputs like all of x; whole numbers are words, and get vectors.

    First weights are He's for dense and convolution layers, torch's own for the others.
    """
    torch.manual_seed(plan.seed)
    shape = tuple(x.shape[1:])
    words = list[nn.Module]()
    if not x.is_floating_point():
        words.append(nn.Embedding(int(x.max()) + 1, plan.width))
        nn.init.normal_(words[0].weight, std=VECTORS)
    blocks, width = FAMILIES[plan.family](plan, (*shape, plan.width) if words else shape)
    made = Network([*words, *blocks], nn.Linear(width, outputs), plan)
    with torch.no_grad():
        for name, weight in made.blocks.named_parameters():
            if weight.ndim < 2 or "places" in name:
                if "bias" in name and plan.bias and not name.startswith("0."):
                    weight.fill_(plan.bias)
                continue
            if plan.family in ("dense", "conv"):
                nn.init.kaiming_normal_(weight, nonlinearity="tanh" if plan.activation == "Tanh" else "relu")
            if plan.uniform:
                weight.uniform_(-plan.uniform, plan.uniform)
            if plan.constant is not None:
                weight.fill_(plan.constant)
            weight *= plan.gain
        made.last.weight *= plan.last
    for block in list(made.blocks)[: plan.frozen]:
        block.requires_grad_(False)
    return made
