"""What a treatment came to."""

from dataclasses import dataclass

from netwright.records.note import Note
from netwright.records.run import Run


@dataclass(frozen=True)
class Treatment:
    """`print(treatment)` tells what was tried and what was kept."""

    run: Run  # the treated one; the run as it was where nothing was kept
    note: Note

    def __str__(self) -> str:
        where = [] if self.run.folder is None or not self.note.is_changed else ["", f"run folder: {self.run.folder}"]
        return "\n".join([str(self.note), *where])
