"""What a finding means."""

from dataclasses import dataclass

from netwright.records.errors import RecipeError, nearest
from netwright.records.options import option
from netwright.records.result import Outcome


@dataclass(frozen=True)
class Options:
    """Which finding."""

    code: str = option("", "A finding: NW110.", metavar="CODE", is_argument=True)


def rule(options: Options) -> Outcome[str]:
    """Explain what the finding CODE means and how it is decided, or list all codes."""
    from netwright.checks.evidence import all_checks, page, title
    from netwright.resolve import resolve

    table, code = all_checks(), options.code.upper()
    if code and code not in table:
        raise RecipeError(f"there is no finding {options.code!r}", remedy=nearest(code, table))
    pages = {known: resolve("check", table[known], table) for known in ([code] if code else sorted(table))}
    text = page(pages[code]) if code else "\n".join(f"{known}  {title(check)}" for known, check in pages.items())
    return Outcome(text, text, [{"code": known, "page": page(check)} for known, check in pages.items()])
