"""Picture files whose size, shape or color mode differs from that of the others."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from netwright.checks.data.encoded import encoded, readable
from netwright.checks.data.unlike import RARE, Floats, Mask, Odd, deviations, told, worst_first
from netwright.checks.evidence import DataEvidence, Skip
from netwright.data.split import Rows
from netwright.kinds.picture_files import header
from netwright.machine.quiet import without_warnings
from netwright.records.finding import Finding, Measure

FAST_FILES = 2_000  # headers read by a fast check: 0.2 s
STRETCHED = 2.0  # times wider or taller than the middle picture: circles become ellipses of 2 : 1
SMALLER = 4.0  # times smaller on average: each of its pixels becomes sixteen
BY = 5.0  # robust standard deviations of the logarithm from the middle
SPREAD = 0.1  # lowest standard deviation of a logarithm: cropping a tenth of a side is not odd
GREY = ("1", "L", "LA", "I", "I;16", "F")  # pillow's modes without color
FILES: tuple[object, ...] = (pl.String(), pl.Binary())  # types of cells that are paths or files
ORIENTATION, TURNED = 0x0112, 5  # EXIF's tag; from this value on, the sides are swapped

ADVICE = "Look at them, then crop them to the usual shape or drop them."
ANOTHER = "they may come from another source, but be right"


def odd_sizes(evidence: DataEvidence) -> Iterator[Finding]:
    """odd-sized images

    Picture files that are much smaller or larger than the others, have another shape, or are grey among color.

    Why it matters: all pictures are stretched to one size. One of another shape is distorted, a small one becomes
    blurred, and both are often something else: a thumbnail, a banner, a scanned page.

    How it is decided: by the headers of the files. A picture is odd if its ratio of width to height is more than twice,
    or less than half, that of the middle picture; or if its sides are on average four times smaller or larger. Either
    must also be at least 5 robust standard deviations (of the logarithm, at least 0.1) from the middle, so that
    collections of all sizes are not reported. Grey files are odd if at most a fifth is grey, and color files if at most
    a fifth is color. Fewer than 10 pictures that are less than 0.1 % of all are a note.
    """
    cells = evidence.dataset.table
    fields = [field for field, _ in encoded(evidence, "pictures") if cells.schema[field.name] in FILES]
    if not fields:
        raise Skip("the images are not files")
    for field in fields:
        rows, sides, grey = _headers(evidence, field.name)
        if not len(rows):
            continue
        ratio, size = np.log(sides[:, 0] / sides[:, 1]), np.log(sides[:, 0] * sides[:, 1]) / 2
        yield from told(evidence, field.name, rows, "image", ADVICE, _odd(ratio, size, grey))


def _odd(ratio: Floats, size: Floats, grey: Mask) -> Iterator[Odd]:
    for name, logs, times, unit in (("shape", ratio, STRETCHED, "width"), ("size", size, SMALLER, "side")):
        away = logs - float(np.median(logs))
        is_far = (np.abs(away) > np.log(times)) & (np.abs(deviations(logs, SPREAD)) >= BY)
        worst = float(np.exp(away[worst_first(is_far, np.abs(away))[:1]]).max(initial=0))
        measure = Measure(f"times the usual {unit}, worst file", worst)
        text, title = f"of another {name} than the others", f"odd-{name}d images"
        yield Odd(title, is_far, np.abs(away), text, (measure,), 0.9, ANOTHER, drop=0.5)
    for name, mask in (("grey", grey), ("color", ~grey)):
        if 0 < mask.mean() <= RARE:
            text = f"{name} while the others are not"
            yield Odd(f"{name} images", mask, np.zeros(len(mask)), text, (), 0.9, ANOTHER, "note", drop=0)


def _headers(evidence: DataEvidence, column: str) -> tuple[Rows, Floats, Mask]:
    """Rows with a readable header, their (width, height) as a person sees them, and which are grey."""
    rows = readable(evidence, FAST_FILES)
    cells = evidence.dataset.table[column][rows].to_list()
    read, sides, grey = list[int](), list[tuple[int, int]](), list[bool]()
    with without_warnings():  # of pillow, about files that it still reads
        for row, cell in zip(rows.tolist(), cells, strict=True):
            with header(cell) as file:
                width, height = file.size
                is_turned = file.getexif().get(ORIENTATION, 1) >= TURNED
                grey.append(file.mode in GREY)
            read.append(row)
            sides.append((height, width) if is_turned else (width, height))
    return np.array(read, np.int64), np.array(sides, np.float64).reshape(-1, 2), np.array(grey, bool)
