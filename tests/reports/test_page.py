import sys
from base64 import b64decode, b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from io import BytesIO
from math import inf, nan
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from torch import nn

from netwright.data.dataset import Dataset
from netwright.data.examples import empty
from netwright.records.errors import MissingPackage, RunError
from netwright.records.finding import Chart, Checked, Finding, Fix, Measure, Remedy, Report
from netwright.records.recipe import Recipe
from netwright.records.result import Section
from netwright.records.run import Run
from netwright.records.schema import Schema
from netwright.records.task import Metric, Scores
from netwright.reports.page import PICTURES, page, verdict, written
from netwright.reports.pictures import SIDE, as_uri, pictures_of
from netwright.reports.text import summary
from netwright.tasks.classification import Classification

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "' onload='alert(1)",
    "</style></title></svg><svg onload=alert(1)>",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "long" * 25_000,
    "\u202egpj.exe \U0001f642 \u4f60\u597d \x00\x07",
    "bytes \udcff",
)
TAGS = {"script", "iframe", "object", "embed", "form", "base", "link", "foreignobject", "animate", "set", "use"}


class Reader(HTMLParser):
    """All tags, attributes and words of a page; fails on a tag that is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def finding(text: str = "plain", **more: object) -> Finding:
    """A finding that says `text` everywhere."""
    measure = Measure(text, 0.3, 0.2, 0.4, 0.1)
    charts = tuple(
        Chart(kind, text, text, text, (text, "b"), ((1.0, 2.0, nan), (3.0, inf, 4.0)), marks=((1.0, text),))
        for kind in ("lines", "bars", "map")
    )
    given: dict[str, object] = {
        "measures": (measure,),
        "columns": (text,) * 20,
        "rows": tuple(range(10_000)),
        "places": (text,) * 5,
        "expected": measure,
        "confidence": 0.9,
        "otherwise": (text,),
        "remedies": (Remedy(text, {text: text}, text, text),),
        "fixes": (Fix(0, text, "relabel", text, text, text),),
        "layers": (text,) * 20,
        "charts": charts,
    }
    return Finding("warning", text, code="NW110", title=text, **(given | more))  # type: ignore[arg-type]  fields by name


def report(*findings: Finding, subject: str = "people.csv") -> Report:
    return Report(subject, 10_000, findings, (Checked("NW110", "label errors", 0.5),))


def page_that_says(text: str) -> str:
    full = replace(report(finding(text), subject=text), checks=(Checked(text, text, 0.1, text),), notes=(text,))
    return page(Section(text, full, charts=finding(text).charts))


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:12]))
def test_words_of_the_data_stay_words(text: str) -> None:
    made = page_that_says(text)
    read = Reader(made)
    for tag, attributes in read.tags:
        assert tag not in TAGS
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "srcdoc", "action")]
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,"))
    assert {tag for tag, _ in read.tags} == {tag for tag, _ in Reader(page_that_says("plain")).tags}
    assert len(made) < 200_000
    made.encode()
    if len(text) < 100 and "\x00" not in text and "\udcff" not in text:
        assert text in read.words


def test_nothing_is_fetched_and_nothing_runs() -> None:
    made = page(Section("t", report(finding()), pictures=lambda _row: Image.new("RGB", (9, 9))))
    policy = next(a["content"] for tag, a in Reader(made).tags if "Content-Security" in a.get("http-equiv", ""))
    style = made.partition("<style>")[2].partition("</style>")[0]
    assert f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" in policy
    assert "default-src 'none'" in policy
    for word in ("url(", "@import", "http://", "https://"):
        assert word not in made


def test_a_big_report_is_a_small_page() -> None:
    layers = tuple(f"layer{k}" for k in range(300))
    grid = np.random.default_rng(0).normal(size=(300, 400))
    chart = Chart("map", "gradients", "step", "layer", layers, tuple(map(tuple, grid.tolist())))
    fixes = tuple(Fix(row, f"people.csv, line {row}", "drop") for row in range(10_000))
    each = finding(charts=(chart,), fixes=fixes, measures=finding().measures * 20)
    assert len(page(Section("t", report(*[each] * 12))).encode()) < 1 << 20


def test_findings_without_optional_parts_have_none() -> None:
    plain = Finding("note", "something is odd", code="OWN1", title="an own check")
    read = Reader(page(Section("t", Report("x", 0, (plain,), ()))))
    assert not {"table", "ul", "ol", "svg", "details", "img"} & {tag for tag, _ in read.tags}
    assert "OWN1" in read.words
    assert "1 check found nothing." in Reader(page(Section("t", report()))).words


def test_the_verdict_is_one_sentence_that_begins_with_the_worst() -> None:
    error = replace(finding("wrong mode"), severity="error", code="NW314")
    warning, note = finding("label errors"), replace(finding("odd"), severity="note")
    full = report(note, warning, error, error)
    assert verdict(full) == "Do not trust the scores yet: 2 errors, starting with wrong mode (NW314)."
    assert verdict(report(warning, note)) == "1 warning but no error: start with label errors (NW110)."
    words = Reader(page(Section("t", full))).words.partition("measured")[2]
    assert words.index("wrong mode") < words.index("label errors") < words.index("odd")
    assert verdict(report(note)) == "Nothing is wrong, and 1 note may be worth knowing."
    skipped = replace(report(), checks=(Checked("a", "a", 0.0), Checked("b", "b", 0.0, "no labels")))
    assert verdict(skipped) == "1 check found nothing; 1 check could not run."
    assert verdict(replace(skipped, checks=skipped.checks[1:])) == "No check could run."


def test_the_scores_of_a_run_stand_below_the_verdict() -> None:
    network, part = nn.Linear(2, 2), empty()
    metric = Metric("accuracy", 0.9, 0.85, 0.95, higher_is_better=True)
    scores = Scores((metric,), 200, ((90, 10), (10, 90)), ("<b>no", "yes"))
    task = Classification(scores.labels)
    run = Run(network, task, Schema(()), Recipe(), part, part, part, lambda: network, results={"scores": scores})
    read = Reader(page(Section("t", report(finding()), summary(run))))
    assert read.words.index("start with") < read.words.index("accuracy") < read.words.index("What NW110 means")
    assert "<b>no" in read.words


def test_remedies_stand_in_order_with_their_edits_as_words_of_the_command_line() -> None:
    first = Remedy("Lower the rate.", {"lr": 1e-3 * 0.3, "augment": ("shift", "flip")})
    words = Reader(page(Section("t", report(finding(remedies=(first, Remedy("Warm up."))))))).words
    assert '--set lr=0.0003 --set \'augment=["shift", "flip"]\'' in words
    assert words.index("Lower the rate.") < words.index("Warm up.")


def test_the_rule_of_a_code_is_folded_in() -> None:
    read = Reader(page(Section("t", report(finding()))))
    assert "\nWhy it matters:" in read.words  # a paragraph of its own, without the line breaks of the source
    assert ("details", {}) in read.tags


def test_a_few_pictures_stand_with_their_places_and_what_their_fixes_do() -> None:
    asked: list[int] = []

    def find(row: int) -> Image.Image | None:
        asked.append(row)
        return None if row == 1 else Image.new("L", (500, 300), row)

    fix = Fix(7, "photos/7.png", "relabel", "label", "cat", "dog")
    read = Reader(page(Section("t", report(finding(fixes=(fix,), places=("photos/0.png",))), pictures=find)))
    sources = [attributes["src"] for tag, attributes in read.tags if tag == "img"]
    assert asked == list(range(PICTURES))
    assert len(sources) == PICTURES - 1
    assert max(map(len, sources)) < 40_000
    for word in ("photos/0.png", "row 2", "cat → dog", "cannot be shown", "and 9,988 more rows"):
        assert word in read.words


def test_pictures_come_out_of_files_and_arrays_in_their_own_proportions(tmp_path: Path) -> None:
    Image.new("RGB", (300, 150), (255, 0, 0)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"broken")
    paths = [str(tmp_path / name) for name in ("a.png", "b.png", "c.png")]
    files = pictures_of(Dataset(pl.DataFrame({"x": [1, 2, 3], "image": paths}), (), "photos"))
    assert files is not None
    shown = files(0)
    assert shown is not None
    assert (shown.size, shown.getpixel((5, 5))) == ((SIDE, SIDE // 2), (255, 0, 0))
    assert files(1) is files(2) is None

    values = np.linspace(0, 1, 6 * 8 * 8, dtype=np.float32).reshape(6, 8, 8)
    arrays = pictures_of(Dataset(pl.DataFrame({"image": values}), (), "array", kinds={"image": "image:8"}))
    assert arrays is not None
    shown = arrays(5)
    assert shown is not None
    assert (shown.size, shown.getpixel((7, 7))) == ((8, 8), (255, 255, 255))

    assert pictures_of(Dataset(pl.DataFrame({"age": [1, 2]}), (), "people.csv")) is None


def test_small_pictures_keep_every_pixel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28, 3), np.uint8)
    content = b64decode(as_uri(Image.fromarray(pixels)).partition("base64,")[2])
    assert np.array_equal(np.asarray(Image.open(BytesIO(content))), pixels)


def test_the_error_without_jinja_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingPackage, match=r"netwright\[report\]"):
        page(Section("t", report()))
    assert str(report()).endswith("nothing found")


def test_a_page_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "audit.html"
    written((Section("people.csv", report(finding())),), path)
    assert path.read_text(encoding="utf-8").endswith("</html>\n")
    assert "<title>people.csv</title>" in path.read_text(encoding="utf-8")
    with pytest.raises(RunError, match="cannot be written"):
        written((Section("t", report()),), tmp_path / "none" / "audit.html")
    assert list(tmp_path.iterdir()) == [path]
