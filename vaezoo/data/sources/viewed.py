"""Any data set, your own too, whose x is said to be several views."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from ...core import Unsupported, View
from ...hooks import hookimpl, tags
from ..columns import Column
from ..data import Data, named
from ..files import BadData

ONE = re.compile(r"([^:+]+):(\d+(?:x\d+)*)")


@tags("views", "derived", "user")
def viewed(load: Callable[[str], Data], of: str, views: str) -> Data:
    """Another data set, such as your own file, its x said to be several views.

    `views` names each view with how many columns it has, in the order of x and joined by +, such as
    views=blood:7+scan:12; a view that is an image in a vector says its size, such as
    picture:1x28x28+words:10. Of sequences they are channels, of images all that is flattened.
    `load` gives the data of a name.

    Raises: BadData where the views are not those of x.
    """
    source = load(of)
    asked = [_one(text, views) for text in views.split("+")]
    columns = source.reader.columns if source.reader is not None else ()
    if columns:
        asked = _in_entries(asked, columns, of)
    if source.spec.is_sequence:
        steps = source.spec.shape[0]
        asked = [View(view.name, (steps, view.size)) for view in asked]
    try:
        spec = replace(source.spec, has_gaps=True, views=tuple(asked))
    except Unsupported as why:
        raise BadData(f"{of} has x of shape {source.spec.shape}: {why}") from None
    card = replace(source.card, processing=f"{source.card.processing}; x is the views {views}")
    return replace(source, name=named(viewed, of=of, views=views), spec=spec, card=card)


def _one(text: str, views: str) -> View:
    found = ONE.fullmatch(text.strip())
    if not found:
        raise BadData(
            f"views={views}: {text!r} is no view; write a name and how many columns it has, such "
            "as views=blood:7+scan:12"
        )
    return View(found[1].strip(), tuple(map(int, found[2].split("x"))))


def _in_entries(asked: list[View], columns: tuple[Column, ...], of: str) -> list[View]:
    """Columns of a mixed table take several entries each."""
    ends = [0]
    for view in asked:
        ends.append(ends[-1] + math.prod(view.shape))
    if ends[-1] != len(columns):
        raise BadData(f"{of} has {len(columns)} columns, and the views have {ends[-1]} in all")
    widths = [column.kind.width for column in columns]
    parts = pairwise(ends)
    return [View(view.name, (sum(widths[a:b]),)) for view, (a, b) in zip(asked, parts, strict=True)]


@hookimpl
def vaezoo_datasets() -> list[Callable[..., Data]]:
    return [viewed]
