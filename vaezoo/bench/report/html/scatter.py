"""A scatter of rows as numbers that the template draws: points, ticks, the line of the rows that no
other row beats.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from ..figures.canvas import round_steps
from ..pairs import Axis, Point, unbeaten

WIDTH, HEIGHT = 720.0, 440.0  # of the panel, in the units of the SVG
MARGIN = 0.06  # of the range, on each side
LETTER, LINE = 8.0, 12.0  # of a name: the width of a letter, the height
RADIUS = 6.0  # of a mark

# Seven shapes, full for the first seven families and hollow for the others: told apart in grey.
SHAPES = (
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z",  # a disc
    "M-4.5-4.5h9v9h-9z",  # a square
    "M0-6 5.6 4h-11.2z",  # a triangle
    "M0-6.3 5 0 0 6.3-5 0z",  # a diamond
    "M0 6-5.6-4h11.2z",  # a triangle that stands on its tip
    "M-2-5.5h4v3.5h3.5v4h-3.5v3.5h-4v-3.5h-3.5v-4h3.5z",  # a plus
    "M0-6 1.8-1.9 6-1.6 2.8 1.2 3.8 5.4 0 3-3.8 5.4-2.8 1.2-6-1.6-1.8-1.9z",  # a star
)


@dataclass(frozen=True)
class Mark:
    """A point where it is drawn."""

    point: Point
    x: float
    y: float
    is_best: bool = False  # no other one is better in both
    is_named: bool = False  # whether there is room for its name


@dataclass(frozen=True)
class Isoline:
    """A line on which x + y is the same, and its label at the lower end."""

    points: str  # of a polyline
    label: str
    x: float
    y: float


@dataclass(frozen=True)
class Chart:
    """What the template draws; places are in units of the SVG, (0, 0) at the upper left."""

    key: str  # its id on the page
    title: str
    x: Axis
    y: Axis
    marks: Sequence[Mark]
    x_ticks: Sequence[tuple[float, str]]  # (place, label)
    y_ticks: Sequence[tuple[float, str]]
    frontier: str  # points of a polyline; "" where there is no line
    isolines: Sequence[Isoline] = field(default_factory=list)
    note: str = ""


@dataclass(frozen=True)
class Range:
    """From a number of an axis to its place."""

    low: float
    high: float
    size: float  # negative where the axis points upwards
    is_log: bool

    def place(self, value: float) -> float:
        low, high, at = (self._scaled(one) for one in (self.low, self.high, value))
        share = (at - low) / (high - low)
        return round(self.size * share if self.size > 0 else -self.size * (1 - share), 1)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.is_log else value

    def has(self, value: float) -> bool:
        return self.low <= value <= self.high

    def ticks(self) -> list[tuple[float, str]]:
        """(place, label) of round numbers."""
        values = _decades(self.low, self.high) if self.is_log else round_steps(self.low, self.high)
        return [(self.place(value), _text(value)) for value in values]


def chart(
    key: str,
    title: str,
    axes: tuple[Axis, Axis],
    points: Sequence[Point],
    shown: Sequence[Point] = (),
    note: str = "",
    totals: bool = False,
) -> Chart:
    """The chart of these points, its ranges those of `shown`, where some are given; with `totals`,
    lines on which x + y is the same.
    """
    (x, y) = axes
    inner = shown or points
    across = _range([point.x for point in inner], WIDTH, x.is_log)
    down = _range([point.y for point in inner], -HEIGHT, y.is_log)
    best = unbeaten(points, x.better, y.better)
    marks = []
    for point in points:
        if across.has(point.x) and down.has(point.y):
            marks.append(Mark(point, across.place(point.x), down.place(point.y), point in best))
    stairs = _stairs([mark for mark in marks if mark.is_best])
    marks = _named(marks)
    lines = _isolines(across, down) if totals else []
    return Chart(key, title, x, y, marks, across.ticks(), down.ticks(), stairs, lines, note)


def _range(values: Sequence[float], size: float, is_log: bool) -> Range:
    scale: Callable[[float], float] = math.log10 if is_log else float
    low = scale(min(values))
    high = scale(max(values))
    room = (high - low) * MARGIN or 0.5
    (low, high) = (low - room, high + room)
    return Range(10**low, 10**high, size, True) if is_log else Range(low, high, size, False)


def _named(marks: Sequence[Mark]) -> list[Mark]:
    """The marks; those of the frontier are named where there is room for the name."""
    found = []
    taken = [(mark.x - RADIUS, mark.x + RADIUS, mark.y) for mark in marks]  # (left, right, y)
    for mark in marks:
        left = mark.x + RADIUS
        right = left + LETTER * len(mark.point.name)
        y = mark.y - RADIUS
        near = [one for one in taken if one[0] < right and one[1] > left and abs(one[2] - y) < LINE]
        is_named = mark.is_best and not near and right < WIDTH
        taken += [(left, right, y)] if is_named else []
        found.append(replace(mark, is_named=is_named))
    return found


def _stairs(best: Sequence[Mark]) -> str:
    """A line through the points of the frontier, level from each to the x of the next."""
    if len(best) < 2:
        return ""
    corners = []
    before: Mark | None = None
    for mark in sorted(best, key=lambda one: one.x):
        if before is not None:
            corners.append((mark.x, before.y))
        corners.append((mark.x, mark.y))
        before = mark
    return " ".join(f"{x:g},{y:g}" for x, y in corners)


def _isolines(across: Range, down: Range) -> list[Isoline]:
    """Lines on which x + y is a round number, labelled with minus that number."""
    found = []
    for total in round_steps(across.low + down.low, across.high + down.high):
        left = max(across.low, total - down.high)
        right = min(across.high, total - down.low)
        if left >= right:
            continue
        ends = [(across.place(x), down.place(total - x)) for x in (left, right)]
        points = " ".join(f"{x:g},{y:g}" for x, y in ends)
        (x, y) = ends[1]
        found.append(Isoline(points, _text(-total), x - 6, y - 6))
    return found


def _text(value: float) -> str:
    """With the sign that is one."""
    return f"{value:g}".replace("-", "−")


def _decades(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, 20 … between two numbers above 0; powers of ten alone where these are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(powers) <= 4 else (1,)
    values = [factor * 10.0**power for power in powers for factor in factors]
    return [value for value in values if low <= value <= high]
