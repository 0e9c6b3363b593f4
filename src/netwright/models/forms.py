"""The forms of signals that modules accept."""

from netwright.records.errors import RecipeError
from netwright.records.schema import Form, Signal

MEANING = {
    "vector": "a vector (numbers, categories, pooled features)",
    "map": "a map (images)",
    "sequence": "a sequence (text, symbols, series)",
}


class Misfit(RecipeError):
    """A backbone follows a signal of a form that it cannot take."""


def require_form(backbone: str, signal: Signal, form: Form) -> None:
    """Raises Misfit, which names both, unless the signal has the form."""
    if signal.form != form:
        fits = {"vector": "mlp", "map": "convnet", "sequence": "convnet1d, lstm or transformer"}[signal.form]
        raise Misfit(
            f"backbone {backbone!r} cannot follow a {signal}: it takes {MEANING[form]}",
            remedy=f"set backbone to auto, {fits}.",
        )
