"""Every place that writes a file, makes a folder or deletes one: a new one is to be thought about, and listed here."""

import ast
from collections.abc import Iterator
from pathlib import Path

SRC = Path(__file__).parents[2] / "src" / "netwright"

# Calls that change files. `files.whole` gives a path in a new folder of random name: what is written to it is safe.
BY_NAME = {
    "write_text", "write_bytes", "write_csv", "write_parquet", "write_ndjson", "write_excel", "write_ipc", "sink_csv",
    "sink_parquet", "sink_ndjson", "save", "save_file", "savez", "tofile", "dump", "memmap", "mkdir", "makedirs",
    "touch", "mkstemp", "mkdtemp", "NamedTemporaryFile", "TemporaryFile", "TemporaryDirectory", "symlink_to", "symlink",
    "link", "hardlink_to", "rmtree", "unlink", "rmdir", "copyfile", "copy2", "copytree", "move", "truncate", "chmod",
    "Workbook",
}  # fmt: skip
MOVES = {"rename", "replace"}  # also of frames and texts
TO_WRITE = set("wax+")

# By module, or by folder.
ALLOWED = {
    "files.py": "the writer; and a line of a run's history, which grows where it is",
    "run_folder": "makes the folder of a run, and its lock without following links; files through `files`",
    "training/checkpoint.py": "the same, before the first checkpoint",
    "data/cache.py": "builds a folder of random name in the user's cache, and renames it as a whole",
    "machine/folders.py": "makes folders of this user alone",
    "machine/measure.py": "makes the user's cache and a lock there; its file through `files`",
    "verbs/cache.py": "deletes what was measured",
    "data/fixes.py": "opens the path that `whole` gives",
    "reports/answers.py": "opens the path that `whole` gives",
    "stages/training.py": "opens the path that `whole` gives",
    "verbs/attack.py": "opens the path that `whole` gives",
    "verbs/weights.py": "opens the path that `whole` gives",
    "data/fingerprint.py": "into memory",
    "reports/pictures.py": "into memory",
    "reports/svg.py": "into memory",
    "kinds/markup.py": "into memory",
    "attacks/corruptions/pictures.py": "into memory",
    "console.py": "opens /dev/null",
    "testing": "in a folder that a test gives",
}


def _writes(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name == "open":
        words = [a.value for a in [*node.args, *(k.value for k in node.keywords)] if isinstance(a, ast.Constant)]
        flags = {n.attr for a in node.args for n in ast.walk(a) if isinstance(n, ast.Attribute)}
        modes = [w for w in words if isinstance(w, str) and 0 < len(w) <= 3 and set(w) <= set("rwaxbt+")]
        return any(TO_WRITE & set(mode) for mode in modes) or bool(flags & {"O_CREAT", "O_WRONLY", "O_RDWR"})
    of = node.func.value.id if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name) else ""
    if name in MOVES:  # `unfinished.replace(path)`, `os.rename(a, b)`: names given to names
        return bool(of) and all(isinstance(a, ast.Name) for a in node.args) and len(node.args) == 1 + (of == "os")
    if name == "remove":  # also of hooks
        return of == "os"
    return name in BY_NAME and of != "checkpoint"  # its own `save`


def _writers() -> Iterator[str]:
    for path in SRC.rglob("*.py"):
        if any(map(_writes, ast.walk(ast.parse(path.read_text())))):
            yield path.relative_to(SRC).as_posix()


def test_what_writes_is_listed_with_its_reason() -> None:
    def is_listed(module: str) -> bool:
        return any(module in (name, f"{name}.py") or module.startswith(f"{name}/") for name in ALLOWED)

    assert [module for module in _writers() if not is_listed(module)] == []


def test_writing_is_recognized() -> None:
    lines = (
        'open(p, "w")', 'p.open("ab")', "p.write_text(t)", "os.open(p, os.O_CREAT)", "a.replace(b)", "os.remove(p)",
        "frame.write_csv(p)", "os.replace(a, b)", "picture.save(p)", 'p.open(mode="x")',
    )  # fmt: skip
    others = ("open(p)", 'p.open("rb")', 'text.replace("a", "b")', "hook.remove()", "checkpoint.save(p)")
    assert [line for line in lines if not any(map(_writes, ast.walk(ast.parse(line))))] == []
    assert [line for line in others if any(map(_writes, ast.walk(ast.parse(line))))] == []


def test_who_opens_the_path_of_the_one_writer_names_it() -> None:
    for name, reason in ALLOWED.items():
        if "`whole`" in reason:
            assert "with whole(" in (SRC / name).read_text(), name
