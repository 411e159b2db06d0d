"""A user's own data as it stands in a file or a folder, before any check of its values.

A table is a vector a row; with the columns `id` and `time` it is long: one row a step, one sequence
an id. A column `label` is the label. In an .npz the arrays are called x and y, or x_train, y_train
and so on, see `archives`; arrays that `numpy.savez` was given without names (arr_0, arr_1 …) are a
list of sequences. A folder holds pictures.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from .archives import named, tensors
from .asked import AUTO, Asked
from .files import LIMIT, BadData, MissingData, decompressed
from .folders import pictures
from .formats import npy, npz
from .raw import Raw as Raw
from .sounds import recordings
from .tables import from_table, from_text


def read_columns(path: Path, asked: Asked | None = None) -> dict[str, Raw]:
    """The arrays by split: at least "train".

    Raises: MissingData, BadData.
    """
    asked = asked or Asked()
    if path.is_dir():
        return pictures(path, asked)
    kind = kind_of(path)
    if kind not in READERS:
        raise BadData(
            f"{path} ends in {path.suffix or 'nothing'!r}; "
            f"arrays are read from {', '.join(READERS)} and folders of pictures or recordings"
        )
    if not path.is_file():
        raise MissingData(f"there is no file {path}; path= names a {', '.join(READERS)} file")
    if not path.stat().st_size:
        raise BadData(f"{path} is empty")
    return READERS[kind](path, asked)


def kind_of(path: Path) -> str:
    """The ending that says what a file is, such as ".csv" of NAME.csv.gz."""
    packed = path.suffix.lower() == ".gz"
    return (Path(path.stem) if packed else path).suffix.lower()


def _npy(path: Path, asked: Asked) -> dict[str, Raw]:
    return {"train": Raw(npy(decompressed(path.read_bytes(), str(path)), str(path)))}


def _npz(path: Path, asked: Asked) -> dict[str, Raw]:
    return named(npz(path.read_bytes(), str(path)), asked, str(path))


def _tensors(path: Path, asked: Asked) -> dict[str, Raw]:
    return tensors(path.read_bytes(), asked, str(path))


def _text(path: Path, asked: Asked) -> dict[str, Raw]:
    if kind_of(path) == ".tsv" and asked.separator == AUTO:
        asked = replace(asked, separator="tab")
    return {"train": from_text(decompressed(path.read_bytes(), str(path)), asked, str(path))}


def _parquet(path: Path, asked: Asked) -> dict[str, Raw]:
    import pandas as pd

    try:
        size = _unpacked(path)
        table = pd.read_parquet(path) if size <= LIMIT else None
    except ImportError:
        raise BadData(
            f"reading {path} needs pyarrow; install it (pip install 'vaezoo[parquet]') or save the "
            "table as .csv"
        ) from None
    except (OSError, ValueError) as error:
        raise BadData(
            f"{path} is no Parquet file, or a damaged one ({str(error).splitlines()[0]})"
        ) from None
    if table is None:
        raise BadData(f"{path} unpacks to {size:,} bytes; at most {LIMIT:,} are read")
    return {"train": from_table(table, str(path), asked)}


def _unpacked(path: Path) -> int:
    """Bytes that the table takes by what the file says: a run of one value is short in a file."""
    from pyarrow.parquet import read_metadata

    about = read_metadata(path)
    pages = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
    cells = about.num_rows * about.num_columns
    return max(pages, 8 * cells)


TABLES = (".csv", ".tsv", ".txt", ".parquet")


def _sound(path: Path, asked: Asked) -> dict[str, Any]:
    """Raises: BadData: one recording is one row, and a data set has many."""
    recordings([path], str(path))
    raise BadData(
        f"{path} is one recording, and so one row; name a folder of recordings, one a row, or cut "
        "it into an array (N, T, C) as .npy"
    )


READERS: dict[str, Callable[[Path, Asked], dict[str, Any]]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".csv": _text,
    ".tsv": _text,
    ".txt": _text,
    ".parquet": _parquet,
    ".pt": _tensors,
    ".pth": _tensors,
    ".wav": _sound,
}
