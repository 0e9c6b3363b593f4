"""The settings of a recipe."""

import json
from dataclasses import dataclass
from typing import Any

from netwright.records.errors import RecipeError, nearest
from netwright.records.options import option
from netwright.records.result import Outcome


@dataclass(frozen=True)
class Options:
    """Which setting."""

    name: str = option("", "A setting: lr.", metavar="NAME", is_argument=True)


def recipe(options: Options) -> Outcome[str]:
    """Explain all settings, or the one called NAME: what it does, its default, range or choices."""
    from netwright.records.recipe import GROUPS, own_names, own_settings, settings

    known = {s.name: s for s in settings()}
    if options.name in own_names():
        known |= {s.name: s for s in own_settings()}
    if options.name and options.name not in known:
        raise RecipeError(f"there is no setting {options.name!r}", remedy=nearest(options.name, known))
    chosen = [known[options.name]] if options.name else list(known.values())
    grouped = {group: [_line(s) for s in chosen if s.metadata["group"] == group] for group in GROUPS}
    text = "\n\n".join("\n".join([f"[{group}]", *lines]) for group, lines in grouped.items() if lines)
    return Outcome(text, text, [_explained(s) for s in chosen])


def _line(s: Any) -> str:  # Any: a dataclass field with our metadata
    from netwright.records.recipe import choices

    low, high, names = s.metadata["low"], s.metadata["high"], choices(s)
    allowed = f"{low:g} to {high:g}" if high is not None else ", ".join(names)
    default = json.dumps(s.default) if isinstance(s.default, bool | tuple) else s.default
    return f"{s.name:<20}{default!s:<12} {s.metadata['help']}" + (f" ({allowed})" if allowed else "")


def _explained(s: Any) -> dict[str, object]:
    from netwright.records.recipe import choices

    about = s.metadata
    allowed = {"low": about["low"], "high": about["high"], "choices": choices(s)}
    return {
        "name": s.name,
        "group": about["group"],
        "default": s.default,
        "help": about["help"],
        **allowed,
        "eight": about["eight"],
    }
