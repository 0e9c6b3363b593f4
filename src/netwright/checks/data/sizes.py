"""Files of pictures whose size, shape or color mode is unlike that of the others."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image as PIL

from netwright.checks.data.encoded import encoded, readable
from netwright.checks.data.unlike import RARE, Floats, as_rows, deviations, drops, severity_of
from netwright.checks.evidence import DataEvidence, Skip
from netwright.data.readers.files import counted
from netwright.data.split import Rows
from netwright.kinds.image import Image
from netwright.machine.quiet import without_warnings
from netwright.records.finding import Finding, Measure, Remedy

FAST_FILES = 2_000  # headers read by a fast check: 0.2 s
STRETCHED = 2.0  # times wider or taller than the middle picture: circles become ellipses of 2 : 1
SMALLER = 4.0  # times less high and wide on average: each of its pixels becomes sixteen
BY = 5.0  # robust standard deviations of the logarithm from the middle
SPREAD = 0.1  # least standard deviation of a logarithm: a crop of a tenth of a side is nothing odd
GREY = ("1", "L", "LA", "I", "I;16", "F")  # pillow's modes without color
FILES: tuple[object, ...] = (pl.String(), pl.Binary())  # types of cells that name or hold files
ORIENTATION, TURNED = 0x0112, 5  # EXIF's tag; from this value on the sides are swapped

Mask = NDArray[np.bool_]


def odd_sizes(evidence: DataEvidence) -> Iterator[Finding]:
    """odd-sized images

    Picture files that are much smaller or larger than the others, of another shape, or grey among color.

    Why it matters: all pictures are stretched to one size. One of another shape is distorted, a small one becomes a
    blur, and both are often something else than the rest: a thumbnail, a banner, a scanned page.

    How it is decided: by the headers of the files. Odd is a ratio of width to height of more than twice, or less than
    half, the middle one; or sides on average four times smaller or larger than those of the middle picture; and each
    of them at least 5 robust standard deviations (of the logarithm, at least 0.1) from the middle, so that collections
    of all sizes are not told so. Grey files are odd where at most a fifth is
    grey, and color ones where at most a fifth is not.
    """
    cells = evidence.dataset.table
    fields = [field for field, _ in encoded(evidence, Image) if cells.schema[field.name] in FILES]
    if not fields:
        raise Skip("the images are no files")
    for field in fields:
        rows, sides, grey = _headers(evidence, field.name)
        if not len(rows):
            continue
        ratio, size = np.log(sides[:, 0] / sides[:, 1]), np.log(sides[:, 0] * sides[:, 1]) / 2
        for title, mask, score, measure in (
            ("odd-shaped images", *_far(ratio, STRETCHED), "times the usual width"),
            ("odd-sized images", *_far(size, SMALLER), "times the usual side"),
        ):
            text = f"of another {'shape' if title.startswith('odd-shaped') else 'size'} than the others"
            yield from _found(evidence, field.name, title, rows, mask, score, text, measure)
        for name, mask in (("grey", grey), ("color", ~grey)):
            if 0 < mask.mean() <= RARE:
                text = f"{name} where the others are not"
                yield from _found(evidence, field.name, f"{name} images", rows, mask, np.zeros(len(rows)), text, "")


def _headers(evidence: DataEvidence, column: str) -> tuple[Rows, Floats, Mask]:
    """Rows whose header can be read, their (width, height) as a person sees them, and which are grey."""
    rows = readable(evidence, FAST_FILES)
    cells = evidence.dataset.table[column][rows].to_list()
    read, sides, grey = list[int](), list[tuple[int, int]](), list[bool]()
    with without_warnings():  # of pillow, about files that are read all the same
        for row, cell in zip(rows.tolist(), cells, strict=True):
            with PIL.open(BytesIO(cell) if isinstance(cell, bytes) else cell) as file:
                width, height = file.size
                is_turned = file.getexif().get(ORIENTATION, 1) >= TURNED
                grey.append(file.mode in GREY)
            read.append(row)
            sides.append((height, width) if is_turned else (width, height))
    return np.array(read, np.int64), np.array(sides, np.float64).reshape(-1, 2), np.array(grey, bool)


def _far(logs: Floats, times: float) -> tuple[Mask, Floats]:
    """Which are far from the middle, and how many times, as logarithms."""
    away = logs - float(np.median(logs))
    return (np.abs(away) > np.log(times)) & (np.abs(deviations(logs, SPREAD)) >= BY), away


def _found(
    evidence: DataEvidence, column: str, title: str, rows: Rows, mask: Mask, away: Floats, text: str, unit: str
) -> Iterator[Finding]:
    places = np.flatnonzero(mask)
    if not len(places):
        return
    places = places[np.argsort(-np.abs(away[places]), kind="stable")]
    found = as_rows(rows[places])
    severity = severity_of(len(found), len(rows)) if unit else "note"
    yield Finding(
        severity=severity,
        title=title,
        summary=f"{counted(len(found), 'image')} of {len(rows):,} in {column!r} {text}",
        measures=(Measure(f"{unit}, the worst", float(np.exp(away[places[0]]))),) if unit else (),
        columns=(column,),
        rows=found,
        confidence=0.9,
        otherwise=("they may be of another source, but right",),
        remedies=(Remedy("Look at them, then cut them to the usual shape or leave them out."),),
        fixes=drops(evidence, found, 0.5) if severity == "warning" else (),
    )
