"""The pages of a figure are drawn one at a time: a run of hundreds of rows has hundreds of pages,
each of hundreds of panels.
"""

import gc
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

from vaezoo.bench.report.drawing import _pictures
from vaezoo.bench.report.figures import strips
from vaezoo.bench.report.figures.canvas import PAGE, Sheets, canvas, cells
from vaezoo.hooks import Figure

COIN = SimpleNamespace(dataset="coin")


@pytest.fixture
def uncollected():
    """As in a report: Python looks for no circles by itself. The first panels of a process stay for
    longer, whatever is done with them: here they are drawn before.
    """
    cells(1, 1, (1, 1), (0.1, 0.1))
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_one_page_of_a_figure_is_alive_at_a_time(uncollected):
    alive = []

    def draw(place):
        assert [ref for ref in alive if ref() is not None] == [], "the last page is still there"
        (figure, _) = cells(4, 2, (1, 1), (0.1, 0.1))
        alive.append(weakref.ref(figure))
        return figure

    figure = Figure("paged", lambda material: Sheets(range(3), draw))
    rendered = _pictures(figure, COIN, lambda page: page.get_figwidth())
    assert list(rendered) == ["", "2", "3"]
    assert len(alive) == 3


def test_a_page_that_is_no_figure_leaves_the_figure_out(capsys):
    def draw(material):
        return [canvas(1, 1), "none"]

    assert _pictures(Figure("odd", draw), COIN, lambda page: 1) == {}
    assert "must return a figure of matplotlib, not 'none'" in capsys.readouterr().err


def test_pages_of_strips_are_drawn_when_they_are_asked_for(monkeypatch):
    drawn = []
    monkeypatch.setattr(strips, "strips", lambda page, *_, **__: drawn.append(len(page)))
    rows = [(f"v{i}", {"samples": np.zeros((4, 1, 2, 2))}) for i in range(40)]
    found = strips.samples(SimpleNamespace(width=PAGE, arrays=lambda name: rows))
    assert drawn == []
    assert len(found) == 3
    assert found[-1] is None  # the last page, and no other
    assert len(drawn) == 1
