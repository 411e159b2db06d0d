"""Hunts over text that others wrote, at every border where it leaves; and names of files."""

import csv
import io
import json
import re
import unicodedata
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

from hypothesis import given, strategies as st
from rich.console import Console

from tests.attack.hunts.words import OBEYED, texts
from vaezoo.bench import text as borders
from vaezoo.bench.report.html.standalone import standalone
from vaezoo.bench.report.latex import grid_tex
from vaezoo.bench.report.naming import file_names, safe_name
from vaezoo.bench.report.typeset import Grid, grid_markdown, grid_text, split_marks
from vaezoo.cli.drawn import draw_grid
from vaezoo.data.words import cut

PLACES = st.tuples(st.integers(0, 4), st.integers(0, 4))  # of cells that may not be there
GRIDS = st.builds(
    lambda title, rows, bold, caption, notes: Grid(
        title, ["variant", *rows[0][1:]], rows[1:], bold, caption, tuple(notes)
    ),
    texts,
    st.integers(2, 4).flatmap(
        lambda width: st.lists(
            st.lists(texts, min_size=width, max_size=width), min_size=1, max_size=5
        )
    ),
    st.frozensets(PLACES, max_size=2),
    texts,
    st.lists(texts, max_size=3),
)


@given(texts)
def test_a_terminal_obeys_nothing_and_nothing_is_lost_twice(text):
    shown = borders.plain(text)
    assert not OBEYED.search(shown)
    assert borders.plain(shown) == shown
    line = borders.on_one_line(text)
    assert not OBEYED.search(line)
    assert not set("\n\t\r") & set(line)
    assert borders.on_one_line(line) == line
    if text.isprintable():
        assert shown == line == text


@given(texts, st.integers(2, 50))
def test_a_line_of_a_stranger_obeys_nothing_and_is_no_longer_than_asked(text, width):
    line = cut(text, width)
    assert line == borders.on_one_line(line)
    assert not OBEYED.search(line)
    assert not set("\n\t\r") & set(line)
    assert len(line) <= width
    assert cut(line, width) == line


@given(texts)
def test_a_console_of_few_letters_gets_something_for_each(text):
    borders.bear_any_console()
    for encoding in ("ascii", "cp1252", "latin-1", "cp437"):
        said = borders.plain(text).encode(encoding, borders.ERRORS).decode(encoding)
        assert not OBEYED.search(said)
        assert borders.ASCII.keys() & set(said) <= set(text)


@given(st.one_of(texts, st.dictionaries(texts, texts, max_size=3)))
def test_json_says_what_it_was_told_without_what_is_obeyed(value):
    said = borders.in_json(value)
    assert json.loads(said) == value
    assert not OBEYED.search(said)


@given(st.lists(texts, min_size=1, max_size=4))
def test_a_cell_of_a_csv_is_read_back_and_is_no_formula(cells):
    safe = [borders.in_csv(cell) for cell in cells]
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerow(safe)
    assert list(csv.reader(io.StringIO(file.getvalue()))) == [safe]
    for cell, given_ in zip(safe, cells, strict=True):
        assert not OBEYED.search(cell)
        line = borders.on_one_line(given_)
        assert cell in (line, f"'{line}")
        first = cell.lstrip()[:1]
        assert (
            first not in set("=+-@")
            or re.fullmatch(r"\s*[+-]?[\d._eE+-]+\s*", cell)
            or float(cell) == float(cell)
        )


@given(GRIDS)
def test_markdown_has_a_line_a_row_a_cell_a_text_and_no_markup(grid):
    lines = grid_markdown(grid).splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert len(rows) == len(grid.body) + 1
    for row in rows:
        cells = re.split(r"(?<!\\)(?:\\\\)*\|", row)[1:-1]
        assert len(cells) == len(grid.head)
    for cell in (cell for row in grid.body for cell in row):
        shown = re.sub(r"\\(.)", r"\1", borders.in_markdown(cell))
        assert shown == borders.on_one_line(cell)
    for line in lines:
        bare = re.sub(r"\\.", "·", line)
        assert not re.search(r"[<>`]|\]\(|\]:|!\[", bare)
        assert not OBEYED.search(line)


@given(GRIDS)
def test_text_has_a_line_a_row(grid):
    lines = grid_text(grid).splitlines()
    assert all(set(lines[i]) <= {"-"} for i in (1, 3, 4 + len(grid.body)))
    assert not any(OBEYED.search(line) for line in lines)


@given(GRIDS, st.integers(1, 120))
def test_a_screen_of_any_width_shows_a_table_and_obeys_nothing(grid, width):
    screen = Console(file=io.StringIO(), width=width)
    draw_grid(grid, screen)
    assert not OBEYED.search(screen.file.getvalue())


class _Seen(HTMLParser):
    """What a browser would see of a page: its tags, and the texts of its cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


PLAIN = standalone([Grid("t", ["variant", "b [1]"], [["a [1]", "1 [1]"]], {(0, 1)}, "c", ("n",))])
PLAIN_PAGE = _Seen(PLAIN)


@given(GRIDS)
def test_a_page_has_no_tag_that_its_template_has_not(grid):
    page = standalone([grid])
    seen = _Seen(page)
    assert seen.tags <= PLAIN_PAGE.tags | {"sup", "strong", "b"}
    assert seen.attributes <= PLAIN_PAGE.attributes
    assert not OBEYED.search(page)
    for cell in (cell for row in grid.body for cell in row):
        # a "<" alone or at the end, or "</b", is of the template
        assert "<" not in cell[:-1] or cell not in page or cell in PLAIN


@given(GRIDS)
def test_latex_is_letters_in_balanced_braces(grid):
    for text in (grid.title, grid.caption, *grid.notes):
        words = borders.in_tex(text)
        assert "\n" not in words
        assert not OBEYED.search(words)
        bare = re.sub(r"\\text\w+\{\}|\$[^$]*\$|\\[&%$#_{}]", "", words)
        assert not set(bare) & set("\\&%$#_{}~^")
    made = re.sub(r"\\[\\{}]", "", grid_tex(grid, "tab"))
    depth = 0
    for letter in made:
        depth += (letter == "{") - (letter == "}")
        assert depth >= 0
    assert depth == 0
    assert not re.search(r"\\(input|write|def|catcode|csname|include)\b", made)


@given(texts)
def test_a_picture_is_xml_whatever_it_says(text):
    shown = borders.in_svg(text)
    escaped = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    read = ET.fromstring(f"<text>{escaped}</text>").text or ""
    assert read == shown
    assert borders.in_svg(shown) == shown


@given(st.lists(texts, max_size=6, unique=True))
def test_no_two_labels_share_a_file_and_every_name_is_one(labels):
    # a name that is made of a label may be a label itself
    labels = list(dict.fromkeys([*labels, *file_names(labels).values()]))
    names = file_names(labels)
    assert names.keys() == set(labels)
    folded = {unicodedata.normalize("NFKC", name).casefold() for name in names.values()}
    assert len(folded) == len(labels)
    for name in (*names.values(), *map(safe_name, labels)):
        assert name
        assert len(name.encode()) <= 90
        assert not set(name) & set('/\\:*?"<>|\0\n')
        assert name.strip(". ")


@given(texts, st.lists(st.integers(1, 99), max_size=3))
def test_marks_of_footnotes_are_told_from_the_text(text, marks):
    words = text + "".join(f" [{mark}]" for mark in marks)
    shown, found = split_marks(words)
    assert shown + "".join(f" [{mark}]" for mark in found) == words
    assert list(found)[len(found) - len(marks) :] == marks
