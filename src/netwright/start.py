"""What a shell starts: the command line, which Ctrl-C ends in one line even while its modules are imported."""

import os
import signal
from types import FrameType


def main() -> None:
    """Imports the command line and runs it: see `netwright.cli.main`."""
    is_plain = signal.getsignal(signal.SIGINT) == signal.default_int_handler  # nohup and shells' & ignore Ctrl-C
    if is_plain:
        signal.signal(signal.SIGINT, _leave)
    from netwright import cli

    if is_plain:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()


def _leave(number: int, _frame: FrameType | None) -> None:
    """Ends the process at once: the module that is being imported could catch an exception, or make another of it."""
    os.write(2, b"\n")  # ends the line of ^C, as when a verb is interrupted
    os._exit(128 + number)  # as shells expect; nothing was opened yet that could be left half written
