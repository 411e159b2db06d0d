"""report.html: the same numbers as the other files, nothing from elsewhere, and no text of a plugin
that is more than text.
"""

import base64
import hashlib
import re
import shutil
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.bench.conftest import recorded
from tests.bench.test_tables import trial
from vaezoo.bench.records import RunRecord
from vaezoo.bench.report.alike import Standing
from vaezoo.bench.report.html.charts import charts
from vaezoo.bench.report.html.page import page
from vaezoo.bench.report.html.pictures import pictures
from vaezoo.bench.report.html.scatter import Axis, Point, chart, unbeaten
from vaezoo.bench.report.html.source import Source
from vaezoo.bench.report.html.views import views
from vaezoo.bench.report.known import Known
from vaezoo.bench.report.printed import grids
from vaezoo.bench.report.report import report
from vaezoo.bench.report.rows import rows_of
from vaezoo.bench.report.tables import tables_of
from vaezoo.registry.entries import Function, Variant
from vaezoo.registry.registry import Registry, load_registry

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"
VOID = {"meta", "link", "input", "img", "br", "hr", "path", "rect", "polyline"}
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


class Page(HTMLParser):
    """Every table's rows as texts, every element, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.code: dict[str, list[str]] = {"script": [], "style": []}
        self.open: list[str] = []
        self.sheet = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        facts = {name: value or "" for name, value in attrs}
        self.elements.append((tag, facts))
        if facts.get("class") == "sheet":
            self.sheet = facts["id"]
            self.tables[self.sheet] = []
        if tag == "tr":
            self.tables[self.sheet].append([])
            self.is_group = facts.get("class") == "group"
        if tag in ("td", "th"):
            self.tables[self.sheet][-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        assert self.open.pop() == tag, tag
        if tag == "tr" and self.is_group:
            self.tables[self.sheet].pop()

    def handle_data(self, data):
        if self.open and self.open[-1] in self.code:
            self.code[self.open[-1]].append(data)
        elif {"td", "th"} & set(self.open):
            self.tables[self.sheet][-1][-1] += data

    def of(self, tag):
        return [facts for name, facts in self.elements if name == tag]


def written(text: str) -> list[list[list[str]]]:
    """The tables of a Markdown file as rows of cells, without the marks of bold."""
    found: list[list[list[str]]] = []
    for line in text.splitlines():
        if line.startswith("## "):
            found.append([])
        if line.startswith("| "):
            cells = re.split(r"(?<!\\)\|", line)[1:-1]
            plain = [cell.strip().removeprefix("**").removesuffix("**") for cell in cells]
            found[-1].append([re.sub(r"\\(.)", r"\1", cell) for cell in plain])
    return found


def source_of(tmp_path, trials, registry=None):
    """What a page is made of, from trials as trial.json holds them."""
    rows = rows_of([recorded(one) for one in trials])
    tables = [(table, grids(table)) for table in tables_of(rows)]
    known = Known.of(registry or load_registry())
    return Source(tmp_path, RunRecord(), rows, tables, [], {}, known)


@pytest.fixture(scope="module")
def jsb(tmp_path_factory) -> Path:
    """A copy of a committed run, with its page."""
    out = tmp_path_factory.mktemp("page") / "jsb"
    shutil.copytree(RESULTS / "jsb", out)
    report(out, figures=False)
    return out


@pytest.fixture(scope="module")
def read(jsb) -> Page:
    return Page((jsb / "report.html").read_text(encoding="utf-8"))


def test_every_row_of_every_table_is_that_of_the_markdown(jsb, read):
    files = sorted(jsb.glob("*.md"))
    assert len(files) > 5
    for file in files:
        for expected in written(file.read_text(encoding="utf-8")):
            found = [rows for key, rows in read.tables.items() if key == f"{file.stem}-jsb"]
            assert len(found) == 1
            assert found[0][0] == expected[0]
            assert Counter(map(tuple, found[0])) == Counter(map(tuple, expected))


def test_nothing_is_fetched_and_no_style_stands_in_an_attribute(read):
    for tag, facts in read.elements:
        assert not any(name.startswith("on") or name == "style" for name in facts), tag
        for name in ("src", "href", "action", "data", "srcset"):
            assert facts.get(name, "#").startswith(("#", "data:image/png;base64,")), facts
    text = "".join(read.code["style"])
    assert "url(" not in text
    assert "@import" not in text


def test_the_policy_lets_our_script_and_style_run_and_nothing_else(read):
    (policy,) = [m["content"] for m in read.of("meta") if "http-equiv" in m]
    assert policy.startswith("default-src 'none';")
    for tag, pieces in read.code.items():
        digest = hashlib.sha256("".join(pieces).encode()).digest()
        assert f"{tag}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
        assert len(read.of(tag)) == 1


def test_the_same_run_gives_the_same_bytes_within_the_size(jsb):
    before = (jsb / "report.html").read_bytes()
    report(jsb, figures=False)
    assert (jsb / "report.html").read_bytes() == before
    assert len(before) < 1_000_000


def test_links_lead_to_something(read):
    known = {facts["id"] for _, facts in read.elements if "id" in facts}
    links = {facts["href"][1:] for facts in read.of("a")}
    assert len(links) > 20
    assert links <= known


def test_what_a_reader_must_know_is_said(jsb):
    text = (jsb / "report.html").read_text(encoding="utf-8")
    hashes = re.findall(r"<dd>([0-9a-f]{64})</dd>", text)
    assert len(hashes) == 3
    assert "What to know before believing a number" in text
    assert "vaezoo report DIR" in text
    assert text.count('src="data:image/png;base64,') >= 4


def test_texts_of_plugins_and_trials_are_text(tmp_path):
    def hostile(spec):
        pass

    hostile.__doc__ = f"Does {HOSTILE}.\n\n{HOSTILE}\n\nPaper: {HOSTILE} 2014."
    hostile.tags = frozenset({HOSTILE, "prior"})
    known = load_registry().variants["vae"]
    bad = Variant("bad", Function(hostile), known.plugin)
    trials = [trial("bad", s, 20 + s) for s in range(2)]
    for one in trials:
        one["variant"] = f"bad[x={HOSTILE}]"
        one["dataset"] = f"data {HOSTILE}"
        one["reasons"] = {"kl": HOSTILE}
        one["settings"] = {"draws": HOSTILE}
        one["machine"] = {"platform": HOSTILE, "torch": HOSTILE}
    text = page(source_of(tmp_path, trials, Registry(variants={"bad": bad})))
    found = Page(text)
    assert "alert(1)" in text
    assert len(found.of("script")) == 1
    assert not found.of("img")
    assert not any(name.startswith("on") for _, facts in found.elements for name in facts)


def test_rows_set_apart_and_control_rows_stand_in_groups_of_their_own(tmp_path):
    trials = [trial("vae", s, 23 + s / 10) for s in range(3)]
    trials += [trial("cvae", s, 20 + s / 10, likelihood_is="given the label") for s in range(3)]
    text = page(source_of(tmp_path, trials))
    table = text[text.index('id="elbo-digits"') :]
    assert table.index(">vae</a>") < table.index("Rows set apart") < table.index(">cvae</a>")


def test_reference_rows_are_no_rows_of_the_run(tmp_path):
    source = source_of(tmp_path, [trial("vae", s, 23) for s in range(3)])
    others = rows_of([recorded(trial("iwae", s, 22)) for s in range(2)])
    rows = [*source.rows, *(replace(row, is_reference=True) for row in others)]
    tables = [(table, grids(table)) for table in tables_of(rows)]
    text = page(replace(source, rows=rows, tables=tables))
    table = text[text.index('id="elbo-digits"') :]
    assert table.index(">vae</a>") < table.index("Reference rows") < table.index(">iwae</a>")
    assert "1 of 1 variants, and 1 of the results that come with vaezoo" in text


def test_a_picture_that_cannot_be_read_or_has_no_room_is_named(tmp_path, monkeypatch):
    from PIL import Image

    from vaezoo.bench.report.html import pictures

    folder = tmp_path / "figures"
    folder.mkdir()
    (folder / "samples-digits.png").write_bytes(b"no picture")
    (folder / "samples-other.png").write_bytes(b"of another run")
    Image.new("RGB", (3000, 40), "red").save(folder / "learning-curves-digits.png")
    source = source_of(tmp_path, [trial("vae", 0, 20)])
    found = pictures.pictures(source)
    assert list(found) == ["samples", "learning-curves"]
    assert "cannot be read" in found["samples"][0].image.left_out
    assert found["learning-curves"][0].image.width == pictures.WIDEST
    monkeypatch.setattr(pictures, "BUDGET", 10)
    assert "the page has room for" in page(source)


def test_a_variant_has_small_pictures_of_what_it_makes(tmp_path, monkeypatch):
    from safetensors.numpy import save_file

    from vaezoo.bench.report.html import views

    source = source_of(tmp_path, [trial("vae", 0, 20), trial("beta", 0, 21)])
    for row in source.rows:
        folder = tmp_path / "trials" / row.done[0].key
        folder.mkdir(parents=True)
        x = np.random.default_rng(0).random((8, 1, 8, 8), np.float32)
        arrays = {"samples": x, "x": x, "reconstruction": x, "cloud": x[:, 0, :, 0]}
        save_file(arrays, folder / "figures.safetensors")
    found = Page(page(source)).of("figure")
    assert [facts["class"] for facts in found].count("view") == 4
    (samples, both) = views.views(source)["vae"]
    assert "samples" in samples.what
    assert (both.width / samples.width, both.height / samples.height) == (1, 17 / 8)
    monkeypatch.setattr(views, "BUDGET", 10)
    assert views.views(source) == {}


def test_the_frontier_joins_those_that_no_other_beats():
    def point(x, y, competes=True):
        return Point(f"{x},{y}", x, y, "", "other", competes=competes)

    points = [point(1, 5), point(2, 3), point(3, 4), point(4, 1), point(0, 0, competes=False)]
    assert [p.name for p in unbeaten(points, "lower", "lower")] == ["1,5", "2,3", "4,1"]
    assert [p.name for p in unbeaten(points, "lower", "higher")] == ["1,5"]
    made = chart("key", "title", (Axis("x"), Axis("y")), points)
    assert len(made.frontier.split()) == 5
    assert {mark.point.name for mark in made.marks if mark.is_best} == {"1,5", "2,3", "4,1"}


@pytest.fixture(scope="module")
def tab(jsb):
    """The page in a headless Chromium, with what it asked for and complained of."""
    sync = pytest.importorskip("playwright.sync_api", reason="pip install 'vaezoo[browser]'")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("there is no Chromium here")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        opened = browser.new_page()
        opened.asked, opened.complaints = [], []
        opened.on("request", lambda one: opened.asked.append(one.url))
        opened.on("console", lambda one: opened.complaints.append(one.text))
        opened.on("pageerror", lambda one: opened.complaints.append(str(one)))
        opened.goto((jsb / "report.html").as_uri())
        yield opened
        browser.close()


def first_column(tab, key="elbo-jsb"):
    """The names that are seen in a table, from top to bottom."""
    rows = tab.locator(f"#{key} tbody tr[data-name]:not(.out) th")
    return [re.sub(r" \[\d+\]", "", name) for name in rows.all_inner_texts()]


@pytest.mark.slow
def test_in_a_browser_it_sorts_filters_and_hides_columns(tab):
    names = first_column(tab)
    head = tab.locator("#elbo-jsb thead [role=button]", has_text="nll (nats)").first
    head.press("Enter")
    rising = first_column(tab)
    head.click()
    assert sorted(names) == sorted(rising)
    assert first_column(tab) != rising
    numbers = tab.locator("#elbo-jsb tbody tr[data-name] td:nth-child(4)").all_inner_texts()
    values = [float(one.split()[0]) for one in numbers if one[0].isdigit()]
    assert values == sorted(values, reverse=True)

    tab.fill("#filter-text", "vrnn, srnn")
    assert set(first_column(tab)) == {"vrnn", "srnn"}
    assert tab.locator(".chart .point:not(.out)").count() % 2 == 0
    tab.click("#filter button[type=reset]")
    tab.wait_for_function("!document.querySelector('tr.out')")
    tab.select_option("#filter-family", "recurrent")
    assert len(first_column(tab)) == len(names)
    tab.select_option("#filter-family", "")

    tab.click("#elbo-jsb .columns summary")
    tab.uncheck("#elbo-jsb .columns input >> nth=0")
    assert tab.locator("#elbo-jsb td:nth-child(2):visible").count() == 0


@pytest.mark.slow
def test_in_a_browser_points_and_footnotes_say_what_they_are_by_keyboard(tab):
    chart = tab.locator(".chart svg").first
    chart.focus()
    tab.keyboard.press("ArrowRight")
    said = tab.locator("#tip").inner_text()
    assert re.match(r"\w+: kl .* nats, reconstruction nll .* nats", said)
    tab.keyboard.press("ArrowRight")
    assert tab.locator("#tip").inner_text() != said
    tab.keyboard.press("Escape")
    assert tab.locator("#tip").is_hidden()
    tab.locator(".note").first.focus()
    assert tab.locator("#tip").is_visible()


@pytest.mark.slow
def test_in_a_browser_nothing_is_asked_for_and_a_telephone_is_wide_enough(tab, jsb):
    outside = [url for url in tab.asked if not url.startswith(("data:", jsb.as_uri()))]
    assert not outside
    assert not tab.complaints
    tab.set_viewport_size({"width": 400, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
    assert tab.pdf().startswith(b"%PDF")


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    """A copy of the committed run of all variants, with its page."""
    out = tmp_path_factory.mktemp("page") / "digits"
    shutil.copytree(RESULTS / "digits", out)
    report(out, figures=False)
    return out / "report.html"


@pytest.mark.slow
def test_in_a_browser_the_page_of_all_variants_opens_in_under_a_second(tab, digits):
    """By the clock, the fastest of five; where other programs have the processor, in half a second
    of its time.
    """
    assert digits.stat().st_size < 3_000_000
    tools = tab.context.new_cdp_session(tab)
    tools.send("Performance.enable", {"timeDomain": "threadTicks"})
    took = []
    for _ in range(5):
        tab.goto(digits.as_uri(), wait_until="load")
        tab.wait_for_function("performance.timing.loadEventEnd > 0")
        start_to_end = "performance.timing.loadEventEnd - performance.timing.navigationStart"
        took.append(tab.evaluate(start_to_end))
    metrics = tools.send("Performance.getMetrics")["metrics"]
    (busy,) = [one["value"] for one in metrics if one["name"] == "TaskDuration"]
    assert min(took) < 1000 or busy < 0.5, (took, busy)


def image_in(folder, name):
    import PIL.Image as pil

    folder.mkdir(exist_ok=True)
    pil.new("L", (4, 4)).save(folder / f"{name}.png")


def test_old_figures_are_left_out_and_those_that_cannot_be_drawn_again_stay(tmp_path):
    """Two pages were drawn once, today one; of another figure nothing could be drawn."""
    source = source_of(tmp_path, [trial("vae", 0, 90.0)])
    for name in ("samples-digits", "samples-digits-2", "traversals-digits", "sweep-digits"):
        image_in(tmp_path / "figures", name)
    today = replace(source, figures={"samples-digits"})

    def shown(source):
        return {one.file for ones in pictures(source).values() for one in ones}

    assert len(shown(source)) == 4  # drawn by nobody today
    kept = {"figures/samples-digits.png", "figures/traversals-digits.png"}
    assert shown(today) == kept  # the trial is without its files

    folder = tmp_path / "trials" / source.rows[0].done[0].key
    folder.mkdir(parents=True)
    for name in ("figures.safetensors", "history.csv"):
        (folder / name).touch()
    assert shown(today) == {"figures/samples-digits.png"}
    assert len(list((tmp_path / "figures").iterdir())) == 4  # no file goes


def test_what_another_protocol_made_is_in_no_chart_and_no_strip(tmp_path):
    trials = [trial("vae", 0, 90.0), trial("iwae", 0, 88.0)]
    for one in trials:
        one["metrics"]["train_seconds"] = 1.0
    source = source_of(tmp_path, trials)
    for row in source.rows:
        folder = tmp_path / "trials" / row.done[0].key
        folder.mkdir(parents=True)
        pixels = np.zeros((2, 1, 4, 4), np.float32)
        save_file({"samples": pixels}, folder / "figures.safetensors")
    rows = [replace(row, standing=Standing(is_stale=row.variant == "vae")) for row in source.rows]
    tables = [(replace(table, rows=rows), drawn) for table, drawn in source.tables]
    today = replace(source, rows=rows, tables=tables)
    assert set(views(source)) == {"vae", "iwae"}
    assert set(views(today)) == {"iwae"}
    assert in_charts(source) == {"vae", "iwae"}
    assert in_charts(today) == {"iwae"}


def in_charts(source):
    """The variants whose points some chart has."""
    every = [one for ones in charts(source).values() for one in ones]
    return {mark.point.name for one in every for mark in one.marks}
