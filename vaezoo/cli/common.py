"""What the verbs share: options, the registry with its problems said aloud, tables of text."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..bench.text import in_json, plain as plain_text

if TYPE_CHECKING:
    from ..bench.report.typeset import Grid
    from ..data.data import Data
    from ..data.files import Files
    from ..registry.registry import Registry

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
Row = dict[str, Any]  # what is printed: a line of a table, or the facts of one thing

SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)([KMGT]?)I?B?", re.ASCII)
UNITS = ("", "K", "M", "G", "T")


class Folder(click.Path):
    """A folder's name; an empty one would be the folder that one stands in. That none can be there
    is said before hours of work go into it.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path. Raises: click.UsageError."""
        if value == "":
            self.fail("the name of a folder is empty; . is this one", param, ctx)
        found = os.fsdecode(super().convert(value, param, ctx))
        why = _why_no_folder(Path(found))
        if why:
            self.fail(f"{found} can be no folder: {why}", param, ctx)
        return Path(found)


def _why_no_folder(path: Path) -> str:
    """What stands in the way of a folder of this path; "" where nothing does."""
    for part in (path, *path.parents):
        try:
            if part.is_dir():
                return ""
            if part.exists():
                return f"{part} is a file"
        except (OSError, ValueError) as error:  # a name that is too long
            return getattr(error, "strerror", None) or str(error)
    return ""


FOLDER = Folder(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


def common(command: F) -> F:
    """The options that every verb takes."""
    folder = click.option(
        "--plugins-dir", type=FOLDER, help="A folder of plugin files to load too."
    )
    debug = click.option(
        "--debug", is_flag=True, expose_value=False, help="Show where an error arose."
    )
    return folder(debug(command))


def as_json(command: F) -> F:
    """--json."""
    return click.option("--json", "wants_json", is_flag=True, help="Print JSON.")(command)


def reads_data(command: F) -> F:
    """--data-dir and --offline, which come as the argument `files`: a pair for `files_of`."""
    where = click.option(
        "--data-dir",
        "data_dirs",
        type=FOLDER,
        multiple=True,
        help="A folder to look for data files in.",
    )
    offline = click.option("--offline", is_flag=True, help="Fetch nothing.")
    return where(offline(command))


def precision(command: F) -> F:
    """--precision, of training."""
    return click.option(
        "--precision",
        type=click.Choice(["float32", "bf16"]),
        default="float32",
        show_default=True,
        help="Of the products in training; densities and evaluation are in float32 always.",
    )(command)


def progress(command: F) -> F:
    """--progress, and --quiet for its value quiet."""

    def silence(ctx: click.Context, option: click.Parameter, is_quiet: bool) -> None:
        if is_quiet:
            ctx.params["progress"] = "quiet"

    kind = click.option(
        "--progress",
        type=click.Choice(["auto", "bars", "plain", "json", "quiet"]),
        default="auto",
        is_eager=True,  # known before --quiet is
        help="On stderr: bars, lines, an event of JSON a line, or nothing.  [default: bars on a "
        "terminal, else plain]",
    )
    quiet = click.option(
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=silence,
        help="Say nothing of progress.",
    )
    return kind(quiet(command))


def sets(command: F) -> F:
    """--set KEY=VALUE, as a dictionary."""
    words = (
        "A setting of training or size, such as learning_rate=1e-3 or latent=16; may be repeated."
    )
    return click.option(
        "--set", "settings", multiple=True, metavar="KEY=VALUE", callback=_pairs, help=words
    )(command)


def _pairs(ctx: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = dict(text.partition("=")[::2] for text in given)
    for text in given:
        if not text.partition("=")[0] or not text.partition("=")[2]:
            raise click.UsageError(f"--set takes KEY=VALUE, such as --set latent=16, not {text!r}")
    return pairs


def memory_of(ctx: click.Context, option: click.Parameter, given: str | None) -> int | None:
    """ "8G" -> 8,000,000,000 bytes.

    Raises: click.UsageError for what is no size.
    """
    if given is None:
        return None
    found = SIZE.fullmatch(given.strip().upper())
    size = int(float(found[1]) * 1000 ** UNITS.index(found[2])) if found else 0
    if not 0 < size < 10**18:
        raise click.UsageError(f"--memory is a size such as 8G or 500M, not {given[:40]!r}")
    return size


def files_of(data_dirs: Sequence[Path], offline: bool) -> "Files":
    """Where data files are read from.

    Raises: click.UsageError for a folder that is not there.
    """
    from ..data.files import Files

    for folder in data_dirs:
        if not folder.is_dir():
            raise click.UsageError(f"the folder {folder} (--data-dir) does not exist")
    return Files(data_dirs, offline=offline)


def registry_of(plugins_dir: Path | None) -> "Registry":
    """The registry; what is wrong with plugins goes to stderr, a line each. (`list plugins` shows
    the notes too.)
    """
    from ..registry.registry import load_registry

    registry = load_registry(plugins_dir)
    for problem in registry.problems:
        if not problem.is_note:
            echo(f"vaezoo: plugin problem: {problem}", err=True)
    return registry


def echo(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """The text on stdout, or stderr, without letters that a terminal obeys."""
    # named, for click would write UTF-8 to a console of ASCII
    click.echo(plain_text(str(text)), file=sys.stderr if err else sys.stdout, nl=nl)


def print_json(value: Any) -> None:
    """The value as JSON on stdout."""
    echo(in_json(value, default=plain, indent=2))


def plain(value: Any) -> Any:
    """What JSON has no word for, in one that it has."""
    return sorted(value) if isinstance(value, set | frozenset) else str(value)


def print_table(rows: Sequence[Row], wants_json: bool) -> None:
    """Rows as columns of text, drawn where stdout is a terminal; or as JSON."""
    if wants_json:
        return print_json(list(rows))
    if not rows:
        return echo("none")
    if is_terminal():
        from . import drawn

        texts = [{key: _cell(value) for key, value in row.items()} for row in rows]
        return drawn.draw_rows(texts, drawn.console())
    for text in _in_columns([list(rows[0]), *map(_cells, rows)]):
        echo(text)


def show_grid(grid: "Grid") -> None:
    """A table with its notes: drawn where stdout is a terminal, else whole, as aligned text."""
    if is_terminal():
        from . import drawn

        return drawn.draw_grid(grid, drawn.console())
    from ..bench.report.typeset import grid_text

    echo(grid_text(grid) + "\n")


def _in_columns(table: Sequence[Sequence[str]]) -> Iterator[str]:
    """Each row as a line, its cells padded to the width of their columns."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join(padded).rstrip()


def _cells(row: Row) -> list[str]:
    return [_cell(value) for value in row.values()]


def is_terminal() -> bool:
    """Whether somebody looks at stdout; a file and a pipe get plain text, whole."""
    return sys.stdout.isatty()


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={_cell(inner)}" for key, inner in value.items())
    if isinstance(value, frozenset):
        value = sorted(value)
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def first_line(doc: str) -> str:
    """The first line of a docstring."""
    return doc.strip().partition("\n")[0]


def the_only(choices: list[T], text: str, what: str) -> T:
    """What a text names where one thing must be named.

    Raises: click.UsageError where it names none or many.
    """
    if len(choices) != 1:
        raise click.UsageError(f"{text!r} names {len(choices)} {what}s; name one")
    return choices[0]


def dataset_of(registry: "Registry", name: str, data_dirs: Sequence[Path], offline: bool) -> "Data":
    """The data that a name such as "digits[rows=50]" means, or a file or folder; loaded."""
    chosen = the_only(registry.choose_datasets(name), name, "data set")
    return chosen.entry.load(files_of(data_dirs, offline), **chosen.values)
