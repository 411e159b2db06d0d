"""The table of docs/shapes.md: shapes of files in tests/data/test_shapes.py, and what is read of
each, or the sentence that asks.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.data import test_shapes as shapes
from vaezoo.data.asked import Asked
from vaezoo.data.files import BadData
from vaezoo.data.reading import read_columns

from .blocks import refilled

Options = Mapping[str, str]
LONGEST = 60  # letters of a file that are shown


def with_shapes(text: str) -> str:
    return refilled(text, "shapes", lambda kind: "\n".join(_lines(kind)))


def _lines(kind: str) -> Iterator[str]:
    yield "| shape | the file | said | read, or asked |"
    yield "|---|---|---|---|"
    for name, shown, options, found in KINDS[kind]():
        said = ", ".join(f"`{key}={value}`" for key, value in options.items())
        yield f"| {name} | {shown} | {said} | {_plain(found)} |"


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("#", "\\#").replace("[", "\\[")


def _texts() -> Iterator[tuple[str, str, Options, str]]:
    cases = [(name, one[0], one[1]) for name, one in shapes.READ.items()]
    cases += [(name, one[0], one[1]) for name, one in shapes.ASKED.items()]
    for name, content, options in cases:

        def write(folder: Path, content: str | bytes = content) -> Path:
            return shapes.written(folder / "x.csv", content)

        yield name, _shown(content), options, _found(write, options)


def _shown(content: str | bytes) -> str:
    """The beginning of a text, as code in a cell of a table."""
    if isinstance(content, bytes):
        plain = repr(content)[2:-1]
    else:
        plain = content.replace("\ufeff", "").encode("unicode_escape").decode("ascii")
    short = plain if len(plain) <= LONGEST else plain[: LONGEST - 1] + "…"
    return f"`{short.replace('|', chr(92) + '|').replace('`', chr(39))}`"


def _folders() -> Iterator[tuple[str, str, Options, str]]:
    kinds: list[
        tuple[str, Callable[[Path], None], Mapping[str, tuple[Callable[[Path], None], str]]]
    ]
    kinds = [
        ("pictures", lambda at: shapes.picture(at / "a.png"), shapes.PICTURES),
        ("recordings", lambda at: shapes.sound(at / "a.wav"), shapes.SOUNDS),
    ]
    for kind, begin, changes in kinds:
        for name, (change, _) in changes.items():

            def write(
                folder: Path,
                begin: Callable[[Path], None] = begin,
                change: Callable[[Path], None] = change,
            ) -> Path:
                begin(folder)
                change(folder)
                return folder

            yield f"{kind}: {name}", "", {}, _found(write, {})


def _found(write: Callable[[Path], Path], options: Options) -> str:
    """Shape and names of what is read, or the sentence."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "folder"
        place.mkdir()
        path = write(place)
        try:
            raw = read_columns(path, Asked(**options))["train"]
        except BadData as error:
            return str(error).replace(f"{place}/", "").replace(str(place), "folder")
    columns = f", columns {', '.join(raw.names)}" if raw.names else ""
    labels = ", with labels" if raw.labels is not None else ""
    return f"x {raw.x.shape}{columns}{labels}"


KINDS = {"texts": _texts, "folders": _folders}
