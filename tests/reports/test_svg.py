import random
import re
from base64 import b64decode
from io import BytesIO
from math import inf, isfinite, nan
from xml.etree.ElementTree import Element, fromstring

import numpy as np
import pytest
from PIL import Image

from netwright.records.finding import Chart, Measure
from netwright.reports.svg import BARS, CIVIDIS, LINES, bar, draw

KINDS = ("lines", "bars", "map")
EXTREME = (0.0, -0.0, 1.0, -1.0, 1e308, -1e308, 5e-324, 1e-300, nan, inf, -inf, 3.5)


def numbers(svg: Element) -> list[float]:
    """All coordinates and sizes."""
    found = list[float]()
    for element in svg.iter():
        for name in ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height", "points", "viewBox"):
            found += map(float, re.split(r"[ ,]", element.get(name, "0")))
    return found


def pixels(svg: Element) -> np.ndarray:
    """The cells of a map as RGBA."""
    image = next(element for element in svg.iter("image"))
    content = b64decode(image.get("href", "").removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(BytesIO(content)).convert("RGBA"))


@pytest.mark.parametrize("kind", KINDS)
def test_coordinates_are_finite_and_inside_the_picture_whatever_the_numbers(kind: str) -> None:
    chance = random.Random(0)
    for trial in range(150):
        count = chance.randint(0, 8)
        values = tuple(tuple(chance.choices(EXTREME, k=chance.randint(0, 8))) for _ in range(count))
        places = tuple(sorted(chance.choices((*EXTREME, 2.0, 7.0), k=8))) if trial % 2 else ()
        marks = ((chance.choice(EXTREME), "here"),)
        chart = Chart(kind, "t", "x", "y", tuple("abcdefgh"[:count]), values, places, marks, chance.random() < 0.5)
        svg = fromstring(draw(chart).svg)
        assert all(map(isfinite, numbers(svg))), chart
        _, _, wide, high = map(float, svg.get("viewBox", "").split())
        for text in svg.iter("text"):
            assert 0 <= float(text.get("x", "")) <= wide, chart
            assert 0 <= float(text.get("y", "")) <= high, chart


def test_a_line_stands_where_its_numbers_are_and_breaks_at_gaps() -> None:
    values = (0.0, 1.0, nan, 3.0, 4.0, nan, 2.0)
    svg = fromstring(draw(Chart("lines", "t", "x", "y", ("a",), (values,))).svg)
    first, second = ([float(n) for n in re.split("[ ,]", p.get("points", ""))] for p in svg.iter("polyline"))
    assert len(first) == len(second) == 4
    (x0, y0, x1, y1), (x3, y3, x4, y4) = first, second
    assert x1 - x0 == pytest.approx(x4 - x3, abs=0.2)  # steps along x are alike
    assert y0 - y1 == pytest.approx(y3 - y4, abs=0.2) == pytest.approx((y0 - y4) / 4, abs=0.2)
    assert len(list(svg.iter("circle"))) == 5  # the lonely point has a dot too


def test_decades_are_even_on_logarithmic_scales_both_ways() -> None:
    rates = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
    svg = fromstring(draw(Chart("lines", "t", "lr", "y", ("a",), (rates,), rates, is_log=True)).svg)
    points = np.array([float(n) for n in re.split("[ ,]", next(svg.iter("polyline")).get("points", ""))]).reshape(-1, 2)
    assert np.ptp(np.diff(points, axis=0), axis=0).max() < 0.2


def test_a_mark_beyond_a_line_widens_the_chart() -> None:
    svg = fromstring(draw(Chart("lines", "t", "x", "y", ("a",), ((1.0, 2.0),), marks=((2.0, "here"),))).svg)
    mark = next(float(line.get("x1", "")) for line in svg.iter("line") if line.get("class") == "mark")
    points = next(svg.iter("polyline")).get("points", "").split()
    first, second = (float(point.split(",")[0]) for point in points)
    assert mark - second == pytest.approx(second - first, abs=0.2)


def test_peaks_stay_when_a_line_has_more_points_than_pixels() -> None:
    values = [1.0] * 100_000
    values[54_321] = 9.0
    svg = draw(Chart("lines", "t", "x", "y", ("a",), (tuple(values),))).svg
    heights = [float(p.split(",")[1]) for p in next(fromstring(svg).iter("polyline")).get("points", "").split()]
    assert min(heights) == 28.0
    assert len(svg) < 10_000


def test_bars_start_at_zero_and_go_both_ways() -> None:
    svg = fromstring(draw(Chart("bars", "t", "x", "y", ("a", "b", "c"), ((2.0,), (-1.0,), (nan,)))).svg)
    right, left = (element for element in svg.iter("rect"))
    assert float(right.get("width", "")) == pytest.approx(2 * float(left.get("width", "")), abs=0.2)
    end = float(left.get("x", "")) + float(left.get("width", ""))
    assert end == pytest.approx(float(right.get("x", "")), abs=0.2)
    assert "none" in [text.text for text in svg.iter("text")]


def test_a_map_shows_least_and_most_and_leaves_gaps_open() -> None:
    values = ((0.0, 1.0, nan), (0.5, 0.25, inf))
    drawing = draw(Chart("map", "t", "x", "y", ("a", "b"), values))
    cells = pixels(fromstring(drawing.svg))
    assert tuple(cells[0, 0]) == (*bytes.fromhex(CIVIDIS[0]), 255)
    assert tuple(cells[0, 1]) == (*bytes.fromhex(CIVIDIS[-1]), 255)
    assert cells[0, 2, 3] == cells[1, 2, 3] == 0
    assert drawing.caption == "infinite values: 1"


def test_what_is_odd_stays_in_a_map_of_more_cells_than_pixels() -> None:
    values = np.random.default_rng(0).normal(size=(1000, 1000)) * 0.01
    values[777, 333] = 5.0
    drawing = draw(Chart("map", "t", "x", "y", tuple(map(str, range(1000))), tuple(map(tuple, values.tolist()))))
    brightest = pixels(fromstring(drawing.svg))[..., :3] == tuple(bytes.fromhex(CIVIDIS[-1]))
    assert brightest.all(-1).sum() == 1
    assert len(drawing.svg) < 50_000
    assert "the most unusual of several of 1000 x 1000" in drawing.caption


def test_colors_grow_brighter_from_least_to_most() -> None:
    luma = [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in (bytes.fromhex(color) for color in CIVIDIS)]
    assert luma == sorted(luma)


def test_lines_and_bars_that_are_too_many_are_counted() -> None:
    names, values = tuple(map(str, range(50))), ((1.0, 2.0),) * 50
    lines = draw(Chart("lines", "t", "x", "y", names, values))
    assert len(lines.legend) == LINES
    assert lines.caption == "42 more lines are not drawn"
    bars = draw(Chart("bars", "t", "x", "y", names, values))
    assert bars.caption == f"{50 - BARS} more bars are not drawn"


def test_a_chart_tells_its_title_and_numbers_to_those_who_hear_it() -> None:
    svg = fromstring(draw(Chart("lines", "loss", "epoch", "loss", ("training",), ((2.0, 0.5, 1.0),))).svg)
    assert svg.get("role") == "img"
    assert (svg[0].tag, svg[0].text) == ("title", "loss")
    assert (svg[1].tag, svg[1].text) == ("desc", "training: 2 to 1, least 0.5, most 2")


def test_a_measure_is_drawn_between_its_interval_and_threshold() -> None:
    svg = fromstring(bar(Measure("share", 0.3, 0.2, 0.4, 0.1)))
    interval = next(svg.iter("rect"))
    left, value = float(interval.get("x", "")), float(next(svg.iter("circle")).get("cx", ""))
    right = left + float(interval.get("width", ""))
    threshold = next(float(line.get("x1", "")) for line in svg.iter("line") if line.get("class") == "threshold")
    assert threshold < left < value < right
    assert value - left == pytest.approx(right - value, abs=0.2)
    assert bar(Measure("count", 3.0)) == ""
    assert bar(Measure("ratio", inf, threshold=2.0)) == ""
