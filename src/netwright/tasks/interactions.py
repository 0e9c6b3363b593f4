"""Who had what, cut into examples: what a user had before, and what came after."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netwright.kinds.cells import is_single, names
from netwright.kinds.number import as_numbers
from netwright.records.errors import DataError, Unreadable, counted, listed, nearest
from netwright.records.frames import Frames, Raw
from netwright.records.task import ROW
from netwright.tasks.dealing import LEAST, Deal, Rows, dealt

HISTORY, USER = "history", "user"  # the column of inputs; the column beside the answers
HELD = 0.2  # of a user's training items without order: what a training example asks for
PARTS = ("train", "valid", "test")
MOST_USERS = 0, 10_000, 20_000  # that choose and test, scores are then known within .003; 0: all learn
SEARCHED = 10_000  # users among whom a similar name is looked for

Numbers = NDArray[np.int64]


@final
@dataclass(frozen=True, eq=False)
class Kept:
    """The rows that count: `numbers` are those of the raw rows, ascending."""

    numbers: Numbers
    users: Numbers  # the number of each row's user, ascending
    items: pl.Series  # text
    first: Numbers  # the first raw row of each user, and the one after the last
    after: Numbers
    deal: Deal
    notes: tuple[str, ...]


def examples(raw: Raw, item: str, deal: Deal, columns: Sequence[str] | None = None) -> Frames:
    """For each user an example of each part, with all that came before it; see `dealing`.

    A training example asks for the last item that was new to the user, or without order for HELD of the items. These
    are in its history too: whoever answers must leave them out. `columns` are those of users; None: all that do not
    change within a user. Raises DataError if there is too little to learn or to test.
    """
    kept = interactions(raw, item, deal)
    _refuse_few(raw, kept)
    rows, deal, notes = dealt(kept.users, kept.items, kept.deal, *_of_rows(raw, kept))
    items = kept.items[rows.order]
    ends = np.cumsum(np.bincount(rows.users * 3 + rows.parts, minlength=3 * len(kept.first))).reshape(-1, 3)
    starts = np.r_[0, ends[:-1, 2]]
    histories, targets, users, able = list[pl.Series](), list[pl.Series](), list[Numbers](), list[set[int]]()
    for part in range(len(PARTS)):
        before, asked = ends[:, max(part - 1, 0)], _asked(rows, len(starts), part)
        is_asked = (before > starts) & (np.bincount(rows.users[asked], minlength=len(starts)) > 0)
        able.append(set(np.flatnonzero(is_asked).tolist()))
        whose = _thinned(is_asked, MOST_USERS[part])
        asked = asked[is_asked[rows.users[asked]]]
        histories.append(_lists(items, starts[whose], before[whose]))
        targets.append(_gathered(items, asked, rows.users[asked]))
        users.append(whose)
    if not len(users[1]) or not len(users[2]):
        problem = f"no user has {LEAST} different items: one to learn from, one for validation, one for the test"
        raise DataError(problem, remedy="give more rows of each user.")
    for part, some in zip(("validation", "test"), (1, 2), strict=True):
        if len(users[some]) < len(able[some]):
            notes = (*notes, f"{len(users[some]):,} of {counted(len(able[some]), 'user')} are in the {part} part")
    owner = np.concatenate(users)
    found, unused = (columns, ()) if columns is not None else _columns(raw, item, kept)
    history = history_name(item)
    table = {history: pl.concat(histories), item: pl.concat(targets)}
    alone, late = len(able[0] - able[2]), len(set(kept.users.tolist()) - able[0] - able[2])
    told = (
        *kept.notes, *notes, *((f"{counted(alone, 'user')} without a test item: for training only",) if alone else ()),
        *((f"{counted(late, 'user')} with nothing before the test part: left out",) if late else ()),
        *((f"columns not used: {listed(unused)}; they belong to neither users nor items",) if unused else ()),
    )  # fmt: skip
    return Frames(
        pl.DataFrame(table | {name: raw.table[name][kept.first[owner]] for name in found}),
        np.stack([kept.first[owner], kept.after[owner]], 1), {}, {history: "items"}, groups=owner,
        parts=pl.Series([PARTS[part] for part, some in enumerate(users) for _ in some]), targets=(item,),
        found=deal.written(), notes=told,
    )  # fmt: skip


def newest(
    raw: Raw, item: str, deal: Deal, columns: Sequence[str], users: Sequence[str], known: Sequence[str]
) -> Frames:
    """All that each user had, to answer what comes next; of some `users` only, in their order, if any is named.

    A note counts those who had none of the `known` items. Raises DataError for a user who is not in the data.
    """
    kept = interactions(raw, item, deal)
    owners, first, after = _owners(raw), kept.first, kept.after
    chosen = _chosen(names(owners[first]), users, owners.name) if users else np.arange(len(first))
    starts = np.searchsorted(kept.users, chosen)
    ends = np.searchsorted(kept.users, chosen, side="right")
    history = history_name(item)
    table = {
        history: _lists(kept.items, starts, ends),
        **{name: raw.table[name][first[chosen]] for name in columns},
    }
    beside = pl.DataFrame({ROW: np.arange(len(chosen)), USER: owners[first[chosen]]})
    spans = np.stack([first[chosen], after[chosen]], 1)
    is_known = kept.items.is_in(pl.Series(known, dtype=pl.String).implode()).to_numpy()
    strange = int((np.bincount(kept.users[is_known], minlength=len(first))[chosen] == 0).sum())
    told = f"{counted(strange, 'user')} had nothing that training knows: they get what is popular"
    notes = (*kept.notes, *((told,) if strange else ()))
    return Frames(pl.DataFrame(table), spans, {}, {history: "items"}, groups=chosen, names=beside, notes=notes)


def history_name(item: str) -> str:
    """The name of the input column."""
    return HISTORY if item != HISTORY else f"{HISTORY} of users"


def interactions(raw: Raw, item: str, deal: Deal) -> Kept:
    """The rows in which somebody had something, with its name as text.

    With ratings only rows of at least `deal.least`; without it, of more than the middle between the lowest and the
    highest. Raises DataError for missing columns, and Unreadable for missing items and ratings that are not numbers.
    """
    owners = _owners(raw)
    if not item:
        raise DataError("ranking needs the column of items", remedy="name it: --item COLUMN.")
    if item not in raw.table.columns:  # the user's own column, or that of times
        raise DataError(f"column {item!r} cannot be the item too", remedy="name another column: --item COLUMN.")
    cells = raw.table[item]
    if not is_single(cells):
        problem = f"column {item!r} holds {cells.dtype}, not the name or number of an item"
        raise DataError(problem, remedy="write one item in each row.")
    texts = names(cells)
    if texts.null_count():
        bad = {int(row): f"no {item}" for row in texts.is_null().arg_true()}
        raise Unreadable(f"{counted(len(bad), 'row')} without a {item!r}", "fill it in, or leave them out.", (), bad)
    kept, deal, notes = _liked(raw, deal)
    first = np.flatnonzero(np.r_[True, owners.ne_missing(owners.shift(1)).to_numpy()[1:]][: len(owners)])
    after, numbers = np.r_[first[1:], len(owners)], np.flatnonzero(kept)
    users = np.repeat(np.arange(len(first)), after - first)[numbers]
    return Kept(numbers, users, texts.filter(pl.Series(kept)), first, after, deal, notes)


def _owners(raw: Raw) -> pl.Series:
    if raw.owners is None:
        raise DataError("ranking needs the column of users", remedy="name it: --user COLUMN.")
    return raw.owners


def _liked(raw: Raw, deal: Deal) -> tuple[NDArray[np.bool_], Deal, tuple[str, ...]]:
    """The rows that count, the rule with its threshold, and notes."""
    name = raw.source.rating
    if not name:
        return np.ones(raw.table.height, bool), deal, ()
    if name not in raw.table.columns:
        raise DataError(f"column {name!r} cannot be the rating too", remedy="name another column: --rating COLUMN.")
    cells = raw.table[name]
    ratings = as_numbers(cells)
    bad = {int(row): repr(cells[int(row)]) for row in (~ratings.is_finite().fill_null(False)).arg_true()}
    if bad:
        told = f"{counted(len(bad), 'cell')} of {name!r} not a number, the first is {bad[min(bad)]}"
        raise Unreadable(told, "correct these cells, or leave the rows out.", (), bad)
    values = ratings.to_numpy()
    low, high = float(values.min()), float(values.max())
    if deal.least is None and low == high:
        return np.ones(len(values), bool), deal, (f"every {name} is {low:g}: it says nothing, and every row counts",)
    least = float(values[values > (low + high) / 2].min()) if deal.least is None else deal.least
    kept = values >= least
    if not kept.any():
        problem = f"no {name} is {least:g} or more: the highest is {high:g}"
        raise DataError(problem, remedy="choose a lower threshold: --task ranking:least=3.")
    how = "above the middle of the scale" if deal.least is None else "as you said"
    told = f"{name} {least:g} and more ({how}) counts as liked: {int(kept.sum()):,} of {len(kept):,} rows"
    return kept, deal.with_least(least), (told,)


def _refuse_few(raw: Raw, kept: Kept) -> None:
    if len(np.unique(kept.users)) < 2:
        problem = f"all rows are of one {_owners(raw).name}: there is nobody else to learn from"
        raise DataError(problem, remedy="give the rows of several users, or name another column (--user).")
    if kept.items.n_unique() == 1:
        problem = f"all rows have the same item, {kept.items[0]!r}: there is nothing to choose from"
        raise DataError(problem, remedy="give rows of several items, or name another column (--item).")


def _of_rows(raw: Raw, kept: Kept) -> tuple[pl.Series | None, pl.Series | None]:
    """Times and parts of the rows that count."""
    return tuple(None if one is None else one[kept.numbers] for one in (raw.times, raw.parts))  # pyright: ignore[reportReturnType]  of two


def _asked(rows: Rows, users: int, part: int) -> Numbers:
    """The rows that the examples of a part ask for."""
    new = np.flatnonzero((rows.parts == part) & rows.is_new)
    if part:
        return new
    counts = np.bincount(rows.users[new], minlength=users)
    wanted = np.minimum(counts, 1) if rows.is_ordered else np.ceil(counts * HELD).astype(np.int64)
    behind = np.cumsum(counts)[rows.users[new]] - np.arange(len(new))  # 1 for the last of a user
    return new[behind <= wanted[rows.users[new]]]


def _thinned(chosen: NDArray[np.bool_], most: int) -> Numbers:
    """The places of those chosen; of very many only so many are, evenly spread."""
    places = np.flatnonzero(chosen)
    if most and len(places) > most:
        places = places[np.linspace(0, len(places) - 1, most).round().astype(np.int64)]
        chosen[:] = False
        chosen[places] = True
    return places


def _lists(items: pl.Series, starts: Numbers, ends: Numbers) -> pl.Series:
    """For each start the items up to before the end; an empty list if there is none."""
    counts = ends - starts
    places = np.repeat(starts - np.cumsum(np.r_[0, counts[:-1]]), counts) + np.arange(counts.sum())
    found = _gathered(items, places, np.repeat(np.arange(len(starts)), counts))
    if len(found) == len(starts):
        return found
    number = np.cumsum(counts > 0) - 1
    whole = pl.DataFrame({"n": np.where(counts > 0, number, -1)}).join(
        pl.DataFrame({"n": range(len(found)), "item": found}), on="n", how="left", maintain_order="left"
    )
    return whole["item"].fill_null([])


def _gathered(items: pl.Series, chosen: Numbers, owners: Numbers) -> pl.Series:
    """A list for each owner, in their order."""
    frame = pl.DataFrame({"owner": owners, "item": items[chosen]})
    return frame.group_by("owner", maintain_order=True).agg("item")["item"]


def _columns(raw: Raw, item: str, kept: Kept) -> tuple[list[str], list[str]]:
    """Columns that do not change within a user, and those that belong to nobody."""
    others = [name for name in raw.table.columns if name not in (item, raw.source.rating)]
    flat = [name for name in others if is_single(raw.table[name])]
    rows = raw.table.select(item, *flat)[kept.numbers]
    counts = rows.with_columns(pl.Series(ROW, kept.users)).group_by(ROW).agg(pl.all().n_unique())
    own = [name for name in flat if (counts[name] == 1).all()]
    return own, [name for name in others if name not in own]


def _chosen(known: pl.Series, users: Sequence[str], column: str) -> Numbers:
    """The places of named users. Raises DataError for an unknown one."""
    wanted = pl.Series(list(dict.fromkeys(users)), dtype=pl.String)
    places = wanted.replace_strict(known, pl.Series(range(len(known)), dtype=pl.Int64), default=None)
    lost = wanted.filter(places.is_null())
    if len(lost):
        problem = f"the data have no {column} {lost[0]!r}" + (f" and {len(lost) - 1} more" if len(lost) > 1 else "")
        raise DataError(problem, remedy=nearest(lost[0], known.head(SEARCHED)))
    return places.to_numpy().astype(np.int64)
