"""A selection of data sets in which a file or a folder may stand for its data set: `x.csv` means
`arrays[path=x.csv]`, and `x.csv[label=kind]` means `arrays[path=x.csv,label=kind]`; of a table with
words or gaps `table[path=x.csv]`.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from ..data.peek import is_mixed
from ..data.reading import READERS, kind_of
from ..hyperparameters import QUOTES, in_quotes
from .selection import ALL, NOT, SelectionError, pieces_of

ARRAYS = "arrays"
TABLE = "table"


def with_files(text: str, known: Mapping[str, Collection[str]]) -> str:
    """The selection with every path in it written as a data set; `known` are the data sets by name,
    with their tags.

    Raises: SelectionError for a path of nothing, and where a folder and a tag have one name.
    """
    if _is_path(text, known):  # with commas or brackets in its name
        return _written(text)
    return ",".join(_read(part, known) for part in pieces_of(text))


def _read(part: str, known: Mapping[str, Collection[str]]) -> str:
    name, _, rest = part.partition("[")
    name = name.strip()
    if name.startswith(NOT):
        return part
    if _is_path(name, known):
        return _written(name, rest.rpartition("]")[0])
    if _looks_like_path(name) and name not in known:
        raise SelectionError(f"there is no file or folder {name}")
    return part


def _is_path(name: str, known: Mapping[str, Collection[str]]) -> bool:
    """A data set comes before a folder of its name; ./NAME is the folder."""
    if name in ("", ALL, *known) or not _exists(name):
        return False
    if any(name in tags for tags in known.values()):
        raise SelectionError(
            f"{name!r} is a tag of data sets, and there is a file or folder of that name: write "
            f"./{name} for it"
        )
    return True


def _exists(name: str) -> bool:
    try:
        return Path(name).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long, or no path at all
        return False


def _looks_like_path(name: str) -> bool:
    """Whether nothing but a path is written so."""
    if set("*?") & set(name):
        return False
    return kind_of(Path(name)) in READERS or "/" in name or "\\" in name


def _written(path: str, options: str = "") -> str:
    is_plain = path.isprintable() and not re.search(r"[\s,=\[\]()'\"]", path)
    value = path if is_plain else in_quotes(path)
    is_table = is_mixed(Path(path).expanduser(), _said(options))
    name = TABLE if is_table else ARRAYS
    return f"{name}[path={value}{',' if options else ''}{options}]"


def _said(options: str) -> dict[str, str]:
    """Each option with the first of its values."""
    found = {}
    for piece in pieces_of(options):
        name, equals, value = piece.partition("=")
        if equals:
            found[name.strip()] = value.strip().strip(QUOTES)
    return found
