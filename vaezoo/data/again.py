"""Rows of another file, for a model that was trained on one of the same make."""

from dataclasses import replace
from pathlib import Path

from .asked import Asked
from .data import Data
from .files import BadData
from .formats import npz
from .labels import as_numbered_by
from .raw import Raw, numbers
from .reader import Reader
from .reading import kind_of, read_columns


def values_from(path: Path | str, reader: Reader | None = None) -> Raw:
    """What stands in a file or a folder, x as bytes or float64; of a table the columns that the
    reader names, in its order. An .npz may hold other arrays beside x.

    Raises: MissingData, BadData.
    """
    path = Path(path)
    reader = reader or Reader()
    if kind_of(path) == ".npz" and path.is_file():
        arrays = npz(path.read_bytes(), str(path))
        if "x" in arrays:
            return Raw(numbers(arrays["x"], f"{path} holds an array"), arrays.get("labels"))
    said = replace(
        Asked.again(reader.table),
        names=reader.names,
        known=reader.columns,
        is_mixed=bool(reader.columns),
    )
    if not said.label and reader.label:
        said = replace(said, label=reader.label)
    parts = read_columns(path, said)
    if len(parts) > 1:
        raise BadData(f"{path} holds {', '.join(parts)}; expected an array x")
    raw = parts["train"]
    return replace(raw, x=numbers(raw.x, f"{path} holds an array"))


def numbered_again(data: Data, names: tuple[str, ...], classes: int) -> Data:
    """The same rows, their labels counted as those of other data, which has so many classes of
    these names (0, 1, … where there are none).

    Raises: BadData where a row is of a class that those are not.
    """
    own = (data.reader.classes if data.reader else ()) or _numbers(data.spec.classes)
    labels = {
        split: as_numbered_by(names or _numbers(classes), y, own, data.name)
        for split, y in data.labels.items()
    }
    return replace(data, labels=labels, spec=replace(data.spec, classes=classes))


def _numbers(classes: int) -> tuple[str, ...]:
    return tuple(map(str, range(classes)))
