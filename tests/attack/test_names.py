"""Names of files for labels that anyone chose."""

import pytest

from vaezoo.bench.records import Record
from vaezoo.bench.report.drawing import draw_all
from vaezoo.bench.report.naming import file_names, safe_name
from vaezoo.bench.report.rows import rows_of
from vaezoo.bench.store import Store
from vaezoo.hooks import Figure

ODD = ["a[b=1]", "a[b-1]", "a b 1", "A-b-1", "²", "½", "%", "..", "", "x" * 240, "x" * 241]
ODD += ["é" * 240, "\u202e", "../../x", "CON", "a/b", "\ud800", "e\u0301", "\u00e9"]


def test_an_ordinary_label_is_its_own_name():
    names = ["digits", "digits[rows=50]", "stacked_digits", "little[of=digits,rows=2.5]"]
    assert list(file_names(names).values()) == [
        "digits",
        "digits-rows-50",
        "stacked-digits",
        "little-of-digits-rows-2-5",
    ]


def test_no_two_labels_share_a_file_and_every_name_fits(tmp_path):
    names = file_names(ODD)
    assert len({name.casefold() for name in names.values()}) == len(ODD)
    for name in names.values():
        assert "/" not in name
        (tmp_path / f".critical-difference-{name}-figure.png-1234567-host").write_bytes(b"")


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a b", "", "n" * 300, ".hidden", "\x1b"])
def test_the_name_of_a_figure_leads_nowhere(name):
    assert safe_name("rate-distortion") == "rate-distortion"
    safe = safe_name(name)
    assert "/" not in safe
    assert 0 < len(safe) <= 80
    assert not safe.startswith(".")


def test_figures_of_data_sets_that_differ_in_punctuation_stand_beside_each_other(whole, tmp_path):
    from matplotlib.figure import Figure as Canvas

    def draw(material):
        canvas = Canvas()
        canvas.text(0, 0, f"\x1b[31m$\\frac{{ {material.dataset}")
        return canvas

    def fails(material):
        canvas = Canvas()
        canvas.text(0, 0, "$\\mathdefault{\\frac$")
        return canvas

    records, aside = Store(whole).records()
    assert not aside
    labels = ["d[a=1]", "d[a-1]", "d" * 240]
    moved = [Record.from_json(one.to_json() | {"dataset": d}) for d in labels for one in records]
    figures = [Figure("../../drawn", draw), Figure("broken", fails)]
    draw_all(rows_of(moved), Store(tmp_path), figures)
    found = sorted((tmp_path / "figures").glob("*.svg"))
    assert len(found) == len(labels)
    for path in found:
        text = path.read_text(encoding="utf-8")
        assert "\x1b" not in text
        assert "frac" in text
