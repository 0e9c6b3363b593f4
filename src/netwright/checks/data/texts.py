"""Texts that are empty, garbled, or repeated."""

import html
import re
from collections.abc import Callable, Iterator

import numpy as np
import polars as pl
import torch

from netwright.checks.data.encoded import encoded
from netwright.checks.data.unlike import Floats, Mask, Odd, as_rows, told
from netwright.checks.evidence import DataEvidence
from netwright.data.split import Rows
from netwright.records.errors import counted
from netwright.records.finding import Finding, Fix, Measure, Remedy, Severity

LONG = 25  # words in the middle text from which one or two words are short: reviews of 19 may just say "Refreshing."
SHORT = 2  # words
TIMES = 10  # repeats of one text that are no accident
SHARE = 0.01  # of the rows that must have one text; greetings repeat naturally in short texts
OPENING = 6  # words that texts must share to be a form
FORM = 0.5  # share of the texts with these words
FREQUENT = 100  # most frequent words of the data: of, the, and; half of any text in the language
OURS = 0.25  # times the usual share of frequent words; below, a text may be in another language
BY = 4.0  # standard deviations of a share below the usual one: none of 20 words, if half is usual
EPSILON = 1e-9
SCRIPT = 0.5  # share of a text's letters in another script
RARELY = 0.05  # share of the texts up to which another script or language is odd; more, and the data are mixed

_HIGH = (
    r"\u0080-\u00BF\u0152\u0153\u0160\u0161\u0178\u017D\u017E\u0192\u02C6\u02DC\u2013-\u203A\u20AC\u2122"  # cp1252's
)
_TWICE = rf"[\u00C2-\u00F4][{_HIGH}]"
_LOST = r"\uFFFD"
_CONTROL = r"[\x00-\x08\x0B\x0E-\x1F\x7F-\x84\x86-\x9F]"
_MARKUP = (
    r"</?(?:a|b|br|body|code|div|em|font|h[1-6]|hr|html|i|img|li|ol|p|pre|script|span|strong|style|table|td|th|tr|u|ul)"
    r"(?:\s[^<>]*)?/?>|&(?:amp|lt|gt|quot|apos|nbsp|#\d{2,5}|#x[0-9a-fA-F]{2,5});"
)
_RUNS = rf"[\u00C0-\u00FF{_HIGH}]{{2,}}"
_SCRIPTS = ("Latin", "Cyrillic", "Greek", "Arabic", "Hebrew", "Devanagari", "Thai", "Hangul", "Han", "Hiragana")
_WORDS = r"[\p{L}\p{N}]+"


def empty_texts(evidence: DataEvidence) -> Iterator[Finding]:
    """empty and very short texts

    Texts that are missing, blank or without a single letter or digit, and, among long texts, those of a word or two.

    Why it matters: the label of an empty text cannot be learned from it. In training such rows teach the frequency of
    the labels; in a test part they measure it.

    How it is decided: a text without any letter or digit is empty in every data set. One of at most 2 words is short if
    the middle text has at least 25. If more than a fifth of the texts are so, these data are written without text on
    purpose: it is a note. Fewer than 10 texts that are less than 0.1 % of all are a note.
    """
    for name, rows, cells in _texts(evidence):
        words = _count(cells, _WORDS)
        middle = float(np.median(words)) if len(words) else 0.0
        short = (words > 0) & (words <= SHORT) & (middle >= LONG)
        longest = Measure("words", float(words[short].max(initial=0)), threshold=SHORT)
        says, alone = f"the middle one has {middle:.0f}", len(evidence.fields) == 1  # without it a row says nothing
        few = f"have at most {SHORT} words; {says}"
        none = Measure("words", 0.0, threshold=0)
        odds = (
            Odd("empty texts", words == 0, -words, f"are empty; {says}", (none,), 0.95, drop=0.95 * alone),
            Odd("very short texts", short, -words, few, (longest,), 0.5, severity="note", drop=0.5 * alone),
        )
        yield from told(evidence, name, rows, "text", "Fill them in, or drop the rows.", odds)


def garbled_texts(evidence: DataEvidence) -> Iterator[Finding]:
    """garbled texts

    Letters that were written in one encoding and read in another ("cafÃ©" for "café"), lost letters (the replacement
    character), control characters, and remains of HTML ("<br />", "&amp;").

    Why it matters: a garbled word is a new word that no other text has. If one source of the data is garbled and
    another is not, the network learns to separate the sources instead of what the texts say.

    How it is decided: a garbled letter is a run of characters which, written in Western European (cp1252) and read as
    UTF-8, is valid text. That is nearly impossible by chance, and the repaired text is the proposed fix. Replacement
    characters, control characters and the usual HTML tags and entities are searched for directly. Lost and garbled
    letters are a warning, the others a note.
    """
    for name, rows, cells in _texts(evidence):
        for title, pattern, repair, severity in _ILLS:
            hit = cells.str.contains(pattern).fill_null(False).to_numpy()
            places = np.flatnonzero(hit)
            old = cells.gather(places).to_list()
            new = [repair(text) for text in old]
            changed = [k for k in range(len(old)) if title == "lost letters" or new[k] != old[k]]
            if not changed:
                continue
            found = as_rows(rows[places[changed]])
            counts = np.array([len(re.findall(r"\ufffd", old[k])) or abs(len(old[k]) - len(new[k])) for k in changed])
            order = np.argsort(-counts, kind="stable")
            shown = min((old[k] for k in changed), key=len)
            yield Finding(
                severity=severity,
                title=title,
                summary=f"{counted(len(found), 'text')} of {len(rows):,} in {name!r} have {title}: {shown[:60]!r}",
                measures=(Measure("share of the texts", len(found) / len(rows)),),
                columns=(name,),
                rows=tuple(found[k] for k in order),
                confidence=0.98,
                remedies=(Remedy("Read the source in its own encoding, or apply the proposed fixes."),),
                fixes=tuple(
                    Fix(found[k], evidence.dataset.locate(found[k]), "impute", name, old[changed[k]], new[changed[k]],
                        confidence=0.95)
                    for k in order if new[changed[k]] != old[changed[k]]
                ),
            )  # fmt: skip


def repeated_texts(evidence: DataEvidence) -> Iterator[Finding]:
    """duplicated and boilerplate texts

    One text in many rows, an opening or an ending that most texts share, and single texts in another script or language
    than the rest.

    Why it matters: a text that occurs a hundred times counts a hundred times, with whatever label it has, and is in the
    test part too. What all texts share says nothing, and takes up space if long texts are cut. A few texts in another
    language teach nothing.

    How it is decided: a text is repeated if at least 10 rows, and 1 %, have it (in lower case, with runs of spaces as
    one). A form is shared if at least half of the texts longer than 12 words begin, or end, with the same 6 words.
    Another script: most letters of a text are in another script than most letters of the data. Another language: the
    share of a text's words among the 100 most frequent words of the data is less than a quarter of the usual one, and 4
    standard deviations below it, which needs a text of 20 words or more; at most 5 % of the texts, else the data are
    mixed. All but the first are notes.
    """
    for name, rows, cells in _texts(evidence):
        plain = cells.fill_null("").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
        yield from _same(name, rows, plain)
        yield from _forms(name, plain)
        yield from _scripts(evidence, name, rows, cells)
    yield from _languages(evidence)


def _same(name: str, rows: Rows, plain: pl.Series) -> Iterator[Finding]:
    counts = plain.filter(plain != "").value_counts(name="count").filter(
        pl.col("count") >= max(TIMES, SHARE * len(rows))
    ).sort("count", descending=True)  # fmt: skip
    if not len(counts):
        return
    most, count = counts.row(0)
    found = np.flatnonzero(plain.is_in(counts[plain.name].implode()).to_numpy())
    ranks = plain.gather(found).replace_strict(counts[plain.name], pl.Series(range(len(counts)))).to_numpy()
    yield Finding(
        severity="warning",
        title="texts that come again and again",
        summary=f"{counted(len(counts), 'text')} in {name!r} are in {len(found):,} of {len(rows):,} rows; "
        f"{most[:60]!r} in {count:,} of them",
        measures=(Measure("share of the rows", len(found) / len(rows), threshold=SHARE),),
        columns=(name,),
        rows=as_rows(rows[found[np.argsort(ranks, kind="stable")]]),
        confidence=0.9,
        otherwise=("short answers repeat naturally",),
        remedies=(Remedy("Keep one row of each text and label, or split by this text (--group)."),),
    )


def _forms(name: str, plain: pl.Series) -> Iterator[Finding]:
    words = plain.str.split(" ")
    words = words.filter(words.list.len() > 2 * OPENING)
    if len(words) < TIMES:
        return
    for what, part in (("begin", words.list.head(OPENING)), ("end", words.list.tail(OPENING))):
        text, count = part.list.join(" ").value_counts(name="count").sort("count", descending=True).row(0)
        if count >= FORM * len(plain):
            yield Finding(
                severity="note",
                title="a form that most texts share",
                summary=f"{count:,} of {len(plain):,} texts in {name!r} {what} with {text!r}",
                measures=(Measure("share of the texts", count / len(plain), threshold=FORM),),
                columns=(name,),
                remedies=(Remedy("Remove what all texts share."),),
            )


def _scripts(evidence: DataEvidence, name: str, rows: Rows, cells: pl.Series) -> Iterator[Finding]:
    is_wide = (cells.str.len_bytes() > cells.str.len_chars()).fill_null(False)
    if not is_wide.any():
        return
    letters = np.stack([_count(cells, rf"\p{{{script}}}") for script in _SCRIPTS], axis=1)
    usual = int(letters.sum(0).argmax())
    relatives = [k for k in range(len(_SCRIPTS)) if {_SCRIPTS[k], _SCRIPTS[usual]} <= {"Han", "Hiragana"}] or [usual]
    others = letters.sum(1) - letters[:, relatives].sum(1)
    share = others / np.maximum(letters.sum(1), 1)
    yield from _foreign(evidence, name, rows, share > SCRIPT, share, f"another script than {_SCRIPTS[usual]}")


def _languages(evidence: DataEvidence) -> Iterator[Finding]:
    for field, column in encoded(evidence, "text"):
        is_word = np.array([False, True, *(word[:1].isalpha() for word in field.known_tokens())])
        frequent = np.zeros(len(is_word), bool)
        frequent[np.flatnonzero(is_word)[1 : FREQUENT + 1]] = True
        rows = evidence.rows()
        tokens = column(torch.from_numpy(rows)).numpy()
        lengths, known = is_word[tokens].sum(1), frequent[tokens].sum(1)
        if np.count_nonzero(lengths) < FREQUENT:
            continue
        share = known / np.maximum(lengths, 1)
        usual = float(np.median(share[lengths > 0]))
        off = (share - usual) * np.sqrt(lengths / max(usual * (1 - usual), EPSILON))
        is_other = (share < OURS * usual) & (off <= -BY)
        what = "another language, or with a vocabulary of their own"
        yield from _foreign(evidence, field.name, rows, is_other, -share, what)


def _foreign(
    evidence: DataEvidence, name: str, rows: Rows, mask: Mask, badness: Floats, what: str
) -> Iterator[Finding]:
    of = float(mask.mean())
    if 0 < of <= RARELY:
        measure = Measure("share of the texts", of, threshold=RARELY)
        odd = Odd("texts unlike the rest", mask, badness, f"in {what}", (measure,), 0.8, severity="note", drop=0)
        yield from told(evidence, name, rows, "text", "Drop them, or add more of them.", [odd])


def _texts(evidence: DataEvidence) -> Iterator[tuple[str, Rows, pl.Series]]:
    """Each column of texts: its name, the examined rows, their cells."""
    rows = evidence.rows()
    for field, _ in encoded(evidence, "text"):
        cells = evidence.dataset.table[field.name].cast(pl.String)
        yield field.name, rows, cells if len(rows) == len(cells) else cells[rows]


def _count(cells: pl.Series, pattern: str) -> np.ndarray:
    return cells.str.count_matches(pattern).fill_null(0).to_numpy().astype(np.int64)


def _reread(text: str) -> str:
    """Runs of letters beyond ASCII, written in cp1252 and read as UTF-8, if that is valid."""

    def read(run: re.Match[str]) -> str:
        encoded = b"".join(_byte(letter) for letter in run[0])
        try:
            return encoded.decode("utf-8")
        except UnicodeDecodeError:
            return run[0]

    return re.sub(_RUNS, read, text)


def _byte(letter: str) -> bytes:
    try:
        return letter.encode("cp1252")
    except UnicodeEncodeError:  # five bytes are undefined in cp1252
        return letter.encode("latin-1", "replace")


def _without_markup(text: str) -> str:
    return html.unescape(re.sub(_MARKUP.partition("|&")[0], " ", text))


def _without_control(text: str) -> str:
    return re.sub(_CONTROL, "", text)


def _as_it_is(text: str) -> str:
    return text


_ILLS: tuple[tuple[str, str, Callable[[str], str], Severity], ...] = (
    ("garbled letters", _TWICE, _reread, "warning"),
    ("lost letters", _LOST, _as_it_is, "warning"),
    ("control characters", _CONTROL, _without_control, "note"),
    ("remains of HTML", _MARKUP, _without_markup, "note"),
)
