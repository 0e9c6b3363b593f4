"""Charts as small SVG pictures that take their colors from the page."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import groupby
from math import ceil, floor, isfinite, log10
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from netwright.records.finding import Chart, Measure

WIDE, HIGH = 420, 240  # a phone shows 420 units at a scale of about 0.8: letters of size 12 stay readable
LETTER = 6.6  # width of a letter of size 12
NAMES = 130.0  # maximum width of names next to bars and maps
LINES, BARS, MARKS = 8, 40, 6  # drawn; more cannot be told apart, and the caption says that there are more
POINTS = 300  # of a line: nearly one per pixel
DOTTED = 20  # a line with at most this many points has a dot for each
MAP_ROWS, MAP_COLUMNS = 120, 160  # cells of a map: 26 KB at most
ENDLESS, NOTHING = 1e300, 1e-290  # larger numbers are drawn as this: differences stay finite
WIDE_RANGE = 100  # from this factor on, bars of values with one sign use a logarithmic scale
# Nuñez, Anderton and Renslow 2018, arXiv:1712.01662: equally bright to the color-blind, and in gray.
CIVIDIS = ("00224e", "123570", "3b496c", "575d6d", "707173", "8a8678", "a59c74", "c3b369", "e1cc55", "fee838")
TOLD = 400  # letters of a title or name shown on hover
SHADES = 64  # of a map
_DASHES = ("", "7 3", "2 3", "9 3 2 3")

Grid = NDArray[np.float64]


@dataclass(frozen=True)
class Drawing:
    """A chart's picture, its lines' names in the order of the classes `line0`, `line1`, ..., and what is omitted."""

    svg: str
    legend: tuple[tuple[str, str], ...]  # a name, and the dashes of its line
    caption: str


def draw(chart: Chart) -> Drawing:
    """Lines, bars or a map. NaN are gaps. In a log chart zero and less are gaps too; in a map, the lowest color.

    A line's x axis is logarithmic if places crowd at the low end, as the learning rates of a ladder do.
    """
    drawn = {"lines": _lines, "bars": _bars, "map": _map}[chart.kind](chart)
    endless = sum(abs(v) == float("inf") for row in chart.values for v in row)
    notes = [drawn.caption, f"infinite values: {endless:,}" if endless else ""]
    return Drawing(drawn.svg, drawn.legend, "; ".join(filter(None, notes)))


def bar(measure: Measure) -> str:
    """A measure's value as a dot, its interval as a bar, its threshold as a line; empty if it has neither."""
    around = [v for v in (measure.low, measure.high, measure.threshold) if v is not None]
    if not around or not all(map(isfinite, (measure.value, *around))):
        return ""
    values = [measure.value, *around]
    is_log = min(values) > 0 and max(values) > WIDE_RANGE * min(values)
    scale = _scale(values if is_log else [0.0, *values], is_log, 6, 154)
    svg = _svg(160, 20, str(measure), "")
    _line(svg, 2, 10, 158, 10, "axis")
    if measure.low is not None and measure.high is not None:
        left, right = scale.at(measure.low), scale.at(measure.high)
        SubElement(svg, "rect", _box(left, 6, max(1.0, right - left), 8, "interval"))
    if measure.threshold is not None:
        _line(svg, scale.at(measure.threshold), 1, scale.at(measure.threshold), 19, "threshold")
    _dot(svg, scale.at(measure.value), 10, 4, "value")
    return _text_of(svg)


def _lines(chart: Chart) -> Drawing:
    count = max(map(len, chart.values), default=0)
    places = list(chart.places) if len(chart.places) >= count else [float(k) for k in range(count)]
    drawn = list(zip(chart.names, chart.values, strict=False))[:LINES]
    heights = [v for _, values in drawn for v in values if isfinite(v) and (v > 0 or not chart.is_log)]
    svg = _svg(WIDE, HIGH, chart.title, "; ".join(_told(name, values) for name, values in drawn))
    if not heights:
        return _empty(chart, svg)
    if not chart.is_log and 0 < min(heights) < max(heights) / 3:
        heights.append(0.0)  # the background would look like 0
    up = _scale(heights, chart.is_log, HIGH - 40, 28)
    left = 12 + LETTER * max(len(_number(tick)) for tick in up.ticks())
    is_log = _crowds(places)
    marked = [place for place, _ in chart.marks[:MARKS] if place > 0 or not is_log]
    along = _scale([*places, *marked], is_log, left, WIDE - 14)
    _frame(svg, chart, along, up, left)
    for k, (_, values) in enumerate(drawn):
        points = [
            (along.at(place), up.at(value))
            if isfinite(place) and isfinite(value) and (value > 0 or not up.is_log)
            else None
            for place, value in zip(places, values, strict=False)
        ]
        _polyline(svg, points, k)
    legend = tuple((name, _DASHES[k % len(_DASHES)]) for k, (name, _) in enumerate(drawn))
    more = len(chart.names) - len(drawn)
    return Drawing(_text_of(svg), legend, f"{more:,} more lines are not drawn" if more > 0 else "")


def _polyline(svg: Element, points: Sequence[tuple[float, float] | None], k: int) -> None:
    for is_there, stretch in groupby(_thinned(points), key=lambda point: point is not None):
        if not is_there:
            continue
        found = [point for point in stretch if point is not None]
        if len(found) > 1:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in found)
            dashes = {"stroke-dasharray": _DASHES[k % len(_DASHES)]} if k % len(_DASHES) else {}
            SubElement(svg, "polyline", {"points": path, "class": f"line{k}", **dashes})
        if len(found) == 1 or len(points) <= DOTTED:
            for x, y in found:
                _dot(svg, x, y, 2.5, f"dot{k}")


def _thinned(points: Sequence[tuple[float, float] | None]) -> list[tuple[float, float] | None]:
    """At most POINTS: the highest and lowest of each stretch, so that peaks stay."""
    if len(points) <= POINTS:
        return list(points)
    kept: list[tuple[float, float] | None] = []
    for stretch in np.array_split(np.arange(len(points)), POINTS // 2):
        found = [point for k in stretch if (point := points[k]) is not None]
        ends = {min(found, key=lambda p: p[1]), max(found, key=lambda p: p[1])} if found else set()
        kept += sorted(ends) or [None]
    return kept


def _bars(chart: Chart) -> Drawing:
    shown = list(zip(chart.names, chart.values, strict=False))[:BARS]
    widths = [v for _, values in shown for v in values if isfinite(v) and (v > 0 or not chart.is_log)]
    high = 18 * len(shown) + 66
    svg = _svg(WIDE, high, chart.title, "; ".join(_told(name, values) for name, values in shown))
    if not widths:
        return _empty(chart, svg)
    left = 10 + min(NAMES, LETTER * max(len(name) for name, _ in shown))
    along = _scale(widths if chart.is_log else [0.0, *widths], chart.is_log, left, WIDE - 56)
    ground = left if chart.is_log else along.at(0.0)
    _along_x(svg, chart, along, high - 38)
    for k, (name, values) in enumerate(shown):
        top, thick = 24 + 18 * k, 14 / max(1, len(values))
        _text(svg, left - 6, top + 12, _short(name, NAMES), "end", name)
        for n, value in enumerate(values):
            y = top + 1 + n * thick
            if not isfinite(value) or (chart.is_log and value <= 0):
                _text(svg, ground + 4, top + 12, "none")
                continue
            end = along.at(value)
            SubElement(
                svg, "rect", _box(min(ground, end), y, max(1.0, abs(end - ground)), thick - 1, f"bar{n % LINES}")
            )
            if len(values) == 1:
                _text(svg, max(ground, end) + 4, top + 12, _number(value))
    _line(svg, ground, 22, ground, high - 38, "axis")
    more = len(chart.names) - len(shown)
    return Drawing(_text_of(svg), (), f"{more:,} more bars are not drawn" if more > 0 else "")


def _map(chart: Chart) -> Drawing:
    columns = max(map(len, chart.values), default=0)
    grid = np.full((len(chart.values), columns), np.nan)
    for k, row in enumerate(chart.values):
        grid[k, : len(row)] = row
    grid[~np.isfinite(grid)] = np.nan
    grid = np.clip(grid, -ENDLESS, ENDLESS)
    is_log = chart.is_log and bool((grid > 0).any())
    if is_log:
        grid = np.log10(np.maximum(grid, np.nanmin(grid[grid > 0])))
    told = "; ".join(_told(name, values) for name, values in zip(chart.names[:BARS], chart.values, strict=False))
    small = _pooled(_pooled(grid, MAP_ROWS).T, MAP_COLUMNS).T
    rows = len(small)
    tall = min(280.0, max(40.0, 14.0 * rows))
    svg = _svg(WIDE, round(tall) + 66, chart.title, told)
    if not np.isfinite(grid).any():
        return _empty(chart, svg)
    low, high = float(np.nanmin(grid)), float(np.nanmax(grid))
    left = 10 + min(NAMES, LETTER * max((len(name) for name in chart.names), default=0))
    wide = WIDE - 14 - left
    SubElement(
        svg, "image", _box(left, 24, wide, tall, "map")
        | {"href": _shaded(small, low, high), "preserveAspectRatio": "none", "image-rendering": "pixelated"},
    )  # fmt: skip
    SubElement(svg, "rect", _box(left, 24, wide, tall, "frame"))
    every = ceil(12 * rows / tall)
    for k in range(0, rows, every):
        name = chart.names[k * len(grid) // rows]
        _text(svg, left - 6, 24 + tall * (k + 0.5) / rows + 4, _short(name, NAMES), "end", name)
    places = chart.places if len(chart.places) >= columns else tuple(float(k) for k in range(columns))
    for k in sorted({round(share * (columns - 1)) for share in (0, 0.25, 0.5, 0.75, 1)}):
        _text(svg, left + wide * (k + 0.5) / columns, tall + 40, _number(places[k]), "middle")
    _text(svg, left + wide / 2, tall + 58, _short(chart.x, wide), "middle", chart.x)
    for k, (place, word) in enumerate(chart.marks[:MARKS]):
        nearest = min(range(columns), key=lambda column: abs(places[column] - place))
        _mark(svg, left + wide * (nearest + 0.5) / columns, 24, 24 + tall, 36 + 14 * (k % 3), word)
    _key(svg, chart.y, *((10**v for v in (low, high)) if is_log else (low, high)))
    pooled = (
        f"each cell shows the most unusual of several of {len(grid)} x {columns}" if small.shape != grid.shape else ""
    )
    return Drawing(_text_of(svg), (), pooled)


def _pooled(grid: Grid, most: int) -> Grid:
    """At most this many rows: each cell is the value farthest from the overall median, so outliers stay visible."""
    if len(grid) <= most:
        return grid
    far = np.nan_to_num(np.abs(grid - np.nanmedian(grid)), nan=-1.0) if np.isfinite(grid).any() else np.zeros_like(grid)
    groups = np.array_split(np.arange(len(grid)), most)
    return np.stack([grid[g[far[g].argmax(0)], np.arange(grid.shape[1])] for g in groups])


def _shaded(grid: Grid, low: float, high: float) -> str:
    """A PNG with one pixel per cell, as a data URI; NaN are transparent."""
    share = (grid - low) / (high - low) if high > low else np.full_like(grid, 0.5)
    shades = np.where(np.isnan(share), 0, 1 + np.nan_to_num(share) * (SHADES - 1)).round().astype(np.uint8)
    picture = Image.fromarray(shades)
    picture.putpalette([0, 0, 0, *(channel for k in range(SHADES) for channel in _color(k / (SHADES - 1)))])
    file = BytesIO()
    picture.save(file, "PNG", transparency=0, optimize=True)
    return "data:image/png;base64," + b64encode(file.getvalue()).decode()


def _color(share: float) -> tuple[int, ...]:
    """The color in CIVIDIS at 0 to 1."""
    anchors = np.array([tuple(bytes.fromhex(c)) for c in CIVIDIS])
    where = np.linspace(0, 1, len(CIVIDIS))
    return tuple(round(float(np.interp(share, where, anchors[:, channel]))) for channel in range(3))


def _key(svg: Element, rows: str, low: float, high: float) -> None:
    """The color legend at the top right; the meaning of the rows at the top left."""
    ends = _number(low), _number(high)
    _text(svg, 4, 14, _short(rows, 150), full=rows)
    right = WIDE - 14 - LETTER * len(ends[1])
    _text(svg, right, 14, ends[1])
    for k in range(20):
        r, g, b = _color(k / 19)
        SubElement(svg, "rect", _box(right - 84 + 4 * k, 5, 4.2, 10, "key") | {"fill": f"#{r:02x}{g:02x}{b:02x}"})
    _text(svg, right - 88, 14, ends[0], "end")


def _empty(chart: Chart, svg: Element) -> Drawing:
    _text(svg, WIDE / 2, 40, "no finite value", "middle")
    return Drawing(_text_of(svg), (), "")


@dataclass(frozen=True)
class _Scale:
    """From values to pixels."""

    low: float
    high: float
    is_log: bool
    start: float
    end: float

    def at(self, value: float) -> float:
        value = _bounded(value)
        low, high = self.low, self.high
        if self.is_log:
            value, low, high = (log10(max(v, 1 / ENDLESS)) for v in (value, low, high))
        share = min(1.0, max(0.0, (value - low) / (high - low)))
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """About five round numbers."""
        if self.is_log:
            first, last = ceil(log10(self.low) - 1e-9), floor(log10(self.high) + 1e-9)
            if last > first:
                return [10.0**k for k in range(first, last + 1, ceil((last - first + 1) / 6))]
            return [self.low, self.high]
        rough = (self.high - self.low) / 4
        power = 10.0 ** floor(log10(rough))
        step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * 0.999)
        return [k * step for k in range(ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9) + 1)]


def _scale(values: Sequence[float], is_log: bool, start: float, end: float) -> _Scale:
    found = [_bounded(v) for v in values if isfinite(v)] or [0.0, 1.0]
    low, high = min(found), max(found)
    if is_log:
        low, high = max(low, 1 / ENDLESS), max(high, 1 / ENDLESS)
        if high < low * 1.1:
            low, high = low / 2, high * 2
    elif high - low <= 1e-9 * max(abs(low), abs(high)) or high - low < NOTHING:
        room = 0.1 * max(abs(low), abs(high))
        room = room if room > NOTHING else 1.0
        low, high = low - room, high + room
    return _Scale(low, high, is_log, start, end)


def _bounded(value: float) -> float:
    return min(ENDLESS, max(-ENDLESS, value))


def _crowds(places: Sequence[float]) -> bool:
    """Whether half of the places are in the first tenth of their range, and all are above 0."""
    found = sorted(p for p in places if isfinite(p))
    if len(found) < 4 or found[0] <= 0:
        return False
    return found[len(found) // 2] - found[0] < 0.1 * (found[-1] - found[0])


def _frame(svg: Element, chart: Chart, along: _Scale, up: _Scale, left: float) -> None:
    for tick in up.ticks():
        y = up.at(tick)
        _line(svg, left, y, WIDE - 14, y, "grid")
        _text(svg, left - 6, y + 4, _number(tick), "end")
    _text(svg, 4, 14, _short(chart.y, WIDE - 20), full=chart.y)
    _along_x(svg, chart, along, HIGH - 40)
    _line(svg, left, HIGH - 40, WIDE - 14, HIGH - 40, "axis")


def _along_x(svg: Element, chart: Chart, along: _Scale, bottom: float) -> None:
    """Ticks, the axis' name, and the marks."""
    for tick in along.ticks():
        _line(svg, along.at(tick), bottom, along.at(tick), bottom + 4, "axis")
        _text(svg, along.at(tick), bottom + 16, _number(tick), "middle")
    _text(svg, (along.start + along.end) / 2, bottom + 33, _short(chart.x, WIDE - 20), "middle", chart.x)
    for k, (place, word) in enumerate(chart.marks[:MARKS]):
        if isfinite(place):
            _mark(svg, along.at(place), 24, bottom, 36 + 14 * (k % 3), word)


def _mark(svg: Element, x: float, top: float, bottom: float, y: float, word: str) -> None:
    for style in ("halo", "mark"):
        _line(svg, x, top, x, bottom, style)
    is_left = x < 0.6 * WIDE
    _text(svg, x + (4 if is_left else -4), y, _short(word, 150), "start" if is_left else "end", word, "marked")


def _told(name: str, values: Sequence[float]) -> str:
    """A row of numbers for screen readers: `training: 2.3 to 0.12, least 0.11, most 2.4`."""
    found = [v for v in values if isfinite(v)]
    name = _short(name, TOLD)
    if not found:
        return f"{name}: nothing"
    if len(found) == 1:
        return f"{name}: {found[0]:.4g}"
    return f"{name}: {found[0]:.4g} to {found[-1]:.4g}, least {min(found):.4g}, most {max(found):.4g}"


def _number(value: float) -> str:
    """Three digits."""
    if not isfinite(value):
        return str(value)
    if value and not 1e-3 <= abs(value) < 1e5:
        mantissa, _, power = f"{value:.1e}".partition("e")
        return f"{mantissa.removesuffix('.0')}e{int(power)}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _short(text: str, wide: float) -> str:
    """Cut to this many pixels, near the start: the ends of layers' names distinguish them."""
    most = max(4, int(wide / LETTER))
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most // 4]}…{text[len(text) - (most - most // 4 - 1) :]}"


def _svg(wide: int, high: int, title: str, told: str) -> Element:
    svg = Element("svg", {"viewBox": f"0 0 {wide} {high}", "width": str(wide), "height": str(high), "role": "img"})
    SubElement(svg, "title").text = title[:TOLD]
    if told:
        SubElement(svg, "desc").text = told
    return svg


def _text_of(svg: Element) -> str:
    return tostring(svg, encoding="unicode")


def _text(svg: Element, x: float, y: float, text: str, anchor: str = "start", full: str = "", style: str = "") -> None:
    """`full` is shown on hover if the text was cut."""
    look: dict[str, str] = {"text-anchor": anchor} if anchor != "start" else {}
    look |= {"class": style} if style else {}
    element = SubElement(svg, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}", **look})
    element.text = text
    if full and full != text:
        SubElement(element, "title").text = full[:TOLD]


def _line(svg: Element, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
    ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    SubElement(svg, "line", {**{name: f"{v:.1f}" for name, v in ends.items()}, "class": style})


def _dot(svg: Element, x: float, y: float, radius: float, style: str) -> None:
    SubElement(svg, "circle", {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": f"{radius:g}", "class": style})


def _box(x: float, y: float, wide: float, high: float, style: str) -> dict[str, str]:
    sides = {"x": x, "y": y, "width": wide, "height": high}
    return {**{name: f"{v:.1f}" for name, v in sides.items()}, "class": style}
