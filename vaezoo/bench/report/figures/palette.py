"""Seven colours that stay apart in grey and for colour-blind eyes, and the marks that go with them.

Their lightness L* rises from 20 to 71 in steps of 8.5, so that they differ in grey print. The hues
were sought for the largest least distance in CIELAB, as they are and as protan, deutan and tritan
eyes see them (simulated after Machado et al. 2009, doi:10.1109/TVCG.2009.113): no two of them are
nearer than 28. Colours that follow each other are far apart in lightness.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..families import EVERY

COLOURS = ("#4848ba", "#07945e", "#83025b", "#b0b51f", "#2c3403", "#f75db9", "#816a09")
MARKERS = ("o", "s", "^", "D", "v", "P", "*")
FURTHER = ("X", "p", "<", "d", ">", "h", "8")  # of the kinds after the fourteenth
DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (3, 1)), (0, (1, 1)))
INK = COLOURS[0]
ACCENT = COLOURS[5]
GREY = "0.75"  # of what stands behind
SIZE = 26.0  # of a mark, in square points


class Mark(NamedTuple):
    """How the points of one kind are drawn: colour and shape, hollow beyond the seventh kind."""

    colour: str
    shape: str
    is_hollow: bool

    @property
    def style(self) -> Mapping[str, object]:
        """What `Axes.scatter` asks for."""
        area = SIZE * (1.9 if self.shape == "*" else 1.0)
        face = "white" if self.is_hollow else self.colour
        width = 1.2 if self.is_hollow else 0.4
        edge = self.colour if self.is_hollow else "white"
        return {"marker": self.shape, "s": area, "c": face, "edgecolors": edge, "linewidths": width}

    @property
    def small(self) -> Mapping[str, Any]:
        """What `Axes.plot` asks for, of many points."""
        face = "white" if self.is_hollow else self.colour
        width = 0.5 if self.is_hollow else 0.0
        return {
            "marker": self.shape,
            "linestyle": "",
            "color": self.colour,
            "markerfacecolor": face,
            "markeredgewidth": width,
        }


def colour(i: int) -> str:
    """Of the i-th thing; after the seventh they begin again."""
    return COLOURS[i % len(COLOURS)]


def mark(i: int) -> Mark:
    """Of the i-th kind: the first seven full, the next seven hollow, then other shapes."""
    round_, at = divmod(i, len(COLOURS))
    shapes = MARKERS if round_ % 4 < 2 else FURTHER
    return Mark(COLOURS[at], shapes[at], round_ % 2 == 1)


def mark_of(family: str) -> Mark:
    """Of a family, the same in every figure."""
    names = [one.name for one in EVERY]
    return mark(names.index(family))
