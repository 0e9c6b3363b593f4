"""The zoo's networks as an engineer's function of a recipe, so that a treatment can try other ones."""

from benchmarks.zoo.networks import network
from benchmarks.zoo.plans import Plan
from torch import Tensor, nn

from netwright.models import ACTIVATIONS
from netwright.records.recipe import Recipe

PLANTED = "benchmarks.zoo.designs:planted"  # stands in a recipe for first weights as the plan has them
HEALTHY = {"gain": 1.0, "bias": 0.0, "constant": None, "uniform": 0.0, "last": 1.0}
OWN = {"Exp": "benchmarks.zoo.networks:Exp"}  # activations that the library does not have
FOLLOWED = ("width", "depth", "dropout")


def planted(weight: Tensor, gain: float) -> None:
    """The plan fills its weights in by itself."""
    raise AssertionError(f"{PLANTED} is a name only: {tuple(weight.shape)}, {gain}")


def settings_of(plan: Plan) -> dict[str, object]:
    """What a recipe says of the plan's network."""
    names = {path.rpartition(":")[2]: name for name, path in ACTIVATIONS.items()} | OWN
    return {
        **{name: getattr(plan, name) for name in FOLLOWED},
        "activation": names[plan.activation],
        "normalization": plan.norm or "none",
        "init": PLANTED,
    }


def design(plan: Plan, x: Tensor, outputs: int, recipe: Recipe) -> nn.Module:
    """The plan's network, but for what the recipe says otherwise. The recipe's seed decides its weights."""
    said = settings_of(plan)
    changes: dict[str, object] = {"seed": recipe.seed, **{name: getattr(recipe, name) for name in FOLLOWED}}
    if recipe.activation != said["activation"]:
        changes["activation"] = ACTIVATIONS[recipe.activation].rpartition(":")[2]
    if recipe.normalization != said["normalization"]:
        changes["norm"] = {"none": "", "auto": "layer"}.get(recipe.normalization, recipe.normalization)
    if recipe.init != PLANTED:
        changes |= HEALTHY
    return network(plan.edit(changes), x, outputs)
