"""Writes docs/rules/<code>.md out of the checks' docstrings: python examples/rule_pages.py docs/rules"""

import sys
from pathlib import Path

from netwright.checks.evidence import all_checks, page, title
from netwright.resolve import resolve

table = all_checks()
for code, path in table.items():
    check = resolve("check", path, table)
    text = f"# {code}: {title(check)}\n\n{page(check).partition(chr(10))[2].strip()}\n"
    (Path(sys.argv[1]) / f"{code}.md").write_text(text, encoding="utf-8")
