"""The outcome of a treatment."""

from dataclasses import dataclass

from netwright.records.note import Note
from netwright.records.run import Run


@dataclass(frozen=True)
class Treatment:
    """`print(treatment)` shows what was tried and what was kept."""

    run: Run  # the treated run; the original if nothing was kept
    note: Note

    def __str__(self) -> str:
        where = [] if self.run.folder is None or not self.note.is_changed else ["", f"run folder: {self.run.folder}"]
        return "\n".join([str(self.note), *where])
