"""Pictures under attack: the input, the change made visible, and the result."""

from collections.abc import Callable

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from netwright.records.robustness import Attacked
from netwright.records.run import Run

ROWS = 8
LEAST_SIDE, MOST_SIDE = 96, 160  # pixels of a picture: smaller ones are enlarged, larger ones shrunk
GAP, TITLE = 4, 14  # pixels


def attacked_picture(run: Run, attacked: Attacked) -> Image.Image | None:
    """A line for each of 8 beaten rows. None if the run has no pictures, or none was beaten."""
    place = _place(run)
    rows = attacked.beaten.nonzero()[:, 0]
    rows = rows[:: max(1, len(rows) // ROWS)][:ROWS].tolist()  # folders are in the order of their labels
    if place is None or not rows:
        return None
    strips = [_strip(run, attacked, place, row) for row in rows]
    whole = Image.new("RGB", (max(s.width for s in strips), sum(s.height + GAP for s in strips)), "white")
    top = 0
    for strip in strips:
        whole.paste(strip, (0, top))
        top += strip.height + GAP
    return whole


def pictures_of_rows(run: Run, attacked: Attacked) -> Callable[[int], Image.Image | None] | None:
    """From a row's number to its strip; None if the run has no pictures."""
    place = _place(run)
    if place is None:
        return None
    where = {number: row for row, number in enumerate(attacked.before.rows.tolist())}
    return lambda number: _strip(run, attacked, place, where[number]) if number in where else None


def _place(run: Run) -> int | None:
    return next((k for k, block in enumerate(run.schema.blocks) if block.fields[0].family == "pictures"), None)


def _strip(run: Run, attacked: Attacked, place: int, row: int) -> Image.Image:
    """The input, the change as far as it goes around grey, and the result, each with what the network answers."""
    before, after = (batch.inputs[place][row].float().cpu() for batch in (attacked.before, attacked.after))
    most = float((after - before).abs().max())
    shown = 127.5 + (after - before) * (127.5 / most if most else 0.0)
    which = torch.tensor([row])
    answers = [
        str(run.task.predict(run.network, batch.keep(which))["prediction"][0])
        for batch in (attacked.before, attacked.after)
    ]
    factor = 127.5 / most if most else 1.0
    titles = (answers[0], f"change x {factor:.0f}", answers[1])
    parts = [_picture(x, title) for x, title in zip((before, shown, after), titles, strict=True)]
    strip = Image.new("RGB", (sum(p.width + GAP for p in parts), parts[0].height), "white")
    left = 0
    for part in parts:
        strip.paste(part, (left, 0))
        left += part.width + GAP
    return strip


def _picture(pixels: Tensor, title: str) -> Image.Image:
    pixels = pixels.round().clamp(0, 255).to(torch.uint8)
    pixels = pixels.expand(3, -1, -1) if len(pixels) == 1 else pixels[:3]
    side = max(pixels.shape[1:])
    factor = MOST_SIDE / side if side > MOST_SIDE else max(1, LEAST_SIDE // side)
    size = round(pixels.shape[2] * factor), round(pixels.shape[1] * factor)
    shown = Image.fromarray(pixels.permute(1, 2, 0).numpy()).resize(size, Image.Resampling.NEAREST)
    whole = Image.new("RGB", (size[0], size[1] + TITLE), "white")
    whole.paste(shown, (0, TITLE))
    ImageDraw.Draw(whole).text((0, 0), title.encode("ascii", "replace").decode()[: size[0] // 6], fill="black")
    return whole
