"""Cells as HTML and numbers as words, for reports."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from io import BytesIO
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PIL
from torch import Tensor

SPEAKS_FOR, SPEAKS_AGAINST = "230, 120, 0", "0, 90, 200"  # orange and blue: color-blind people can tell them apart
LINE_HEIGHT = 40  # units of a series' drawing
TINT = 0.8  # share of a pixel's color that the tint replaces at the strongest attribution


def shaded(text: str, weight: float = 0.0) -> str:
    """Escaped text on a background whose strength is its weight in [-1, 1]: orange for, blue against."""
    return f'<span style="{shade(weight)}">{escape(text)}</span>' if weight else f"<span>{escape(text)}</span>"


def shade(weight: float) -> str:
    """The background style for a weight in [-1, 1]."""
    return f"background: {_color(weight)}"


def total(attribution: Tensor | None) -> float:
    """One weight for a whole cell."""
    return 0.0 if attribution is None else float(attribution.sum())


def polylines(values: Tensor, attribution: Tensor | None, names: Sequence[str]) -> str:
    """Channels (T, channels) as stacked lines, each in its own range; a step's background shows its attribution."""
    low, high = values.nan_to_num(torch.inf).amin(0), values.nan_to_num(-torch.inf).amax(0)
    heights = (LINE_HEIGHT * (high - values) / (high - low).clamp(min=1e-30)).tolist()
    grounds = [] if attribution is None else attribution.sum(1).tolist()
    bars = [
        f'<rect x="{x}" width="1" height="{LINE_HEIGHT}" fill="{_color(weight)}"/>'
        for x, weight in enumerate(grounds)
        if weight
    ]
    lines = [
        f'<polyline fill="none" stroke="currentColor" stroke-width="0.5" points="{_points(channel)}">'
        f"<title>{escape(name)}</title></polyline>"
        for name, channel in zip(names, zip(*heights, strict=True), strict=True)
    ]
    size = f'viewBox="0 0 {len(values)} {LINE_HEIGHT}" width="{4 * len(values)}" height="{4 * LINE_HEIGHT}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(bars + lines)}</svg>'


def picture(pixels: NDArray[Any], attribution: Tensor | None, title: str) -> str:
    """Pixels (C, H, W) uint8 as an inline image; pixels with strong attribution (C, H, W) are tinted."""
    shown = np.broadcast_to(pixels, (3, *pixels.shape[1:])).astype(np.float32)
    if attribution is not None:
        weights = attribution.sum(0).numpy().clip(-1, 1)
        tints = np.where(weights > 0, _rgb(SPEAKS_FOR), _rgb(SPEAKS_AGAINST))
        shown = shown + (tints - shown) * np.abs(weights) * TINT
    file = BytesIO()
    PIL.fromarray(shown.astype(np.uint8).transpose(1, 2, 0)).save(file, "png")
    return f'<img alt="{escape(title)}" src="data:image/png;base64,{b64encode(file.getvalue()).decode()}">'


def share(part: float) -> str:
    """`3 %`, `under 1 %`."""
    return f"{part:.0%}".replace("%", " %") if part == 0 or part >= 0.01 else "under 1 %"


def figure(value: float) -> str:
    """A number as people write it: `12,345`, `39.5`."""
    if abs(value) >= 1e15 or value != round(value):
        return f"{value:.6g}"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.0f}"  # 2014 may be a year


def _color(weight: float) -> str:
    return f"rgba({SPEAKS_FOR if weight > 0 else SPEAKS_AGAINST}, {min(abs(weight), 1):.2f})"


def _rgb(color: str) -> NDArray[Any]:
    return np.array([float(part) for part in color.split(",")], dtype=np.float32)[:, None, None]


def _points(heights: Sequence[float]) -> str:
    """Missing steps are left out."""
    return " ".join(f"{x + 0.5},{y:.1f}" for x, y in enumerate(heights) if y == y)
