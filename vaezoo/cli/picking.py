"""`report --rows … --columns …`: a table for a paper, in the forms that are asked for."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import echo, print_json, registry_of, show_grid

if TYPE_CHECKING:
    from ..bench.report.rows import Row

FORMATS = ("tex", "md", "csv", "html", "xlsx")
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
            help=f"What to write of them: {', '.join(FORMATS)}.  [default: tex,md]",
        ),
        click.option(
            "--width",
            type=click.FloatRange(min=120),
            help="Points that LaTeX's text is wide: 239 for one column of two.  [default: 345]",
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
    """Writes the table of these rows and columns in each form, and prints it.

    Raises: ReportError for what is not there.
    """
    from ..bench.report.exports import FORMS, as_csv, as_tex
    from ..bench.report.in_full import records
    from ..bench.report.pick import Choice, pick
    from ..bench.report.report import read_tables

    choice = Choice(asked["rows"], asked["columns"], asked["sort"])
    stem = asked["out"] or folder / "paper"
    found = pick(read_tables(folder), choice, tags_of(plugins_dir))
    contents = {one: FORMS[one](found) for one in asked["formats"] or ("tex", "md")}
    if "tex" in contents and asked["width"]:
        contents["tex"] = as_tex(found, asked["width"])
    if wants_json:
        print_json(records(as_csv(found)))
    for one in found if not wants_json else ():
        show_grid(one.grid)
    for suffix, content in contents.items():
        _write(stem.with_name(f"{stem.name}.{suffix}"), content)


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
