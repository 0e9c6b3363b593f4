"""The outcome of a treatment."""

from dataclasses import dataclass

from netwright.records.escaped import one_line
from netwright.records.note import Note
from netwright.records.run import Run


@dataclass(frozen=True)
class Treatment:
    """`print(treatment)` shows what was tried and what was kept."""

    run: Run  # the treated run; the original if nothing was kept
    note: Note

    def __str__(self) -> str:
        is_written = self.run.folder is not None and self.note.is_changed
        return f"{self.note}" + (f"\n\n{one_line(f'run folder: {self.run.folder}')}" if is_written else "")
