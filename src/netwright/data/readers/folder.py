"""A folder with one subfolder of files for each label, with or without train/ val/ test/ above them."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from netwright.data.dataset import Dataset
from netwright.data.readers.files import find_encoding, open_text, reading, require_memory
from netwright.data.readers.table import IMAGES, TABLES
from netwright.records.errors import DataError, counted, listed
from netwright.records.paths import spelled
from netwright.records.source import Source

PART_NAMES = {
    "train": "train", "training": "train", "test": "test",
    "val": "valid", "valid": "valid", "validation": "valid", "dev": "valid",
}  # fmt: skip
TEXTS = (".txt",)
LABEL = "label"
UNLABELLED = ("unlabeled", "unlabelled")  # a subfolder of files without a label yet


@dataclass(frozen=True)
class _File:
    path: str  # as the system has it
    part: str
    label: str


@dataclass(frozen=True)
class _Left:
    """Folders whose files are not among the rows."""

    closed: list[str] = field(default_factory=list[str])
    links: list[str] = field(default_factory=list[str])

    def notes(self, path: Path) -> tuple[str, ...]:
        """How many, and the first."""
        return (
            *_left(path, dict.fromkeys(self.closed), "that may not be read", "folder"),
            *_left(path, dict.fromkeys(self.links), "behind a link in another folder", "folder"),
        )


def read_folder(source: Source) -> Dataset:
    """A row for each image (column "image") or text file (column "text"); the target "label" is the subfolder's name.

    If no label is needed (`source.is_labelled` is false): all files below the folder, or the one given file.
    """
    path, left = Path(source.data), _Left()
    with reading(path):
        if not path.is_dir() or not source.is_labelled:
            files, notes = [_File(f, "", "") for f in (_below(path, left) if path.is_dir() else [str(path)])], ()
        else:
            files, notes = _labelled(path, left)
        return _dataset(path, files, (*notes, *left.notes(path)), source)


def read_files(source: Source) -> Dataset:
    """A row for each of some images or texts, without labels. Raises DataError if one is neither."""
    paths = [Path(path) for path in source.data]
    other = [path for path in paths if not path.name.lower().endswith((*IMAGES, *TEXTS))]
    if other:
        remedy = "give images or texts, or one table or folder at a time."
        raise DataError(f"{other[0]} is neither an image nor a text", remedy=remedy)
    with reading(paths[0].parent):
        return _dataset(paths[0].parent, [_File(str(path), "", "") for path in paths], (), source)


def _labelled(path: Path, left: _Left) -> tuple[list[_File], tuple[str, ...]]:
    folders, loose = _entries(path, left)
    waiting = tuple(
        f"{spelled(path)}: {counted(len(_below(folder, left)), 'file')} in {folder.name} without a label left out, "
        "netwright label lists which to label first"
        for folder in unlabelled(path)
    )
    parts = {folder: PART_NAMES.get(folder.name.lower(), "") for folder in folders}
    if "train" not in parts.values():
        files, notes = _of_part(path, "", left)
        return files, notes + waiting
    files, notes = list[_File](), _left(path, loose, "beside the subfolders") + waiting
    for folder, part in parts.items():
        if part:
            more = _of_part(folder, part, left)
            files, notes = files + more[0], notes + more[1]
        else:
            notes += (f"{spelled(path)}: subfolder {spelled(folder.name)!r} left out, it is not train, valid or test",)
    learned = {file.label for file in files if file.part == "train"}
    for part in ("valid", "test"):
        lacking = sorted(learned - (found := {file.label for file in files if file.part == part}))
        notes += (f"{spelled(path)}: the {part} part has no files of {listed(lacking)}",) if found and lacking else ()
    return files, notes


def _of_part(path: Path, part: str, left: _Left) -> tuple[list[_File], tuple[str, ...]]:
    """All files of a folder of labels."""
    labels, loose = _entries(path, left)
    _check(path, labels, loose, least=1 if part in ("valid", "test") else 2)
    files = {folder: [_File(file, part, spelled(folder.name)) for file in _below(folder, left)] for folder in labels}
    empty = [folder for folder in labels if not files[folder]]
    notes = _left(path, loose, "beside the subfolders")
    notes += (f"{counted(len(empty), 'subfolder')} without files, the first is {spelled(empty[0])}",) if empty else ()
    return [file for folder in labels for file in files[folder]], notes


def _check(path: Path, folders: list[Path], loose: list[Path], least: int) -> None:
    if not folders and not loose:
        raise DataError(f"{spelled(path)} is empty", remedy="put one subfolder of files for each label into it.")
    if not folders:
        tables = [file for file in loose if file.suffix.lower() in TABLES]
        remedy = (
            f"give the table itself: {spelled(tables[0])}"
            if tables
            else "put the files of each label into a subfolder."
        )
        raise DataError(f"{spelled(path)} has files but no subfolders, so there are no labels", remedy=remedy)
    if len(folders) < least:
        name = spelled(folders[0].name)
        problem = f"{spelled(path)} has only one subfolder, {name!r}, so there is only one label"
        raise DataError(problem, remedy="put one subfolder of files for each label into it.")


def unlabelled(path: Path) -> list[Path]:
    """The subfolders of files without a label yet."""
    return sorted(entry for entry in path.iterdir() if entry.name.lower() in UNLABELLED and entry.is_dir())


def _entries(path: Path, left: _Left) -> tuple[list[Path], list[Path]]:
    """Visible subfolders, except those of unlabeled files and links to a folder around them, and files; sorted."""
    visible = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    folders = [entry for entry in visible if entry.is_dir()]
    loops = {e for e in folders if e.is_symlink() and path.resolve().is_relative_to(e.resolve())}
    left.links.extend(map(str, sorted(loops)))
    folders, visible = [e for e in folders if e not in loops], [e for e in visible if e not in loops]
    return [e for e in folders if e.name.lower() not in UNLABELLED], [e for e in visible if not e.is_dir()]


def _below(path: Path, left: _Left) -> list[str]:
    """All visible files below a folder, ordered by name. Links to folders are not followed: they may go in circles."""
    found = list[str]()
    for folder, subfolders, names in os.walk(path, onerror=lambda error: left.closed.append(str(error.filename))):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        left.links.extend(link for name in subfolders if os.path.islink(link := os.path.join(folder, name)))
        found += [os.path.join(folder, name) for name in sorted(names) if not name.startswith(".")]
    return found


def _dataset(path: Path, files: list[_File], notes: tuple[str, ...], source: Source) -> Dataset:
    images = [file for file in files if file.path.lower().endswith(IMAGES)]
    texts = [file for file in files if file.path.lower().endswith(TEXTS)]
    fitting = images or texts
    if not fitting:
        found = f"; the first file is {spelled(files[0].path)}" if files else ""
        problem = f"{spelled(path)} has no images ({listed(IMAGES, 3)}) and no texts ({TEXTS[0]}){found}"
        raise DataError(problem, remedy="put one subfolder of files for each label into it.")
    used = {file.path for file in fitting}
    skipped = tuple(spelled(file.path) for file in files if file.path not in used)
    notes += _left(path, skipped, f"that are no {'images' if images else 'texts'}")
    empty = sorted({f.label for f in files} - {f.label for f in fitting})
    notes += (f"{spelled(path)}: no file of {empty[0]!r} was used",) if empty else ()
    column, more = _images(images) if images else _texts(texts)
    columns = {column.name: column}
    labelled = any(file.label for file in fitting)
    if labelled:
        columns[LABEL] = pl.Series(LABEL, [file.label for file in fitting], pl.String)
    return Dataset(
        pl.DataFrame(columns),
        (LABEL,) if labelled else (),
        spelled(path),
        pl.Series("place", [spelled(file.path) for file in fitting], pl.String),
        pl.Series("part", [file.part for file in fitting], pl.String) if fitting[0].part else None,
        {"image": source.kinds.get("image", "image")} if images else {},
        notes + more,
        skipped=skipped,
    )


def _images(files: list[_File]) -> tuple[pl.Series, tuple[str, ...]]:
    return pl.Series("image", [spelled(os.path.abspath(file.path)) for file in files], pl.String), ()


def _texts(files: list[_File]) -> tuple[pl.Series, tuple[str, ...]]:
    """The files' texts; encodings other than UTF-8 are counted and the first is named."""
    texts, foreign = list[str](), list[str]()
    for file in files:
        with reading(path := Path(file.path)):
            require_memory(path)
            encoding, note = find_encoding(path)
            foreign += [note] if note else []
            with open_text(path, encoding) as stream:
                texts.append(stream.read())
    note = f"{counted(len(foreign), 'file')} not in plain UTF-8, the first: {foreign[0]}" if foreign else ""
    return pl.Series("text", texts, pl.String), (note,) if note else ()


def _left(path: Path, files: Iterable[object], why: str, what: str = "file") -> tuple[str, ...]:
    skipped = [spelled(str(file)) for file in files]
    return (
        (f"{spelled(path)}: {counted(len(skipped), what)} {why} left out, the first is {skipped[0]}",)
        if skipped
        else ()
    )
