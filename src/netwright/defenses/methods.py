"""Ways to harden a network: edits of its recipe, by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

NOISY = 0.1  # spread of the noise of `smoothing` if no reach is given, as a share of the range


@final
@dataclass(frozen=True)
class Method:
    """How a run is trained again. `follows` are the settings that take the adversary's reach, if one is given."""

    title: str
    edit: Mapping[str, Any]  # Any: as `Recipe.edit` takes them
    follows: tuple[str, ...] = ("defense_eps",)
    is_lesson: bool = False  # it hides gradients, which stops an attack and no adversary

    def edits(self, eps: float, norm: str) -> dict[str, Any]:
        """Changes of a recipe for an adversary; eps 0 is what a person would not notice."""
        return {"defense_norm": norm, **self.edit, **(dict.fromkeys(self.follows, eps) if eps else {})}


# The adversary is augmentation enough: with shifts beside it, accuracy under PGD fell from 76 to 71 of 100 on digits
# (359 test rows, 30 epochs) and from 69 to 67 on 3,000 pictures of clothes (512 rows, 12 epochs), one seed each.
_ATTACKED: Mapping[str, Any] = {"augment": ()}

METHODS: Mapping[str, Method] = {
    "adversarial": Method("adversarial training", {"defense": ("adversarial",), **_ATTACKED}),
    "trades": Method("TRADES", {"defense": ("trades",), **_ATTACKED}),
    "fast": Method("fast adversarial training", {"defense": ("fast",), **_ATTACKED}),
    "adversarial_ensemble": Method(
        "adversarial training of three networks", {"defense": ("adversarial",), "ensemble": 3, **_ATTACKED}
    ),
    "smoothing": Method(
        "randomized smoothing",
        {"defense": ("noise",), "defense_eps": NOISY, "smoothing": NOISY},
        ("defense_eps", "smoothing"),
    ),
    "noise": Method("noise in training", {"defense": ("noise",)}),
    "label_smoothing": Method("label smoothing", {"label_smoothing": 0.2}),
    "distillation": Method("distillation", {"defense": ("distillation",)}),
    "ensemble": Method("three networks", {"ensemble": 3}),
    "quantize": Method("quantized inputs", {"guard": ("quantize",)}, is_lesson=True),
    "random": Method("noise at every answer", {"guard": ("random",)}, is_lesson=True),
    "no_gradient": Method("no gradient", {"guard": ("no_gradient",)}, is_lesson=True),
}
