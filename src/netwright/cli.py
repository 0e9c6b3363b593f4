"""The command line: words a person types. It parses, calls `lifecycle`, prints."""

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import Any

import click

from netwright import __version__
from netwright.records.errors import DataError, NetwrightError, RecipeError
from netwright.records.options import options
from netwright.records.source import Source

INTERRUPTED = 130  # what shells expect of a program ended by Ctrl-C


def main() -> None:
    """Runs the command line and exits: 0 done, 1 something was found, 2 the user must act, 3 a bug in netwright."""
    try:
        code = netwright(standalone_mode=False)
    except click.exceptions.Abort:
        code = INTERRUPTED
    except click.ClickException as error:
        error.show()
        code = 2
    except NetwrightError as error:
        click.echo(f"error: {error}", err=True)
        code = 2
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone: `netwright predict ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception:  # noqa: BLE001  the last resort: whatever comes here is ours to mend
        traceback.print_exc()
        click.echo("error: this is a bug in netwright, not in your data or settings.", err=True)
        code = 3
    sys.exit(code or 0)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
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


def sourced(command: Callable[..., Any]) -> Callable[..., Any]:
    """The argument DATA and the options of `Source`, handed on as one."""

    @wraps(command)
    def call(data: str, **words: Any) -> Any:
        own: dict[str, Any] = {o.name: words.pop(o.name) for o in options(Source) if o.name in words}
        own["kinds"] = _pairs("--kind", own["kinds"])
        source = Source(data, **{name: value for name, value in own.items() if value is not None})
        for path in (data, source.fixes or None):
            if path is not None:
                _exists(path)
        return command(source, **words)

    for o in reversed(options(Source)[1:]):
        about, many = o.metadata, o.name in ("target", "kinds", "drop")
        names = [name for name in (about["short"], "--" + (about["word"] or o.name).replace("_", "-"), o.name) if name]
        metavar = about["metavar"] or None
        call = click.option(*names, multiple=many, default=None, metavar=metavar, help=about["help"])(call)
    return click.argument("data")(call)


as_json = click.option("--json", "is_json", is_flag=True, help="Print the record as JSON.")


failing = click.option(
    "--fail-on",
    default="warning",
    type=click.Choice(["error", "warning", "note", "never"]),
    help="Exit code 1 where something as bad as that is found, or worse.",
    show_default=True,
)


@netwright.command(short_help="What is wrong with the data, and a file that fixes it.")
@sourced
@click.option("--against", default=None, metavar="DATA", help="New data to compare with.")
@click.option("--fix", "fix_file", default=None, metavar="FILE", help="Write proposed fixes to FILE (CSV), to edit.")
@click.option("--prove", is_flag=True, help="Train with and without the fixes; those that do not help are rolled back.")
@click.option("--page", "page_file", default=None, metavar="FILE", help="Write the report as a page (HTML) to FILE.")
@click.option(
    "--next",
    "count",
    type=click.IntRange(1),
    default=None,
    metavar="N",
    help="Only list the N rows without a label to label first.",
)
@click.option("--to", default=None, metavar="FILE", help="With --next: write the list (.csv, .parquet or .jsonl).")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="With --prove and --next: a setting of their networks.",
)
@click.option("--seed", default=0, help="Decides the parts, as the setting of a training does.")
@click.option("--fast", is_flag=True, help="Train nothing: only what can be seen in the rows.")
@failing
@click.option("--quiet", is_flag=True, help="No progress.")
@as_json
def audit(
    source: Source,
    against: str | None,
    fix_file: str | None,
    prove: bool,
    page_file: str | None,
    count: int | None,
    to: str | None,
    settings: tuple[str, ...],
    seed: int,
    fast: bool,
    fail_on: str,
    quiet: bool,
    is_json: bool,
) -> int:
    """Whether DATA are accurate, representative and clean: what is wrong, in which rows, how sure, what to do."""
    changes = _settings(None, settings)
    if against is not None:
        _exists(against)
    if prove and fix_file is None:
        raise click.UsageError("--prove needs --fix FILE, where it writes which fixes are kept.")
    if prove and source.fixes:
        raise click.UsageError("--prove tries fixes of the data as they are: leave --fixes out.")
    if count is not None and (prove or source.fixes or fix_file or against or page_file):
        raise click.UsageError("--next lists rows and audits nothing: give it alone.")
    for path in (fix_file, page_file):
        if path is not None and Path(path).is_dir():
            raise DataError(f"{path} cannot be written: it is a folder", remedy="give the name of a file.")
        if path is not None and not Path(path).absolute().parent.is_dir():
            raise DataError(
                f"{path} cannot be written: its folder is not there", remedy="create it, or choose another."
            )
    if to is not None and count is None:
        raise click.UsageError("--to is for --next; fixes are written with --fix FILE.")
    from netwright import lifecycle
    from netwright.console import progress

    show = None if quiet else progress()
    if count is not None:
        table = lifecycle.next_labels(source, count=count, settings=changes, seed=seed, to=to, show=show)
        _print_json(table.to_dicts()) if is_json else click.echo(_listed(table, to), nl=False)
        return 0
    report = lifecycle.audit(source, against=against, seed=seed, fast=fast, page=page_file, show=show)
    if not is_json:
        click.echo(str(report))
    if page_file is not None:
        click.echo(f"page written to {page_file}", err=True)
    if fix_file is not None:
        before = lifecycle.read_fixes(source.fixes) if source.fixes else ()
        proposed = lifecycle.write_fixes((*before, *report.fixes), fix_file)
        click.echo(_next_step(proposed, fix_file), err=True)
    proof = None
    if prove and fix_file is not None and report.fixes:
        try:
            proof = lifecycle.prove(source, report.fixes, settings=changes, seed=seed, show=show)
        except KeyboardInterrupt:
            click.echo(f"\nstopped; {fix_file} holds all fixes, and none of them is proven.", err=True)
            raise
        lifecycle.write_fixes(report.fixes, fix_file, proof.rolled_back)
        if not is_json:
            click.echo(f"\n{proof}\n{fix_file} says apply = no for those rolled back")
    if is_json:
        _print_json(asdict(report) | ({"proof": asdict(proof)} if proof is not None else {}))
    return _fails(report, fail_on)


def _fails(report: Any, fail_on: str) -> int:  # Any: a Report, which is not imported here
    """The exit code."""
    from netwright.records.finding import SEVERITIES

    return int(any(report.fails(severity) for severity in SEVERITIES if severity == fail_on))


def _listed(table: Any, to: str | None) -> str:  # Any: a frame; polars is not imported here
    return str(table.write_csv()) if to is None else f"{len(table):,} rows to label first written to {to}\n"


def _next_step(count: int, file: str) -> str:
    """What to do with a file of fixes: the same words, without those of the audit alone."""
    if not count:
        return f"no fixes are proposed; {file} has a head line only"
    return (
        f"{count:,} fixes written to {file}. Look through them, write apply = no where you disagree, then give the "
        f"same data and options to: netwright train ... --fixes {file}"
    )


@netwright.command(short_help="Explain a finding by its code.")
@click.argument("code", required=False)
def rule(code: str | None) -> None:
    """Explain what the finding CODE means and how it is decided, or list all codes."""
    from netwright.checks.evidence import all_checks, page, title
    from netwright.records.errors import nearest
    from netwright.resolve import resolve

    table = all_checks()
    if code is not None and code.upper() not in table:
        raise RecipeError(f"there is no finding {code!r}", remedy=nearest(code.upper(), table))
    if code is not None:
        click.echo(page(resolve("check", table[code.upper()], table)))
        return
    for known in sorted(table):
        click.echo(f"{known}  {title(resolve('check', table[known], table))}")


@netwright.command(short_help="Train a network on a folder, a table or a text file.")
@sourced
@click.option("--audit/--no-audit", default=True, help="Look through the data first.", show_default=True)
@click.option("--diagnose/--no-diagnose", default=True, help="Look at the training at its end.", show_default=True)
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Any setting of the recipe; may be repeated."
)
@click.option(
    "--recipe",
    "recipe_file",
    default=None,
    metavar="FILE",
    help="A TOML file of settings, for example a run's recipe.toml.",
)
@click.option(
    "--run",
    "folder",
    default=None,
    metavar="FOLDER",
    help="Where to write the run; runs/<name of the data> by default.",
)
@click.option("--quiet", is_flag=True, help="No progress.")
@as_json
def train(
    source: Source,
    audit: bool,
    diagnose: bool,
    settings: tuple[str, ...],
    recipe_file: str | None,
    folder: str | None,
    quiet: bool,
    is_json: bool,
) -> None:
    """Train a network on DATA: a folder, a table (CSV, TSV, Parquet, JSON lines) or a text file.

    Writes a run folder. A training that was stopped goes on when the same command is given again.
    """
    changes = _settings(recipe_file, settings)
    from netwright import lifecycle, run_folder
    from netwright.console import progress
    from netwright.reports.text import summary

    where = Path(folder) if folder else run_folder.next_folder(source.data)
    try:
        run = lifecycle.train(
            source, audit=audit, diagnose=diagnose, settings=changes, folder=where,
            show=None if quiet else progress(), command=tuple(sys.argv[1:]),
        )  # fmt: skip
    except KeyboardInterrupt:
        if run_folder.is_resumable(where):
            click.echo(f"\nstopped; saved in {where}. To go on, give the same command again.", err=True)
        raise
    if is_json:
        _print_json({"run": str(where), "scores": asdict(run.scores) if run.scores else None})
    else:
        click.echo(summary(run))


@netwright.command(short_help="What is wrong with a training, and remedies that are proven.")
@click.argument("run")
@click.option("--data", default=None, metavar="DATA", help="The run's own data, where they are no longer in place.")
@click.option("--deep", is_flag=True, help="Also train it again: on half of the rows, and with two other seeds.")
@click.option("--treat", is_flag=True, help="Try the remedies; what is proven to help is kept, as a new run.")
@click.option("--try", "codes", multiple=True, metavar="CODE", help="Try those of this finding; may be repeated.")
@click.option("--seeds", default=3, show_default=True, help="Trainings for each remedy, and as many without it.")
@click.option("--to", default=None, metavar="FOLDER", help="The treated run's folder; RUN-treated by default.")
@click.option("--page", "page_file", default=None, metavar="FILE", help="Write the report as a page (HTML) to FILE.")
@failing
@click.option("--quiet", is_flag=True, help="No progress.")
@as_json
def diagnose(
    run: str,
    data: str | None,
    deep: bool,
    treat: bool,
    codes: tuple[str, ...],
    seeds: int,
    to: str | None,
    page_file: str | None,
    fail_on: str,
    quiet: bool,
    is_json: bool,
) -> int:
    """What is wrong with the training of RUN: how that is known, and what to do.

    With --treat or --try the remedies are tried on paired seeds, and those kept that help beyond chance. The exit code
    is then about what is found in the treated run.
    """
    if data is not None:
        _exists(data)
    if to is not None and not (treat or codes):
        raise click.UsageError("--to is for the run that --treat or --try makes.")
    from netwright import lifecycle
    from netwright.console import progress

    show = None if quiet else progress()
    loaded = lifecycle.reopened(lifecycle.load(Path(run)), data)
    report = lifecycle.diagnose(loaded, deep=deep, page=page_file, show=show)
    if not is_json:
        click.echo(str(report))
    treatment = None
    if treat or codes:
        chosen = tuple(code.upper() for code in codes)
        treatment = lifecycle.treat(
            loaded, chosen, report=report, seeds=seeds, folder=to, show=show, command=tuple(sys.argv[1:])
        )
        report = treatment.run.diagnosis or report
    if is_json:
        _print_json(asdict(report) | ({"treatment": asdict(treatment.note)} if treatment is not None else {}))
    elif treatment is not None:
        click.echo(f"\n{treatment}")
    return _fails(report, fail_on)


@netwright.command(short_help="Scores of a run with 95 % intervals.")
@click.argument("run")
@click.argument("data", required=False)
@click.option("--labels", default=None, metavar="FILE", help="Long format: the table with a row for each series.")
@as_json
def evaluate(run: str, data: str | None, labels: str | None, is_json: bool) -> None:
    """Scores of RUN with 95 % intervals: of its own test part, or of new DATA with the target in it."""
    if data:
        _exists(data)
    from netwright import lifecycle
    from netwright.reports.text import scores_table

    loaded = lifecycle.load(Path(run))
    scores = lifecycle.evaluate(loaded, data, labels=labels, show=lambda note: click.echo(note, err=True))
    _print_json(asdict(scores)) if is_json else click.echo(scores_table(scores))


@netwright.command(short_help="Answers for new data, or for one row.")
@click.argument("run")
@click.argument("data", nargs=-1)
@click.option("--row", multiple=True, metavar="COLUMN=VALUE", help="One row, a column at a time, instead of DATA.")
@click.option(
    "--to", default=None, metavar="FILE", help="Write to FILE (.csv, .parquet or .jsonl) instead of standard output."
)
def predict(run: str, data: tuple[str, ...], row: tuple[str, ...], to: str | None) -> None:
    """Answers of RUN for DATA: a table, a folder, or files; or for one row given with --row."""
    if bool(data) == bool(row):
        raise click.UsageError("give either DATA or --row COLUMN=VALUE.")
    for path in data:
        _exists(path)
    from netwright import lifecycle
    from netwright.reports.answers import as_csv

    given: Any = [_pairs("--row", row)] if row else data[0] if len(data) == 1 else [Path(path) for path in data]
    loaded = lifecycle.load(Path(run))
    if to is not None:
        count = lifecycle.predict_to(loaded, given, Path(to), show=lambda note: click.echo(note, err=True))
        click.echo(f"{count:,} rows written to {to}", err=True)
        return
    for number, table in enumerate(
        lifecycle.predict_chunks(loaded, given, show=lambda note: click.echo(note, err=True))
    ):
        click.echo(as_csv(table, header=number == 0), nl=False)


@netwright.command(short_help="The layers: shapes, parameters, FLOPs.")
@click.argument("run")
@as_json
def show(run: str, is_json: bool) -> None:
    """The layers of RUN's network: shapes, parameters, FLOPs."""
    from netwright import lifecycle
    from netwright.planning.cost import render

    table = lifecycle.show(lifecycle.load(Path(run)))
    _print_json([asdict(layer) for layer in table]) if is_json else click.echo(render(table))


@netwright.command(short_help="What the layers have learned.")
@click.argument("run")
@click.option("--top", default=10, show_default=True, help="How many of the strongest connections.")
@click.option("--picture", default=None, metavar="FILE", help="Where to write the first convolution's filters (PNG).")
@as_json
def weights(run: str, top: int, picture: str | None, is_json: bool) -> None:
    """What RUN has learned: positive and negative weights, strongest columns, filters as a picture."""
    from netwright import lifecycle
    from netwright.files import whole
    from netwright.reports.text import weights_table

    report = lifecycle.weights(lifecycle.load(Path(run)), top=top)
    if picture is not None:
        if report.filters is None:
            raise DataError(f"{run} has no convolution, so there are no filters to draw", remedy="leave --picture out.")
        with whole(Path(picture)) as unfinished:
            report.filters.save(unfinished)
        click.echo(f"filters drawn in {picture}", err=True)
    if is_json:
        _print_json(
            {"layers": [asdict(x) for x in report.layers], "connections": [asdict(x) for x in report.connections]}
        )
    else:
        click.echo(weights_table(report))


@netwright.command(short_help="Explain the settings, or one of them.")
@click.argument("name", required=False)
@as_json
def recipe(name: str | None, is_json: bool) -> None:
    """Explain the settings, or the one NAMEd: what it does, its default, range or choices."""
    from netwright.records.errors import nearest
    from netwright.records.recipe import choices, settings

    known = {s.name: s for s in settings()}
    if name is not None and name not in known:
        raise RecipeError(f"there is no setting {name!r}", remedy=nearest(name, known))
    chosen = [known[name]] if name else list(known.values())
    if is_json:
        _print_json([_explained(s) for s in chosen])
        return
    for s in chosen:
        low, high, names = s.metadata["low"], s.metadata["high"], choices(s)
        allowed = f"{low:g} to {high:g}" if high is not None else ", ".join(names)
        default = json.dumps(s.default) if isinstance(s.default, bool | tuple) else s.default
        click.echo(f"{s.name:<20}{default!s:<12} {s.metadata['help']}" + (f" ({allowed})" if allowed else ""))


@netwright.command(short_help="Decoded files that are kept, and how to remove them.")
@click.option("--clear", is_flag=True, help="Remove them all, but for those in use.")
@as_json
def cache(clear: bool, is_json: bool) -> None:
    """Decoded files that are kept for the next training: where they are, and how much each takes."""
    from netwright import lifecycle
    from netwright.data.cache import megabytes
    from netwright.reports.text import cache_table

    found = lifecycle.cache(clear=clear)
    if is_json:
        _print_json(asdict(found))
        return
    if clear:
        click.echo(f"removed {megabytes(found.freed)}")
    click.echo(cache_table(found))


def _explained(setting: Any) -> dict[str, object]:  # Any: a dataclass field with our metadata
    from netwright.records.recipe import choices

    about = setting.metadata
    allowed = {"low": about["low"], "high": about["high"], "choices": choices(setting)}
    return {"name": setting.name, "default": setting.default, "help": about["help"], **allowed, "eight": about["eight"]}


def _pairs(option: str, texts: Iterable[str]) -> dict[str, str]:
    """`name=value` options as a dictionary."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{option} takes NAME=VALUE, not {text!r}.")
        pairs[name.strip()] = value
    return pairs


def _settings(recipe_file: str | None, texts: tuple[str, ...]) -> dict[str, object]:
    """Settings of a TOML file, overruled by those of the command line; checked before anything heavy is imported."""
    from netwright.records.recipe import Recipe

    changes: dict[str, object] = {}
    if recipe_file:
        import tomllib

        try:
            changes |= tomllib.loads(Path(recipe_file).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RecipeError(f"there is no file {recipe_file}", remedy="correct the path behind --recipe.") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RecipeError(f"{recipe_file} is not valid TOML: {error}", remedy="correct the file.") from None
    changes |= _pairs("--set", texts)
    Recipe().edit(changes)
    return changes


def _exists(path: str) -> None:
    """A wrong path is told before torch is imported."""
    if not Path(path).exists():
        raise DataError(f"there is no file or folder {path}", remedy="correct the path.")


def _print_json(record: object) -> None:
    click.echo(json.dumps(record, indent=2, default=str))
