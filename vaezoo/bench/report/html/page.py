"""report.html from what was read of a run: the template, filled."""

from collections.abc import Iterator
from typing import Any

from markupsafe import Markup

from ..families import EVERY
from .cards import cards
from .charts import charts
from .environment import digest, environment, text_of
from .pictures import pictures
from .scatter import HEIGHT, SHAPES, WIDTH
from .sheets import sheets
from .source import Source
from .trust import checks, dataset_facts, run_facts
from .views import views

NAME = "report.html"  # in the folder of the run


def page(source: Source) -> str:
    """The whole page. The same run gives the same bytes."""
    return "".join(pieces(source))


def pieces(source: Source) -> Iterator[str]:
    """The page piece by piece: of 10,000 trials it has 10 MB, and a text of them takes 20."""
    # a sheet exists only while it is written: a table of 10,000 trials has 10^5 cells
    shown = [(table, sheets(source, table, grids)) for table, grids in source.tables]
    return (
        environment()
        .get_template(NAME)
        .generate(
            title=", ".join(source.datasets),
            style=Markup(text_of("style.css")),
            script=Markup(text_of("script.js")),
            policy=policy(),
            run=source.run,
            run_facts=run_facts(source),
            dataset_facts={name: dataset_facts(source, name) for name in source.datasets},
            checks=checks(source),
            tables=shown,
            charts=charts(source),
            pictures=pictures(source),
            cards=list(cards(source)),
            views=views(source),
            families=_families(source),
            tags=_tags(source),
            names=sorted({row.name for row in source.rows}),
            shapes=_shapes(),
            size=(WIDTH, HEIGHT),
        )
    )


def policy() -> str:
    """The page's Content-Security-Policy: our own style and script by their SHA-256, images that
    are in the page, and nothing else.
    """
    style = digest(text_of("style.css"))
    script = digest(text_of("script.js"))
    return (
        f"default-src 'none'; img-src data:; style-src '{style}'; script-src '{script}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _families(source: Source) -> list[Any]:
    """Those that the run has."""
    names = {source.family(row).name for row in source.rows}
    return [family for family in EVERY if family.name in names]


def _tags(source: Source) -> list[str]:
    return sorted({tag for row in source.rows for tag in source.tags(row)})


def _shapes() -> dict[str, tuple[str, int, bool]]:
    """family -> (path of its mark, number of its colour, whether it is hollow)."""
    found = {}
    for i, family in enumerate(EVERY):
        at = i % len(SHAPES)
        found[family.name] = (SHAPES[at], at, i >= len(SHAPES))
    return found
