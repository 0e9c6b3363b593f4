"""What stands around a network: several side by side, noise that is averaged away, and modules that hide gradients."""

from collections.abc import Callable, Sequence
from functools import partial
from math import log
from typing import ClassVar, final

import torch
from torch import Generator, Tensor, nn

from netwright.machine.randomness import mixed
from netwright.models import GUARDS
from netwright.models.stem import Stem
from netwright.records.batch import Examples
from netwright.records.errors import RecipeError
from netwright.records.recipe import Recipe
from netwright.records.schema import Schema
from netwright.records.task import Task
from netwright.records.threat import Reach, Way
from netwright.resolve import resolve

LEVELS = 8  # of quantized inputs: few enough that a small change is usually rounded away
SPREAD = 0.1  # of the noise of `random`, as a share of each input's range: an answer seldom changes
# Noisy copies that are averaged for an answer: of 512 digits (spread 0.15), 510 get the answer that 400 copies give,
# and 511 with 16. A certificate takes a thousand.
COPIES = 8
KEPT_BYTES = 1 << 26  # of weights that a network starts at, so that they are not fitted again


def network_of(task: Task, schema: Schema, recipe: Recipe, train: Examples | None = None) -> nn.Module:
    """The network for this data, with all that the recipe puts around it; with training rows as the task starts it.

    Raises RecipeError for several networks if the task cannot average answers, and for guards or smoothing if no input
    has values that can move.
    """
    network = task.network(schema, recipe) if recipe.ensemble == 1 else _side_by_side(task, schema, recipe)
    if train is not None and len(train):
        task.start(network, train)
    if not recipe.guard and not recipe.smoothing:
        return network
    ways = tuple(block.way(Reach(is_share=True)) for block in schema.blocks)
    if not any(way.moves for way in ways):
        raise RecipeError(
            "guard and smoothing change numbers, pictures or series, and no input is one",
            remedy="set guard to none and smoothing to 0.",
        )
    for name in recipe.guard:
        network = resolve("guard", name, GUARDS)(network, ways)
    return Smoothed(network, ways, recipe.smoothing, is_softmax=task.link == "softmax") if recipe.smoothing else network


def builder(task: Task, schema: Schema, recipe: Recipe, train: Examples) -> Callable[[], nn.Module]:
    """`network_of` to call again and again: what the task starts at is fitted once, unless it is too large to keep."""
    if not task.starts_at_fit:
        return partial(network_of, task, schema, recipe, train)
    first = dict[str, Tensor]()

    def build() -> nn.Module:
        network = network_of(task, schema, recipe, None if first else train)
        if first:
            network.load_state_dict(first)
        elif sum(x.nbytes for x in network.state_dict().values()) <= KEPT_BYTES:
            first.update({name: x.detach().clone() for name, x in network.state_dict().items()})
        return network

    return build


def _side_by_side(task: Task, schema: Schema, recipe: Recipe) -> nn.Module:
    if not task.link:
        raise RecipeError(
            f"ensemble={recipe.ensemble} averages one answer for each row, which {task.describe()} does not have",
            remedy="set ensemble to 1.",
        )
    seeds = [recipe.seed, *(mixed(recipe.seed + number) % 2**31 for number in range(1, recipe.ensemble))]
    return Ensemble([task.network(schema, recipe.edit({"seed": seed, "ensemble": 1})) for seed in seeds])


@final
class Ensemble(nn.Module):
    """Networks that learn the same rows from other weights; the first is what the recipe alone would give.

    Answers are the mean of the logits: the geometric mean of the probabilities. So an attack gets a gradient from each
    network, also from one that is sure. Lakshminarayanan et al. 2016, arXiv:1612.01474, average probabilities.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    @property
    def stems(self) -> list[Stem]:
        """One for each input: its vectors are those of all networks, one after the other."""
        together = zip(*(stems_of(network) for network in self.networks), strict=True)
        return [(_Sequences if some[0].is_sequence else _Rows)(some) for some in together]

    def forward(self, *tensors: Tensor) -> Tensor:
        """(B, networks, K), or with members in each (B, networks * members, K), in training; else (B, K)."""
        stems, count = stems_of(self.networks[0]), len(self.networks)
        parts = list(zip(*(_parts(stem, x, count) for stem, x in zip(stems, tensors, strict=False)), strict=True))
        lengths = tensors[len(stems) :]
        outputs = [network(*part, *lengths) for network, part in zip(self.networks, parts, strict=True)]
        if not self.training:
            return torch.stack(outputs).mean(0)
        return torch.cat([one if one.ndim == 3 else one[:, None] for one in outputs], 1)


def stems_of(network: nn.Module) -> Sequence[Stem]:
    """The first modules of a network that netwright built."""
    stems: Sequence[Stem] = network.stems  # pyright: ignore[reportAssignmentType]  torch says: a tensor or a module
    return stems


def _looks_up(stem: Stem) -> bool:
    """Whether it takes indexes, whose vectors each network has of its own."""
    return type(stem).lookup is not Stem.lookup


def _parts(stem: Stem, x: Tensor, count: int) -> Sequence[Tensor]:
    """An input for each network: its own vectors, if they were looked up before."""
    return x.chunk(count, -1) if _looks_up(stem) and x.is_floating_point() else [x] * count


def _together(stems: Sequence[Stem], x: Tensor) -> Tensor:
    if x.is_floating_point() or not _looks_up(stems[0]):
        return stems[0].lookup(x)
    return torch.cat([stem.lookup(x) for stem in stems], -1)


@final
class _Rows(Stem):
    """Stems of several networks, which take the same input."""

    def __init__(self, stems: Sequence[Stem]) -> None:
        super().__init__()
        self.each = nn.ModuleList(stems)

    def lookup(self, x: Tensor) -> Tensor:
        """(..., networks * width), or the same values for anything but indexes."""
        return _together([*self.each], x)  # pyright: ignore[reportArgumentType]  all are stems


@final
class _Sequences(Stem):
    """The same for sequences."""

    is_sequence: ClassVar[bool] = True

    def __init__(self, stems: Sequence[Stem]) -> None:
        super().__init__()
        self.each = nn.ModuleList(stems)
        self._first = [stems[0]]

    def lookup(self, x: Tensor) -> Tensor:
        """(B, T, networks * width), or the same values for anything but indexes."""
        return _together([*self.each], x)  # pyright: ignore[reportArgumentType]  all are stems

    def lengths(self, x: Tensor) -> Tensor:
        """(B,), as each network finds them."""
        return self._first[0].lengths(x)


@final
class Smoothed(nn.Module):
    """In evaluation the mean answer for some noisy copies of the inputs; in training the network.

    The noise is Gaussian and the same for each row and each call, so that answers depend on their row alone. The mean
    is of probabilities if outputs are logits of classes, else of outputs. Cohen et al. 2019, arXiv:1902.02918, of
    which `defenses.certificate` has the other half.
    """

    def __init__(self, network: nn.Module, ways: Sequence[Way], spread: float, *, is_softmax: bool) -> None:
        super().__init__()
        self.network, self.ways, self.spread, self.is_softmax = network, tuple(ways), spread, is_softmax

    @property
    def stems(self) -> Sequence[Stem]:
        """Those of the network inside."""
        return stems_of(self.network)

    def forward(self, *tensors: Tensor) -> Tensor:
        """What the network gives; for classes, logarithms of probabilities."""
        if self.training:
            return self.network(*tensors)
        generator = torch.Generator().manual_seed(0)
        count = len(self.ways)
        copies = [
            self.network(*noised(tensors[:count], self.ways, self.spread, generator, is_shared=True), *tensors[count:])
            for _ in range(COPIES)
        ]
        outputs = torch.stack(copies)
        if self.is_softmax:
            return outputs.float().log_softmax(-1).logsumexp(0) - log(COPIES)
        return outputs.mean(0)


def noised(
    inputs: Sequence[Tensor], ways: Sequence[Way], size: float, generator: Generator, *, is_shared: bool = False
) -> list[Tensor]:
    """The inputs with Gaussian noise in each value that can move, its spread `size` units; `is_shared` by all rows.

    Whole numbers do not stay whole, and values may leave their range. Missing values stay missing.
    """
    return [_noised(x, way, size, generator, is_shared) for x, way in zip(inputs, ways, strict=True)]


def _noised(x: Tensor, way: Way, size: float, generator: Generator, is_shared: bool) -> Tensor:
    if way.unit is None or not way.moves:
        return x
    x = _as_floats(x)
    shape = (1, *x.shape[1:]) if is_shared else x.shape
    return x + size * way.unit.to(x) * torch.randn(shape, generator=generator).to(x)


def _as_floats(x: Tensor) -> Tensor:
    return x if x.is_floating_point() else x.to(torch.get_default_dtype())


@final
class Guarded(nn.Module):
    """A network behind a change of its inputs."""

    def __init__(self, network: nn.Module, ways: Sequence[Way], change: Callable[[Tensor, Way], Tensor]) -> None:
        super().__init__()
        self.network, self.ways, self.change = network, tuple(ways), change

    @property
    def stems(self) -> Sequence[Stem]:
        """Those of the network inside."""
        return stems_of(self.network)

    def forward(self, *tensors: Tensor) -> Tensor:
        """What the network gives for changed inputs; those that cannot move a little stay as they are."""
        pairs = zip(tensors, self.ways, strict=False)
        inputs = [self.change(x, way) if way.moves else x for x, way in pairs]
        return self.network(*inputs, *tensors[len(self.ways) :])


def quantize(network: nn.Module, ways: Sequence[Way]) -> nn.Module:
    """Values rounded to LEVELS levels between their bounds: a step has no gradient, and is there all the same.

    Buckman et al. 2018, "Thermometer encoding"; broken by Athalye, Carlini and Wagner 2018, arXiv:1802.00420.
    """
    return Guarded(network, ways, _quantized)


def random(network: nn.Module, ways: Sequence[Way]) -> nn.Module:
    """Noise on the inputs, other for each answer: an attack needs only to average over it.

    The spread is SPREAD of the range. Xie et al. 2017, arXiv:1711.01991; broken as above.
    """
    return Guarded(network, ways, _shaken)


def no_gradient(network: nn.Module, ways: Sequence[Way]) -> nn.Module:
    """Inputs without a gradient: the plainest way to look robust. Papernot et al. 2016, arXiv:1602.02697, attack such
    networks through another that was trained on their answers.
    """
    return Guarded(network, ways, _without_gradient)


def _quantized(x: Tensor, way: Way) -> Tensor:
    x, unit = _as_floats(x).detach(), torch.as_tensor(way.unit).to(x.device)
    low = torch.as_tensor(way.low).to(x)
    levels = ((x - low) / unit * (LEVELS - 1)).round() / (LEVELS - 1)
    return torch.where(unit > 0, low + levels * unit, x)


def _shaken(x: Tensor, way: Way) -> Tensor:
    return _noised(x, way, SPREAD, torch.default_generator, False)


def _without_gradient(x: Tensor, way: Way) -> Tensor:
    return _as_floats(x).detach()
