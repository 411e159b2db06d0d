"""`report --rows … --columns …`: a table for a paper, and its figures, in the forms that are asked
for.
"""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import echo, print_json, registry_of, show_grid

if TYPE_CHECKING:
    from ..bench.report.pick import Picked
    from ..bench.report.rows import Row

FORMATS = ("tex", "md", "csv", "html", "xlsx", "pdf")
WIDTHS = {"column": 239.0, "page": 498.0}  # points, of one column of two and of both
(LEAST, MOST) = (120, 2000)  # points
POINTS = 72.0  # in an inch
OPTIONS = ("rows", "columns", "sort", "formats", "width", "out")


def picks(command: Callable[..., Any]) -> Callable[..., Any]:
    """--rows, --columns, --sort, --format and -o."""
    options = [
        click.option("--rows", default="", help="Only these rows: 'vae,beta*,tag:flow,not:iaf'."),
        click.option("--columns", default="", help="Only these columns, of any table: 'nll,fid'."),
        click.option("--sort", default="", metavar="COLUMN", help="The best of a column first."),
        click.option(
            "--format",
            "formats",
            default="",
            callback=_formats,
            metavar="FORMAT,…",
            help=f"What to write of them: {', '.join(FORMATS)}; pdf is the figures of these rows.  "
            "[default: tex,md]",
        ),
        click.option(
            "--width",
            callback=_width,
            metavar="column|page|POINTS",
            help="How wide: column is one of two (239 points), page both (498).  "
            "[default: 345 of tables, page of figures]",
        ),
        click.option(
            "-o",
            "--out",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Where: a file's name without its ending.  [default: DIR/paper]",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _width(ctx: click.Context, option: click.Parameter, text: str | None) -> float | None:
    """In points. Raises: click.UsageError for what is no width."""
    if text is None or text in WIDTHS:
        return WIDTHS.get(text or "")
    try:
        points = float(text)
    except ValueError:
        points = 0.0
    if not LEAST <= points <= MOST:
        raise click.UsageError(
            f"--width takes {', '.join(WIDTHS)}, or points from {LEAST} to {MOST}, not {text!r}"
        )
    return points


def _formats(ctx: click.Context, option: click.Parameter, text: str) -> tuple[str, ...]:
    """Raises: click.UsageError for one that there is not."""
    asked = tuple(one.strip() for one in text.split(",") if one.strip())
    for one in asked:
        if one not in FORMATS:
            raise click.UsageError(f"--format takes {', '.join(FORMATS)}, not {one!r}")
    return asked


def write_pick(
    folder: Path, plugins_dir: Path | None, asked: dict[str, Any], wants_json: bool
) -> None:
    """Writes the table of these rows and columns in each form, and prints it; and the figures of
    the rows, where PDF is asked for.

    Raises: ReportError for what is not there.
    """
    from ..bench.report.pick import Choice, pick
    from ..bench.report.report import read_tables

    choice = Choice(asked["rows"], asked["columns"], asked["sort"])
    stem = asked["out"] or folder / "paper"
    found = pick(read_tables(folder), choice, tags_of(plugins_dir))
    contents = _contents(found, asked["formats"] or ("tex", "md"), asked["width"])
    _print(found, wants_json)
    for suffix, content in contents.items():
        _write(stem.with_name(f"{stem.name}.{suffix}"), content)
    if "pdf" in asked["formats"]:
        names = {(one.dataset, row.name) for one in found for row in one.rows}
        for name, drawn in _figures(folder, plugins_dir, names, asked["width"]).items():
            _write(stem.with_name(f"{stem.name}-{name}.pdf"), drawn)


def _contents(
    found: list["Picked"], formats: Collection[str], width: float | None
) -> dict[str, str | bytes]:
    """Form -> the tables in it; of PDF, whose figures are drawn elsewhere, nothing."""
    from ..bench.report.exports import FORMS, as_tex

    contents = {one: FORMS[one](found) for one in formats if one in FORMS}
    if "tex" in contents and width:
        contents["tex"] = as_tex(found, width)
    return contents


def _print(found: list["Picked"], wants_json: bool) -> None:
    from ..bench.report.exports import as_csv
    from ..bench.report.in_full import records

    if wants_json:
        print_json(records(as_csv(found)))
        return
    for one in found:
        show_grid(one.grid)


def _figures(
    folder: Path, plugins_dir: Path | None, names: Collection[tuple[str, str]], width: float | None
) -> dict[str, bytes]:
    """Name -> PDF of the figures of these rows, which are named by data set and row."""
    from ..bench.report.drawing import for_paper
    from ..bench.report.report import read_rows
    from ..bench.store import Store

    registry = registry_of(plugins_dir)
    rows = [row for row in read_rows(folder) if (row.dataset, row.name) in names]
    inches = (width or WIDTHS["page"]) / POINTS
    return for_paper(rows, Store(folder), registry.figures.values(), registry.variants, inches)


def _write(path: Path, content: str | bytes) -> None:
    """The file, whole or not at all, and a line that says so."""
    from ..data.kept import written_aside

    with written_aside(path) as aside:
        aside.write_bytes(content if isinstance(content, bytes) else content.encode())
    echo(f"wrote {path}", err=True)


def tags_of(plugins_dir: Path | None) -> "Callable[[Row], Collection[str]]":
    """The tags of a row's variant; none of one whose plugin is not here."""
    variants = registry_of(plugins_dir).variants

    def tags(row: "Row") -> Collection[str]:
        variant = variants.get(row.trials[0].ingredients.name)
        return variant.tags if variant else ()

    return tags


def is_picked(asked: dict[str, Any]) -> bool:
    """Whether anything of it is asked for."""
    return any(asked[name] for name in OPTIONS)
