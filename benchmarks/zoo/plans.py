"""A training written down: every number of it, so that a fault is a change of a few of them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

Changes = Mapping[str, Any]
"""Fields of a Plan, and settings of the Recipe."""


@dataclass(frozen=True)
class Plan:
    """What is built, from which data, and how it is trained. The same plan gives the same training, bit for bit."""

    family: str  # a key of networks.FAMILIES
    data: str  # a key of data.DATA, or of data.PUBLIC
    seed: int
    folder: str = ""  # where the files of PUBLIC are
    # The network.
    depth: int = 2
    width: int = 48
    activation: str = "ReLU"  # of torch.nn, or Exp
    norm: str = ""  # "batch"
    dropout: float = 0.0
    gain: float = 1.0  # on the first weights of hidden layers
    bias: float = 0.0  # of hidden layers
    constant: float | None = None  # all hidden first weights
    uniform: float = 0.0  # hidden first weights are drawn from [-uniform, uniform]
    last: float = 1.0  # on the first weights of the last layer
    end: str = ""  # a module of torch.nn behind the last layer
    inside: str = ""  # a key of networks.INSIDE, between the blocks
    strength: float = 1.0  # of what is inside
    frozen: int = 0  # blocks that do not train, on purpose
    # The data.
    rows: int = 0  # of the training part; 0 takes all
    wrong: float = 0.0  # share of training labels drawn anew
    permuted: bool = False  # all labels, of both parts, lose their rows
    change: str = ""  # a key of data.CHANGES: of the inputs
    amount: float = 0.0  # of it
    shares: tuple[float, ...] = ()  # of the classes
    stamp: float = 0.0  # the class of each row in the four cells of a corner: its bits, each minus this or this
    loader: str = ""  # a key of loaders.LOADERS; "" gathers batches in memory
    # The steps.
    loop: str = ""  # a key of trainings.LOOPS: a bare loop; "" is netwright's own
    sharpened: float = 1.0  # what logits are multiplied by once they are trained
    recipe: tuple[tuple[str, Any], ...] = ()
    deep: bool = False  # the doctor may train it again

    def edit(self, changes: Changes) -> "Plan":
        """The plan with other fields; what is no field is a setting of the recipe."""
        own = {f.name for f in fields(self)}
        settings = dict(self.recipe) | {name: value for name, value in changes.items() if name not in own}
        here = {name: value for name, value in changes.items() if name in own}
        return replace(self, **here, recipe=tuple(sorted(settings.items())))
