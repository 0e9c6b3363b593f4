"""What was recorded during training: a bounded number of moments, however many steps it takes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class LayerMoment:
    """One layer in one step. NaN if a number has no meaning for the layer."""

    gradient: float  # norm of its weights' gradient, before clipping
    weight: float  # norm of its weights
    update: float  # norm of the step's change over the norm of the weights
    mean: float  # of its outputs
    std: float  # of its outputs, over rows and units
    dead: float  # share of units (channels) that are 0 on every row of the batch; for rectifying activations
    saturated: float  # share of outputs in the flat parts; for sigmoid and tanh (gates of LSTM and GRU too)


@dataclass(frozen=True, slots=True)
class Moment:
    """One watched step."""

    step: int  # from 0
    loss: float  # mean over the batch
    lr: float
    gradient: float  # norm of all gradients together, before clipping
    layers: tuple[LayerMoment, ...]  # in the order of `Watched.layers`


@dataclass(frozen=True, slots=True)
class Stretch:
    """The losses, or the learning rates, of consecutive steps."""

    first: int  # step
    count: int
    mean: float
    least: float
    most: float


@dataclass(frozen=True)
class Watched:
    """What a recorder saw."""

    layers: tuple[str, ...] = ()  # qualified names of modules with weights and of activations, in order of first call
    kinds: tuple[str, ...] = ()  # the name of each one's class
    moments: tuple[Moment, ...] = ()
    losses: tuple[Stretch, ...] = ()  # of all steps
    rates: tuple[Stretch, ...] = ()  # learning rates of all steps; empty if they were not watched
    steps: int = 0
    evaluating: int = 0  # of all steps, with the network in evaluation mode
    evaluating_from: int = 0  # the first of them
    # Wiring, counted at every step that was examined:
    looked: int = 0  # steps
    uncleared: int = 0  # of them with gradients left from before the last update
    emptied: int = 0  # of them with gradients that were cleared after the backward pass and before the update
    passes: int = 0  # backward passes in them
    discarded: int = 0  # of these passes, with gradients that were cleared by the next one
    without_gradient: tuple[str, ...] = ()  # parameters that never had a gradient
    never_updated: tuple[str, ...] = ()  # parameters with a gradient that no update ever changed
    not_in_optimizer: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()  # with requires_grad off
    repeated: tuple[
        tuple[int, ...], ...
    ] = ()  # shapes of outputs, and of what the loss made of them: (64, 1), (64, 64)
    accumulates: bool = False  # several backward passes for one update, as gradient accumulation does


@final
@dataclass(frozen=True, eq=False)
class Pass:
    """One watched pass of an engineer's own loop. Its tensors are not copied."""

    step: int
    inputs: tuple[Any, ...]  # Any: what the loop gives to the network
    targets: tuple[Tensor, ...]  # that its loss was computed from; empty if torch's graph does not keep them
    loss: Tensor | None  # that the backward pass began from
    is_evaluating: bool


@final
@dataclass(frozen=True, eq=False)
class Loop:
    """An engineer's own loop, as far as a replay of its first steps needs to know it."""

    passes: tuple[Pass, ...]  # the first, the one after `early_steps` steps, and the latest
    early: Callable[[], nn.Module] | None  # makes the network as it was after `early_steps` steps; None if unknown
    early_steps: int
    # Its own kind at any learning rate; None if it had several, or one that needs a closure. Any: an UpdateRule.
    optimizer: Callable[[nn.Module, float], Any] | None
    is_in_recipe: bool  # the recipe has this kind too
    knows_first: bool  # the initial weights are known
