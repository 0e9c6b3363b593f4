"""Answers for new data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from netwright.records.asked import Asked
from netwright.records.errors import DataError, nearest
from netwright.records.options import code_option, existing, option, page_option
from netwright.records.result import Cells, Held, Tell

if TYPE_CHECKING:
    import polars as pl

    from netwright.data.dataset import Dataset
    from netwright.records.run import Run


DRAWN = 12  # rows of a page: more are not looked at


@dataclass(frozen=True)
class Options:
    """Which rows to answer, and where to write."""

    data: Any = option(  # Any: readable data, one or more rows as dictionaries, or a list of files
        None, "A table, a folder, or files.", metavar="[DATA]...", is_argument=True, is_many=True, reads=True
    )
    row: Mapping[str, str] = option(dict, "One row instead of DATA; repeat for each column.", metavar="COLUMN=VALUE")
    to: str = option(
        "", "Write to FILE (.csv, .parquet, .jsonl or .xlsx) instead of standard output.", metavar="FILE", writes=True
    )
    keep: tuple[str, ...] = option((), "Columns of DATA beside the answers: id,name.", metavar="COLUMNS")
    items: Any = option(  # Any: a path, or data in memory
        None, "Rankings: a table of items, known and new; new ones are ranked by their columns.", metavar="FILE",
        reads=True,
    )  # fmt: skip
    page: str = page_option()
    allow_code: bool = code_option()


def predict(run: "Run | Path | str", options: Options, asked: Asked, tell: Tell) -> "Answers":
    """Predict with RUN for DATA: one answer per row, empty if the row cannot be read.

    DATA are as in `train`, without the target. Cells that cannot be read, were not seen in training, or are written
    otherwise are counted for each column.
    """
    data = options.data
    if isinstance(data, tuple) and all(isinstance(path, str) for path in data):  # words of the command line
        data = str(existing(data[0])) if len(data) == 1 else [existing(path) for path in data]
    if (data is None) == (not options.row):
        raise DataError("predict takes either DATA or one row", remedy="give a path, or --row COLUMN=VALUE.")
    from netwright.reports.page import require_pages
    from netwright.stages.runs import opened

    require_pages(options.page)
    run = opened(run, tell, allow_code=options.allow_code)
    run = replace(run, task=run.task.asking(asked))
    if options.items is not None:
        from netwright.data.read import read_source
        from netwright.records.source import Source

        task, told = run.task.stocked(read_source(Source(options.items)).table)
        run = replace(run, task=task)
        tell(told)
    said = run.source
    of_rows = filter(None, (said.series, said.time, said.user, said.item, said.rating))
    columns = (*(field.name for field in run.schema.inputs), *said.target, *of_rows)
    if unknown := [name for name in options.row if name not in columns]:
        raise DataError(f"the run has no column {unknown[0]!r}", remedy=nearest(unknown[0], columns))
    data = [options.row] if options.row else data
    if options.page:
        _write_page(run, data, options.page, tell)
    return Answers(_chunks(run, data, options.keep, tell), options.to, tell)


@final
@dataclass(frozen=True)
class Answers(Held["pl.DataFrame"]):
    """Answers in pieces, computed on demand: data of any size fit."""

    chunks: "Iterator[pl.DataFrame]"
    to: str  # a file; "" for none
    tell: Tell

    def held(self) -> "pl.DataFrame":
        """All answers; also written if a file is named."""
        import polars as pl

        from netwright.reports.answers import written

        table = pl.concat(self.chunks)
        if self.to:
            written(iter((table,)), Path(self.to))
        return table

    def pieces(self) -> Iterator[str]:
        """Comma-separated text; empty if the answers go to a file instead."""
        from netwright.reports.answers import as_csv, written

        if self.to:
            count = written(self.chunks, Path(self.to))
            self.tell(f"{count:,} rows written to {self.to}")
            return
        for number, table in enumerate(self.chunks):
            yield Cells(as_csv(table, header=number == 0))

    def __str__(self) -> str:
        return "".join(self.pieces())

    def record(self) -> list[dict[str, Any]]:
        """A dictionary for each row."""
        return self.held().to_dicts()


def _chunks(run: "Run", data: Any, keep: tuple[str, ...] | str, tell: Tell) -> "Iterator[pl.DataFrame]":
    from netwright.data.prepare import encode_new
    from netwright.data.read import read_chunks
    from netwright.machine.device import prepare_device
    from netwright.reports.answers import placed
    from netwright.stages.data import NONE_UNREAD, count_odd, new_examples, tell_odd, tell_unread
    from netwright.training.evaluate import predictions

    if not run.schema.inputs:
        with prepare_device():
            examples = new_examples(run, data, is_labelled=False)
            yield from predictions(run.network, run.task, examples, run.recipe)
        return
    said = [keep] if isinstance(keep, str) else keep
    names = tuple(name for one in said for name in one.split(","))
    inputs = {field.name: field.as_written for field in run.schema.inputs}
    as_written = tuple(name for name in {**dict.fromkeys(names, True), **inputs} if inputs.get(name, True))
    source = replace(run.source.about_rows(), data=_whole(run, data), task=run.task, as_written=as_written)
    odd, unread = {}, NONE_UNREAD
    with prepare_device():
        for dataset in read_chunks(source):
            count_odd(run.schema, dataset, odd)
            examples, bad = encode_new(run.schema, None, dataset)
            unread = unread.with_rows(dataset, bad)
            for note in dataset.notes:
                tell(note)
            found = predictions(run.network, run.task, examples, run.recipe)
            yield placed(found if len(examples) else (_no_answers(run),), dataset, names)
    tell_unread(unread, tell)
    tell_odd(odd, tell)


def _write_page(run: "Run", data: Any, path: str, tell: Tell) -> None:  # Any: as in `Options`
    """Draws the answers of the first rows. Raises DataError if the task draws none."""
    from netwright.data.prepare import encode_new
    from netwright.data.read import read_chunks
    from netwright.records.finding import Report
    from netwright.records.result import Section
    from netwright.reports.page import written
    from netwright.training.evaluate import device_of

    dataset = next(read_chunks(replace(run.source.about_rows(), data=_whole(run, data), task=run.task)))
    examples, _ = encode_new(run.schema, None, dataset)
    batch = examples.take(examples.rows[:DRAWN]).to(device_of(run.network))
    charts = run.task.drawn(run.network, batch)
    if not charts:
        problem = f"{run.task.describe()} draws no page of answers"
        raise DataError(problem, remedy="leave out --page, and write a table with --to.")
    each = len(charts) // len(batch)  # of a row
    owners = _owners(dataset, run.source.series)
    titles = (f"{owners[int(row)]}: " if owners else "" for row in batch.rows for _ in range(each))
    charts = tuple(replace(chart, title=title + chart.title) for title, chart in zip(titles, charts, strict=True))
    more = f"; the first {len(batch)} of {len(examples)} are drawn" if len(examples) > len(batch) else ""
    section = Section(
        "forecast",
        Report(str(run.folder or "run"), len(examples), (), ()),
        charts=tuple(charts),
        verdict=f"{run.task.describe()}{more}",
    )
    for line in written((section,), path):
        tell(line)


def _owners(dataset: "Dataset", column: str) -> dict[int, str]:
    """The series of each row, if there are several."""
    from netwright.records.task import ROW

    if dataset.names is None or column not in dataset.names.columns:
        return {}
    return {row: str(owner) for row, owner in dataset.names.select(ROW, column).iter_rows()}


def _no_answers(run: "Run") -> "pl.DataFrame":
    """The columns of answers, without rows."""
    import torch

    from netwright.data.examples import InMemory
    from netwright.training.evaluate import predictions

    first = InMemory(run.sample, (), torch.zeros(1, dtype=torch.int64), str)
    return next(predictions(run.network, run.task, first, run.recipe)).clear()


def _whole(run: "Run", data: Any) -> Any:
    """A text file is one example if texts have labels; a language model reads it in windows."""
    from netwright.data.readers.folder import TEXTS

    is_text = isinstance(data, str | Path) and str(data).lower().endswith(TEXTS)
    return [Path(data)] if is_text and run.source.target else data
