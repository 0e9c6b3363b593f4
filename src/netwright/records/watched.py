"""What was seen of a training while it ran: a bounded number of moments, however many steps it takes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LayerMoment:
    """One layer in one step. NaN where a number has no meaning for the layer."""

    gradient: float  # length of its weights' gradient, before clipping
    weight: float  # length of its weights
    update: float  # length of the step's change over the length of the weights
    mean: float  # of its outputs
    std: float  # of its outputs, over rows and units
    dead: float  # share of its units (channels) that are 0 on every row of the batch; of rectifying activations
    saturated: float  # share of its outputs in the flat parts; of sigmoid and tanh (gates of LSTM and GRU too)


@dataclass(frozen=True, slots=True)
class Moment:
    """One watched step."""

    step: int  # from 0
    loss: float  # mean over the batch
    lr: float
    gradient: float  # length of all gradients together, before clipping
    layers: tuple[LayerMoment, ...]  # in the order of `Watched.layers`


@dataclass(frozen=True, slots=True)
class Stretch:
    """The losses of some steps behind each other."""

    first: int  # step
    count: int
    mean: float
    least: float
    most: float


@dataclass(frozen=True)
class Watched:
    """What a recorder saw."""

    layers: tuple[str, ...] = ()  # qualified names of modules with weights and of activations, as they are first called
    kinds: tuple[str, ...] = ()  # the name of each one's class
    moments: tuple[Moment, ...] = ()
    losses: tuple[Stretch, ...] = ()  # of all steps
    steps: int = 0
    # Wiring, counted at every step that was looked at:
    looked: int = 0  # steps
    uncleared: int = 0  # of them with gradients left from before the last update
    evaluating: int = 0  # of them whose forward pass was made in evaluation mode
    without_gradient: tuple[str, ...] = ()  # parameters that never had a gradient
    never_updated: tuple[str, ...] = ()  # parameters with a gradient that no update ever changed
    not_in_optimizer: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()  # with requires_grad off
    accumulates: bool = False  # several backward passes for one update, as gradient accumulation does
