"""What belongs into a run folder: a digest of each file, and the stages that are still to do.

A digest is written before its file, beside that of the old file, which goes afterwards. So at any moment, also after a
killed process or a power cut, each file is one that was announced. A safetensors file holds its own digest
(`files.digest_of`), which covers its tensors; the seal says which of them belongs here.
"""

import json
import os
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import final

from torch import Tensor

from netwright.blueprint import RECIPE
from netwright.files import DIGEST, digest_of, read_record, read_shapes, read_text, replace_tensors, replace_text
from netwright.records.errors import RunError

SEAL = "digests.json"  # runs of older versions have none
TENSORS = ".safetensors"


@final
@dataclass(frozen=True)
class Seal:
    """What was written, or is about to be."""

    files: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])  # digests that are accepted
    left: tuple[str, ...] = ()  # stages that the command which trained the run has yet to do
    data: str = ""  # checksum of the encoded rows


def load_seal(folder: Path) -> Seal:
    """The folder's seal; empty if there is none. Raises RunError."""
    return read_record(folder / SEAL, Seal) if os.path.lexists(folder / SEAL) else Seal()


def write_seal(folder: Path, seal: Seal) -> None:
    """Replaces the seal. Raises RunError."""
    replace_text(folder / SEAL, json.dumps(asdict(seal)) + "\n")


def write_texts(folder: Path, texts: Mapping[str, str]) -> None:
    """Writes text files by name, announced first. Raises RunError."""
    with _announced(folder, {name: _digest(text) for name, text in texts.items()}):
        for name, text in texts.items():
            replace_text(folder / name, text)


def write_tensors(folder: Path, name: str, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Writes a safetensors file, announced first. Raises RunError."""
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    with _announced(folder, {name: digest_of(tensors, header)}):
        replace_tensors(folder / name, tensors, header)


def keep(folder: Path, name: str) -> None:
    """Takes a file as it is now: it was written line by line. Raises RunError."""
    with _announced(folder, {name: _digest(read_text(folder / name))}):
        pass


def done(folder: Path, *stages: str) -> None:
    """Removes stages from those to do. Raises RunError."""
    seal = load_seal(folder)
    if set(stages) & set(seal.left):
        write_seal(folder, replace(seal, left=tuple(stage for stage in seal.left if stage not in stages)))


def require_intact(folder: Path, *, optional: Collection[str] = ()) -> None:
    """Raises RunError for a file that is not the one that was written, or that is missing and not `optional`."""
    for name, accepted in load_seal(folder).files.items():
        path = folder / Path(name).name
        if not os.path.exists(path):  # also False for a name that is too long
            if name in optional:
                continue
            raise RunError(f"{path} is missing", remedy="restore it from a copy, or train again.")
        if _found(path) not in accepted:
            again = "; for other settings, train --recipe FILE into another folder" if name == RECIPE else ""
            raise RunError(
                f"{path} is damaged, or was changed after the run was written",
                remedy=f"restore it from a copy, or train again{again}.",
            )


@contextmanager
def _announced(folder: Path, digests: Mapping[str, str]) -> Generator[None]:
    """While files are written, both the old and the new one are accepted; afterwards the new one alone."""
    seal = load_seal(folder)
    new = {name: (digest,) for name, digest in digests.items()}
    old = dict[str, str]()
    for name in new.keys() & seal.files.keys():
        with suppress(RunError):  # one that is missing or broken is replaced all the same
            if (digest := _found(folder / name)) in seal.files[name]:
                old[name] = digest
    both = {name: tuple(dict.fromkeys((old.get(name, digest), digest))) for name, (digest,) in new.items()}
    write_seal(folder, replace(seal, files={**seal.files, **both}))
    yield
    if both != new:
        write_seal(folder, replace(seal, files={**seal.files, **new}))


def _found(path: Path) -> str:
    if path.suffix == TENSORS:
        return read_shapes(path)[1].get(DIGEST, "")
    return _digest(read_text(path))


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()
