"""A folder of pictures or of recordings: one class a folder inside it, folders train and test where
there are.
"""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from .archives import SPLIT_NAMES
from .asked import Asked
from .files import BadData, CorruptData
from .formats import Array
from .raw import Raw
from .sounds import ENDINGS as RECORDINGS, must_be_alike, recordings

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
UNSEEN = ("thumbs.db", "desktop.ini", "__macosx")  # that systems write
MODES = {"1": 0, "L": 1, "LA": 2, "RGB": 3, "RGBA": 4}  # of Pillow -> channels


def pictures(folder: Path, asked: Asked) -> dict[str, Raw]:
    """The pictures by split, "train" at least: x (N, C, H, W), bytes; the labels are the names of
    the folders that they stand in.

    Raises: BadData.
    """
    inside = [path for path in _seen(folder) if path.is_dir()]
    splits = {path: SPLIT_NAMES[path.name.lower()] for path in inside
              if path.name.lower() in SPLIT_NAMES}  # fmt: skip
    if not splits:
        return {"train": _of(folder, asked)}
    if len(splits) < len(inside):
        other = next(path.name for path in inside if path not in splits)
        raise BadData(f"{folder} has folders of splits and the folder {other}: move it away")
    if len(set(splits.values())) < len(splits) or "train" not in splits.values():
        raise BadData(f"{folder} needs one folder train, and one at most for each other split")
    found = {split: _of(path, asked) for path, split in splits.items()}
    must_be_alike(found, str(folder))
    return found


def _of(folder: Path, asked: Asked) -> Raw:
    classes = [path for path in _seen(folder) if path.is_dir()]
    loose = [path for path in _seen(folder) if path.is_file()]
    if classes and loose:
        raise BadData(
            f"{folder} has pictures beside folders of classes, such as {loose[0].name}; "
            "move them into one"
        )
    for one in classes:
        if not any(_seen(one)):
            raise BadData(f"{one} is a class without pictures; move it away")
    paths = [path for one in classes for path in _seen(one)] if classes else loose
    raw = recordings(paths, str(folder)) if _are_recordings(paths) else _stacked(paths, folder)
    names = tuple(path.relative_to(folder).as_posix() for path in paths)
    raw = replace(raw, rows=names, table=asked.said())
    if not classes or asked.label == "none":
        return raw
    return replace(raw, labels=np.array([path.parent.name for path in paths]))


def _are_recordings(paths: list[Path]) -> bool:
    return bool(paths) and all(path.suffix.lower() in RECORDINGS for path in paths)


def _stacked(paths: list[Path], folder: Path) -> Raw:
    """The pictures as one array (N, C, H, W)."""
    _must_be_pictures(paths, folder)
    first = _picture(paths[0])
    arrays = [first]
    for path in paths[1:]:
        arrays.append(_picture(path))
        if arrays[-1].shape != first.shape:
            raise BadData(
                f"{path} is of {_size(arrays[-1])}, and {paths[0].name} of {_size(first)}; "
                "make all pictures of one size and one kind"
            )
    return Raw(np.stack(arrays))


def _seen(folder: Path) -> Iterator[Path]:
    """What stands in a folder, by name, without what systems hide in it."""
    for path in sorted(folder.iterdir()):
        if not path.name.startswith(".") and path.name.lower() not in UNSEEN:
            yield path


def _must_be_pictures(paths: list[Path], folder: Path) -> None:
    if not paths:
        raise BadData(f"{folder} holds no pictures or recordings ({', '.join(ENDINGS)})")
    for path in paths:
        if path.is_dir():
            raise BadData(f"{path} is a folder inside a class; expected pictures there")
        if not path.is_file():
            raise BadData(f"{path} is no file: a pipe, or a link to nothing; move it away")
        if path.suffix.lower() not in ENDINGS:
            raise BadData(f"{path} is no picture ({', '.join(ENDINGS)}); move it away")


def _picture(path: Path) -> Array:
    """(C, H, W), bytes; colours of a palette are written out."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            frames = getattr(image, "n_frames", 1)
            if frames > 1:
                raise BadData(f"{path} is a film of {frames} pictures; save them apart")
            upright = ImageOps.exif_transpose(image)
            colours = "RGBA" if "transparency" in upright.info else "RGB"
            plain = upright.convert(colours) if upright.mode == "P" else upright
            if plain.mode not in MODES:
                raise BadData(
                    f"{path} is of the kind {plain.mode}; expected {', '.join(MODES)}, "
                    "with 8 bits a channel"
                )
            array = np.asarray(plain).astype(np.uint8)
    except BadData:
        raise
    except Exception:  # Pillow raises a dozen kinds for damaged pictures, and for vast ones
        raise CorruptData(f"{path} is no picture, or a damaged one") from None
    return array[None] if array.ndim == 2 else np.moveaxis(array, 2, 0)  # (C, H, W)


def _size(array: Array) -> str:
    channels, height, width = array.shape
    return f"{height}×{width} with {channels} channel{'s' * (channels > 1)}"
