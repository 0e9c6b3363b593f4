"""A call of pillow's `open` without a list of formats lets a file choose its decoder, such as Ghostscript for EPS."""

import ast
from pathlib import Path

import netwright

SOURCE = Path(netwright.__file__).parent


def _opening(path: Path) -> list[str]:
    """Calls of `open` of anything that was imported from PIL."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {
        (alias.asname or alias.name).partition(".")[0]
        for node in imports
        for alias in node.names
        if (getattr(node, "module", None) or alias.name).partition(".")[0] == "PIL"
    }
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [
        f"{path.relative_to(SOURCE)}:{call.lineno}"
        for call in calls
        if isinstance(call, ast.Attribute) and call.attr == "open" and ast.unparse(call.value).split(".")[0] in names
    ]


def test_one_module_opens_pictures_and_always_with_a_list_of_formats() -> None:
    found = {path.relative_to(SOURCE).as_posix(): places for path in SOURCE.rglob("*.py") if (places := _opening(path))}
    assert set(found) == {"kinds/picture_files.py"}
    text = (SOURCE / "kinds" / "picture_files.py").read_text(encoding="utf-8")
    assert text.count("PIL.open(") == text.count("formats=_formats())") == len(found["kinds/picture_files.py"])
