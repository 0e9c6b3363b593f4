"""From columns to a network: a stem for each input, a trunk, a head."""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from netwright.machine.randomness import seeded
from netwright.models import BACKBONES, CAUSAL_BACKBONES, DENSE_BACKBONES
from netwright.models.forms import Misfit
from netwright.models.inits import HEAD_SCALE, initialize
from netwright.models.mlp import head
from netwright.models.pooling import pooled
from netwright.models.sequences import Chain
from netwright.models.stack import stack
from netwright.models.stem import Stem, arguments
from netwright.records.errors import RecipeError, listed
from netwright.records.recipe import Recipe
from netwright.records.schema import Block, Form, Schema, Signal
from netwright.resolve import resolve

DEFAULTS: dict[Form, str] = {"vector": "mlp", "map": "convnet", "sequence": "convnet1d"}
CAUSAL_DEFAULT = "transformer"


def joined(schema: Schema, recipe: Recipe, outputs: int) -> nn.Module:
    """A network for whole examples: (B, outputs), or (B, members, outputs) in training with `members` above 1.

    Each map or sequence goes through a backbone (`recipe.backbone` if it suits the form, else the form's default) and
    is pooled to a vector. The concatenated vectors go through a perceptron; a single map or sequence goes directly to
    the head. `recipe.layers` replaces the backbone of a single input, or the perceptron of several. Only the seed
    decides the weights; torch's generator is unchanged.

    Raises RecipeError for a backbone that suits no input, layers that do not fit, `members` without a perceptron, or
    `mirror` without an image.
    """
    with seeded(recipe.seed):
        stems = [block.stem(recipe) for block in schema.blocks]
        signals = [signal for _, signal in stems]
        bodies, trunk = _trunk(signals, recipe)
        branches = [Chain(stem, body) for (stem, _), body in zip(stems, bodies, strict=True)]
        if recipe.mirror:
            branches = _mirrored(branches, signals)
        return channels_last(Joined(branches, trunk[0], head(trunk[1].width, outputs, recipe)))


def branch(block: Block, recipe: Recipe) -> tuple[Chain, int]:
    """A block's stem and body, which turn its tensor into a vector, and the vector's width."""
    stem, signal = block.stem(recipe)
    body, after = _body(signal, recipe, [])
    return Chain(stem, body), after.width


def dense(schema: Schema, recipe: Recipe, outputs: int, *, causal: bool = False) -> nn.Module:
    """A network with an answer for each pixel or step: (B, outputs, H, W) or (B, T, outputs).

    T is that of the batch. With `causal`, a step's answer depends on no later step. Takes one input column; raises
    RecipeError for several, for a table, and for a backbone or layers that cannot do it.
    """
    if len(schema.blocks) != 1:
        names = listed([block.name for block in schema.blocks])
        raise RecipeError(
            f"an answer for each pixel or step needs one input column, not {len(schema.blocks)}: {names}",
            remedy="keep one input column.",
        )
    if recipe.mirror:
        raise RecipeError(
            "mirror=true needs one answer per image, not one per pixel or step", remedy="set mirror to false."
        )
    with seeded(recipe.seed):
        stem, signal = schema.blocks[0].stem(recipe)
        body, after = _dense_body(signal, recipe, causal=causal)
        return channels_last(Dense(stem, body, _dense_head(after, outputs)))


def channels_last(network: nn.Module) -> nn.Module:
    """The network with the weights of its convolutions in their fastest memory layout.

    A map of one channel has both layouts at once, so the weights decide: 1.4 times as fast on a CPU in bf16.
    """
    return network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  torch's stub lacks it


@final
class Joined(nn.Module):
    """Branches, each a Chain of stem and body that returns a vector; a trunk for their concatenation; a head."""

    def __init__(self, branches: Sequence[nn.Module], trunk: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.trunk = trunk
        self.head = head

    @property
    def stems(self) -> list[Stem]:
        """The first module of each branch."""
        return [_stem(branch.branch if isinstance(branch, Mirrored) else branch) for branch in self.branches]

    def forward(self, *tensors: Tensor) -> Tensor:
        """One tensor for each block of the schema, in order, then the lengths of the sequences."""
        pairs = zip(self.branches, arguments(self.stems, tensors), strict=True)
        features = [branch(*some) for branch, some in pairs]
        return self.head(self.trunk(features[0] if len(features) == 1 else torch.cat(features, dim=1)))


@final
class Mirrored(nn.Module):
    """In evaluation the mean of a branch's outputs for images and their mirror images; in training the branch.

    With a linear head that is the mean of the answers, as in Krizhevsky, Sutskever and Hinton 2012.
    """

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, width)."""
        features = self.branch(x)
        return features if self.training else (features + self.branch(x.flip(-1))) / 2


def _stem(chain: nn.Module) -> Stem:
    first = next(chain.children())
    if not isinstance(first, Stem):
        raise TypeError(f"{type(first).__name__} is not a Stem: the kind's `stem` must return one")
    return first


def looked_up(network: "Joined | Dense", *tensors: Tensor) -> tuple[Tensor, ...]:
    """A network's arguments, with indexes replaced by their vectors: `network(*looked_up(network, *tensors))`.

    The answers are the same, and all inputs are floats, so they have gradients. Lengths come after them.
    """
    stems = network.stems
    found = arguments(stems, tensors)
    return (
        *(s.lookup(some[0]) for s, some in zip(stems, found, strict=True)),
        *(n for some in found for n in some[1:]),
    )


def _mirrored(branches: Sequence[nn.Module], signals: Sequence[Signal]) -> list[nn.Module]:
    if all(signal.form != "map" for signal in signals):
        raise RecipeError("mirror=true needs an image, and no input is one", remedy="set mirror to false.")
    pairs = zip(branches, signals, strict=True)
    return [Mirrored(branch) if signal.form == "map" else branch for branch, signal in pairs]


@final
class Dense(nn.Module):
    """A Chain of stem and body, and a head for each of its pixels or steps."""

    def __init__(self, stem: nn.Module, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body = Chain(stem, body)
        self.head = head

    @property
    def stems(self) -> list[Stem]:
        """The first module, in a tuple as in `Joined`."""
        return [_stem(self.body)]

    def forward(self, *tensors: Tensor) -> Tensor:
        """A map, or a sequence and its lengths."""
        features = self.body(*arguments(self.stems, tensors)[0])
        return self.head(features[0] if isinstance(features, tuple) else features)  # a sequence comes with lengths


def _trunk(signals: Sequence[Signal], recipe: Recipe) -> tuple[list[nn.Module], tuple[nn.Module, Signal]]:
    """A body for each signal, which turns it into a vector, and the trunk for all these vectors."""
    is_lone = len(signals) == 1
    misfits: list[Misfit] = []
    if is_lone and recipe.layers:
        bodies = [pooled(*stack(recipe.layers, signals[0], recipe))]
    else:
        bodies = [_body(signal, recipe, misfits) for signal in signals]
    width = Signal("vector", sum(signal.width for _, signal in bodies))
    if is_lone and (recipe.layers or signals[0].form != "vector"):
        trunk = nn.Identity(), width
        _refuse_members(recipe)
    elif recipe.layers:
        trunk = stack(recipe.layers, width, recipe)
        _refuse_members(recipe)
    else:
        trunk = _suited(width, recipe, misfits)
    if misfits and (is_lone or len(misfits) == 1 + sum(s.form != "vector" for s in signals)):
        raise misfits[0]
    return [body for body, _ in bodies], trunk


def _body(signal: Signal, recipe: Recipe, misfits: list[Misfit]) -> tuple[nn.Module, Signal]:
    if signal.form == "vector":
        return nn.Identity(), signal
    return pooled(*_suited(signal, recipe, misfits))


def _suited(signal: Signal, recipe: Recipe, misfits: list[Misfit]) -> tuple[nn.Module, Signal]:
    """The recipe's backbone, or the form's default if it does not fit; then `misfits` records why."""
    if recipe.backbone != "auto":
        try:
            return resolve("backbone", recipe.backbone, BACKBONES)(signal, recipe)
        except Misfit as misfit:
            misfits.append(misfit)
    return resolve("backbone", DEFAULTS[signal.form], BACKBONES)(signal, recipe)


def _refuse_members(recipe: Recipe) -> None:
    if recipe.members > 1:
        raise RecipeError(
            f"members={recipe.members} needs an mlp trunk, but this network has none",
            remedy="set members to 1, or backbone to mlp and layers to none.",
        )


def _dense_body(signal: Signal, recipe: Recipe, *, causal: bool) -> tuple[nn.Module, Signal]:
    if signal.form == "vector":
        raise RecipeError(
            f"a {signal} has no pixels or steps to answer for",
            remedy="choose an image, text or series column as input.",
        )
    _refuse_members(recipe)
    if recipe.layers and causal:
        raise RecipeError("layers may see later steps, which this task forbids", remedy="set a backbone, not layers.")
    if recipe.layers:
        body, after = stack(recipe.layers, signal, recipe)
        name = "layers"
    else:
        table = CAUSAL_BACKBONES if causal else DENSE_BACKBONES
        name = (CAUSAL_DEFAULT if causal else DEFAULTS[signal.form]) if recipe.backbone == "auto" else recipe.backbone
        if name in BACKBONES and name not in table:
            what = "sees later steps" if causal and name in DENSE_BACKBONES else "has no answer for each pixel or step"
            raise RecipeError(f"backbone {name!r} {what}", remedy=f"choose from {listed(sorted(table))}.")
        body, after = resolve("backbone", name, table)(signal, recipe)
        name = f"backbone {name!r}"
    if (after.form, after.size) != (signal.form, signal.size):
        raise RecipeError(
            f"{name} turns a {signal} into a {after}, but each pixel or step needs an answer",
            remedy="leave out pooling, flattening and strides.",
        )
    return body, after


def _dense_head(signal: Signal, outputs: int) -> nn.Module:
    """A small linear layer for each pixel or step."""
    layer = nn.Conv2d(signal.width, outputs, 1) if signal.form == "map" else nn.Linear(signal.width, outputs)
    initialize(layer, "lecun", "identity", scale=HEAD_SCALE)
    return layer
