"""Text columns that mix kinds of cells, or spell one name in several ways."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import polars as pl

from netwright.checks.data.columns import Columns, columns, fixes, listed_rows, share_text
from netwright.checks.evidence import DataEvidence
from netwright.records.errors import listed
from netwright.records.finding import SHOWN, Finding, Remedy
from netwright.statistics import share

NUMBER = r"^[+-]?[$€£¥]?\s*(?:\d+|\d{1,3}(?:[., '\u{a0}\u{202f}]\d{3})*)(?:[.,]\d+)?(?:[eE][+-]?\d+)?\s*[%$€£¥]?$"
COMMA = r"^[+-]?(?:\d{4,}|0|\d{1,3}(?:\.\d{3})*),(?:\d{1,2}|\d{4,})$"  # 3,5 and not 3,500, which may be thousands
POINT = r"^[+-]?\d*\.(?:\d{1,2}|\d{4,})$"
DATE = r"^(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/. ](?:\d{1,2}|\p{L}{3,9})[-/. ,]+(?:\d{4}|\d{2})|\p{L}{3,9}\.? \d{1,2},? \d{4})(?:[T ].*)?$"  # noqa: E501  one expression
MOSTLY = 0.5  # share of the cells from which a column is numbers, or dates
WORDY = 3  # words; longer texts are prose and may contain numbers
FEW_NUMBERS = 0.05  # share of numbers among names up to which they are errors
MOST_NAMES = 2_000  # distinct texts up to which they are names of categories
TYPO_LETTERS = 5  # letters; shorter names often differ by one letter
TYPO_LONGEST = 60  # letters; all forms without one of them take the square of their number
TYPO_ROWS, TYPO_TIMES = 3, 20  # a typing error is in so few rows, and the intended name in so many times more


def mixed_types(evidence: DataEvidence) -> Iterator[Finding]:
    """mixed types

    One text column has several kinds of cells: numbers and words, dates in several formats, decimal commas and decimal
    points, or one name in several spellings ("Oslo", "oslo", "Oslo ").

    Why it matters: each form is read as a different thing. Words among numbers are read as missing; 03/04 is March or
    April; 1,5 may be read as 15; "oslo" is another town than "Oslo", and a class in two spellings is two classes.

    How it is decided: numbers and words, if at least half of the cells are numbers (MOSTLY) and others are not, or if
    at most 5 % are numbers among names without any digit (FEW_NUMBERS). Dates, by the order of their parts and the
    characters between them, if at least half of the cells are dates; day first and month first, by parts above 12.
    Spellings, if names differ only in case, spaces, hyphens and underscores. Typing errors, as a note: a name of five
    to sixty letters (TYPO_LETTERS, TYPO_LONGEST) in up to three rows (TYPO_ROWS), one letter away from a name twenty
    times as frequent (TYPO_TIMES; letters are deleted from both, after Garbe 2012). Texts longer than three words are
    left out (WORDY).
    """
    seen = evidence.once(columns)
    raw = evidence.dataset.table
    for name, cells in seen.texts():
        counted = cells.drop_nulls().value_counts(name="rows").sort(["rows", name], descending=[True, False])
        texts, rows = counted[name], counted["rows"].to_numpy()
        if texts.is_empty():
            continue
        if np.median(texts.head(MOST_NAMES).str.count_matches(r"\s+").to_numpy() + 1) > WORDY:
            continue
        dates = texts.str.contains(DATE).to_numpy()
        numbers = texts.str.contains(NUMBER).to_numpy() & ~dates
        if rows[dates].sum() >= MOSTLY * rows.sum():
            yield from _dates(seen, name, texts.filter(pl.Series(dates)))
        elif rows[numbers].sum() >= MOSTLY * rows.sum():
            yield from _numbers(seen, name, texts, rows, numbers)
        elif len(texts) <= MOST_NAMES:
            yield from _numbers_among_names(seen, name, texts, rows, numbers)
            yield from _spellings(evidence, seen, name, raw[name].gather(seen.rows))
            yield from _typos(evidence, seen, name, texts, rows)


def _found(
    seen: Columns, name: str, odd: pl.Series, title: str, summary: str, advice: str, *, note: bool = False
) -> Finding:
    """A finding in the rows whose cell is one of `odd`."""
    here = seen.table[name].is_in(odd.implode()).fill_null(False).to_numpy()
    count, of = int(here.sum()), len(here)
    return Finding(
        "note" if note else "warning",
        f"{name}: {summary} in {count:,} rows ({share_text(count / of)}), as in {odd[0]!r}",
        (share(count, of).measure("share of the rows"),),
        (name,),
        listed_rows(seen.rows[here]),
        title=title,
        confidence=0.7 if note else 0.9,
        remedies=(Remedy(advice),),
    )


def _numbers(seen: Columns, name: str, texts: pl.Series, rows: np.ndarray, numbers: np.ndarray) -> Iterator[Finding]:
    if not numbers.all():
        others = texts.filter(pl.Series(~numbers))
        advice = f"write only numbers into {name}, and leave missing cells empty."
        yield _found(seen, name, others, "words among numbers", "words among numbers", advice)
    comma, point = texts.str.contains(COMMA).to_numpy(), texts.str.contains(POINT).to_numpy()
    if comma.any() and point.any():
        is_comma_rare = rows[comma].sum() <= rows[point].sum()
        odd = texts.filter(pl.Series(comma if is_comma_rare else point))
        sign = "decimal commas among points" if is_comma_rare else "decimal points among commas"
        yield _found(seen, name, odd, sign, sign, f"write all of {name} with decimal points.")


def _numbers_among_names(
    seen: Columns, name: str, texts: pl.Series, rows: np.ndarray, numbers: np.ndarray
) -> Iterator[Finding]:
    has_digit = texts.str.contains(r"\d").to_numpy()
    if not numbers.any() or rows[numbers].sum() > FEW_NUMBERS * rows.sum() or has_digit[~numbers].any():
        return
    odd = texts.filter(pl.Series(numbers))
    yield _found(seen, name, odd, "numbers among names", "numbers among names", f"correct these cells of {name}.")


def _dates(seen: Columns, name: str, texts: pl.Series) -> Iterator[Finding]:
    day = texts.str.replace(r"[T ]+\d{1,2}:.*$", "")
    form = day.str.replace_all(r"\d{4}", "Y").str.replace_all(r"\d{1,2}", "d").str.replace_all(r"\p{L}{3,}", "M")
    forms = pl.DataFrame({name: texts, "form": form})
    cells = seen.table.select(name).join(forms, on=name, how="inner")
    counts = cells["form"].value_counts(name="rows").sort(["rows", "form"], descending=[True, False])
    advice = f"write all dates of {name} in one format, such as 2024-12-31."
    if len(counts) > 1:
        odd = forms.filter(pl.col("form") != counts["form"][0])[name]
        yield _found(seen, name, odd, "dates in several forms", f"{len(counts)} forms of dates", advice)
    parts = forms.with_columns(day=day).filter(pl.col("form").str.contains(r"^d[-/. ]d[-/. ](Y|d)$"))
    split = parts["day"].str.extract_groups(r"^(\d{1,2})[-/. ](\d{1,2})").struct.unnest().cast(pl.Int64)
    split.columns = ["first", "second"]
    day_first = parts.filter((split["first"] > 12) & (split["second"] <= 12))[name]
    month_first = parts.filter((split["second"] > 12) & (split["first"] <= 12))[name]
    if len(day_first) and len(month_first):
        odd = min(day_first, month_first, key=len)
        told = "day and month in both orders"
        yield _found(seen, name, odd, told, told, advice)


def _spellings(evidence: DataEvidence, seen: Columns, name: str, raw: pl.Series) -> Iterator[Finding]:
    counts = raw.drop_nulls().value_counts(name="rows").sort(["rows", name], descending=[True, False])
    same = counts[name].str.strip_chars().str.to_lowercase().str.replace_all(r"[\s_\-]+", " ")
    groups = defaultdict[str, list[str]](list)
    for text, key in zip(counts[name], same, strict=True):
        if len(key) > 1:  # the case of single letters often has a meaning
            groups[key].append(text)
    meant = {text: texts[0] for texts in groups.values() for text in texts[1:]}
    if not meant:
        return
    pairs = listed([f"{text!r} and {usual!r}" for text, usual in meant.items()], SHOWN)
    yield _renamed(evidence, seen, name, raw, meant, "one name in several spellings", pairs, 0.9)


def _typos(evidence: DataEvidence, seen: Columns, name: str, texts: pl.Series, rows: np.ndarray) -> Iterator[Finding]:
    """Names one letter away from far more frequent ones: equal after deleting a letter from both or from one."""
    frequent = dict[str, str]()
    for text, count in zip(texts, rows, strict=True):
        if count >= TYPO_TIMES and TYPO_LETTERS <= len(text) <= TYPO_LONGEST:
            for key in _without_a_letter(text):
                frequent.setdefault(key, text)
    count_of = dict(zip(texts, rows.tolist(), strict=True))
    meant = dict[str, str]()
    for text, count in count_of.items():
        if count > TYPO_ROWS or not TYPO_LETTERS <= len(text) <= TYPO_LONGEST or any(c.isdigit() for c in text):
            continue
        near = {frequent[key] for key in _without_a_letter(text) if key in frequent}
        near = {n for n in near if count_of[n] >= TYPO_TIMES * count and abs(len(n) - len(text)) <= 1}
        near = {n for n in near if _squeezed(n) != _squeezed(text)}
        if near:
            meant[text] = max(near, key=lambda n: (count_of[n], n))
    if meant:
        pairs = listed([f"{text!r} for {usual!r}" for text, usual in meant.items()], SHOWN)
        yield _renamed(evidence, seen, name, seen.table[name], meant, "likely slips of typing", pairs, 0.7)


def _without_a_letter(text: str) -> set[str]:
    return {text, *(text[:k] + text[k + 1 :] for k in range(len(text)))}


def _squeezed(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())


def _renamed(
    evidence: DataEvidence,
    seen: Columns,
    name: str,
    cells: pl.Series,
    meant: dict[str, str],
    title: str,
    pairs: str,
    confidence: float,
) -> Finding:
    is_odd = cells.is_in(list(meant)).fill_null(False)
    rows = seen.rows[is_odd.to_numpy()]
    new = [meant[text] for text in cells.filter(is_odd)]
    return Finding(
        "warning" if confidence >= 0.9 else "note",
        f"{name}: {pairs}, in {len(rows):,} rows",
        title=title,
        columns=(name,),
        rows=listed_rows(rows),
        confidence=confidence,
        otherwise=("they are different things",),
        remedies=(Remedy(f"write each name of {name} in one way."),),
        fixes=fixes(evidence, name, rows, "relabel" if name in seen.targets else "impute", new, confidence),
    )
