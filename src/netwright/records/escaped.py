"""Text from data as a terminal may show it: what would move the cursor, reorder letters or forge a line is visible."""

import re
from collections.abc import Iterable

# C0 except tab and newline, DEL, C1, line and paragraph separators, embeddings, overrides and isolates of direction
# (Unicode 16.0, 9.2 "Directional Formatting Characters"), and halves of surrogate pairs, which no encoding holds.
_MOVES = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_CONTROL = re.compile(f"[{_MOVES}]")
_CONTROL_OR_BREAK = re.compile(rf"[{_MOVES}\t\n]")
_SHORT = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}


def escaped(text: str) -> str:
    """Control characters as visible escapes: `\\x1b`, `\\u202e`. Newlines and tabs stay: they are a layout's own."""
    return _CONTROL.sub(_visible, text)


def one_line(text: str) -> str:
    """As `escaped`, newlines and tabs too: for a name, a cell or a sentence that must not begin a new line."""
    return _CONTROL_OR_BREAK.sub(_visible, text)


def in_lines(lines: Iterable[str]) -> str:
    """Lines of a layout, each of which stays one line whatever the data in it hold."""
    return "\n".join(map(one_line, lines))


def _visible(found: re.Match[str]) -> str:
    letter = found[0]
    return _SHORT.get(letter) or (f"\\x{ord(letter):02x}" if ord(letter) < 0x100 else f"\\u{ord(letter):04x}")
