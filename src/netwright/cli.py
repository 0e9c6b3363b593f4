"""The command line, built from the verbs' options; it knows no verb by name."""

import inspect
import json
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field
from functools import partial
from math import isfinite
from typing import Any

import click

from netwright import __version__
from netwright.console import Unread, aside, progress, say, settle
from netwright.machine.interrupts import Ended
from netwright.machine.quiet import warnings_to
from netwright.public import verb, verbs
from netwright.records.errors import NetwrightError
from netwright.records.escaped import one_line
from netwright.records.options import SHOW, TELL, default_of, worded, words
from netwright.records.result import Held, Outcome, Result
from netwright.resolve import resolve
from netwright.verbs import MOVED, VERBS

INTERRUPTED = 130  # the exit code that shells expect after Ctrl-C
IN_PYTHON = "\n\nIn Python"  # a paragraph of a verb's docstring that the command line does not show


def main() -> None:
    """Runs the command line and exits: 0 done, 1 problems found, 2 the user must act, 3 a bug in netwright.

    128 and the signal's number after a request to end: 143 after SIGTERM.
    """
    try:
        code = _code()
    except Unread:
        code = 0
    settle()
    sys.exit(code)


def _code() -> int:
    """Runs the command line, with every text on its way through `say` and `aside`; returns the exit code."""
    try:
        with warnings_to(aside):
            return netwright(standalone_mode=False) or 0
    except click.exceptions.Abort as stopped:
        if stopped.__cause__ is not None and str(stopped.__cause__):
            aside(f"{one_line(str(stopped.__cause__))}\n")
        return INTERRUPTED
    except click.ClickException as error:
        if isinstance(error, click.UsageError) and error.ctx is not None:
            aside(f"{error.ctx.get_usage()}\nTry '{error.ctx.command_path} -h' for help.\n\n")
        aside(f"Error: {one_line(error.format_message())}\n")
        return 2
    except NetwrightError as error:
        aside(f"error: {error}\n")
        return 2
    except Unread:
        raise
    except Ended as end:
        return end.status
    except SystemExit:  # of click, if a page of help is not read
        raise Unread from None
    except Exception as error:  # noqa: BLE001  the last resort: any other error is a bug of ours
        if _is_interrupt(error):
            aside("\n")
            return INTERRUPTED
        aside(traceback.format_exc())
        aside("error: this is a bug in netwright, not in your data or settings.\n")
        return 3


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C caused an error: Python 3.11 makes RuntimeError of what comes while a class is made."""
    return error is not None and (isinstance(error, KeyboardInterrupt) or _is_interrupt(error.__cause__))


class Verbs(click.Group):
    """The commands in the table of verbs, each built on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs."""
        return list(verbs())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A verb as a command."""
        return command(cmd_name) if cmd_name in verbs() else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Verbs by group."""
        for title, group in VERBS.items():
            with formatter.section(title.capitalize()):
                formatter.write_dl([(name, _sentence(verb(name))) for name in group])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="netwright")
def netwright() -> None:
    """From raw labelled data to a deep neural network that people can trust.

    \b
    netwright audit photos/                       what is wrong with the data
    netwright train photos/                       a folder with one subfolder of files per label
    netwright train people.csv --target income    a table
    netwright diagnose runs/people                what is wrong with the training
    netwright evaluate runs/people
    netwright predict runs/people new.csv --to answers.csv
    """


def command(name: str) -> click.Command:
    """A verb as a command: an argument or option for each word that its function takes."""
    function = resolve("verb", name, verbs() | MOVED)
    known = words(function)
    params = [param for word in known.values() if (param := _param(word)) is not None]
    params.append(click.Option(["--json", "is_json"], is_flag=True, help="Print the record as JSON."))
    text = inspect.cleandoc(verb(name).__doc__ or "").partition(IN_PYTHON)[0]
    return click.Command(name, callback=partial(_call, function), params=params, help=text)


def _sentence(function: Callable[..., Any]) -> str:
    """The start of a docstring, up to a colon or the end of the line."""
    return (function.__doc__ or "").partition("\n")[0].partition(":")[0].rstrip(".") + "."


def _param(word: inspect.Parameter | Field[Any]) -> click.Parameter | None:
    if isinstance(word, inspect.Parameter):
        if word.name == TELL:
            return click.Option(["--quiet"], is_flag=True, help="Warnings only, no progress.")
        return click.Argument([word.name])
    about, default = word.metadata, default_of(word)
    if about["typed"] is None or callable(about["typed"]):
        return None
    many = about["is_many"] or isinstance(default, dict)
    if about["is_argument"]:
        nargs, metavar = -1 if many else 1, about["metavar"] or None
        return click.Argument([word.name], required=about["is_required"], nargs=nargs, metavar=metavar)
    flag = "--" + (about["word"] or word.name).replace("_", "-")
    if isinstance(default, bool):
        flag = f"{flag}/--no-{flag[2:]}" if default else flag
        return click.Option([flag, word.name], is_flag=True, default=default, help=about["help"], hidden=_is_old(word))
    is_shown = bool(about["choices"]) or isinstance(default, int | float)
    return click.Option(
        [name for name in (about["short"], flag, word.name) if name],
        type=click.Choice(about["choices"]) if about["choices"] else type(default) if is_shown else str,
        default=default if is_shown else None,
        show_default=is_shown,
        multiple=many,
        metavar=about["metavar"] or None,
        help=about["help"],
        hidden=_is_old(word),
    )


def _is_old(word: Field[Any]) -> bool:
    return bool(word.metadata["moved"])


def _call(function: Callable[..., Any], is_json: bool, quiet: bool = False, **typed: Any) -> int:
    """Calls a verb with the typed words, prints its result, and returns the exit code."""
    known = words(function)
    given = {name: value for name, word in known.items() if (value := _value(word, typed.get(name))) is not None}
    for name in given:
        if isinstance(word := known[name], Field) and (now := word.metadata["moved"]) and typed[name]:
            flag = word.metadata["word"] or name
            aside(f"--{flag} is now a command of its own: netwright {now}; the next version drops it\n")
    if TELL in known:
        given[SHOW] = progress(quiet=quiet)
    result: Result = worded(function, is_typed=True)(**given)
    if is_json:
        say(f"{_json(result.record())}\n")
    else:
        for piece in result.pieces() if isinstance(result, Held) else (f"{result}\n",):
            say(piece)
    for line in result.asides if isinstance(result, Outcome) else ():
        aside(f"{one_line(line)}\n")
    level = given.get("fail_on", "never")
    return int(level != "never" and result.fails(level))


def _json(record: Any) -> str:  # Any: of a result
    """ASCII alone, and null for NaN and infinity, which JSON does not know."""
    try:
        text = json.dumps(record, indent=2, default=str, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(record), indent=2, default=str)
    return text.replace("\x7f", "\\u007f")  # the one control character that `json` leaves as it is


def _finite(record: Any) -> Any:
    if isinstance(record, Mapping):
        return {name: _finite(value) for name, value in record.items()}
    if isinstance(record, list | tuple):
        return [_finite(value) for value in record]
    return None if isinstance(record, float) and not isfinite(record) else record


def _value(word: inspect.Parameter | Field[Any], typed: Any) -> Any:
    """The value typed for a word, as its function takes it; None if none was typed."""
    if isinstance(word, inspect.Parameter):
        return typed
    instead = word.metadata["typed"]
    if callable(instead):
        return instead()
    if typed is None or typed == ():
        return None if instead is MISSING else instead
    return _pairs(word, typed) if isinstance(default_of(word), dict) else typed


def _pairs(word: Field[Any], texts: Iterable[str]) -> dict[str, str]:
    """`name=value` options as a dictionary."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--{word.metadata['word'] or word.name} takes NAME=VALUE, not {text!r}.")
        pairs[name.strip()] = value
    return pairs
