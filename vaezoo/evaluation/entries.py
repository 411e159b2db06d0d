"""What every trial on a data set needs of its training split and what costs a pass over all of it:
kept in one folder a data set, which many processes may share; a damaged file is made anew. A folder
that nobody has used for `DAYS` is removed when the first file of another data set is kept.
"""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..data import sealed
from ..data.data import Data
from ..data.kept import user_cache

VERSION = "2"  # of what is kept: another number, another folder
DAYS = 90
DAY = 86_400.0  # seconds
NAME = re.compile(r"[0-9a-f]{24}")  # of a folder


@dataclass(frozen=True)
class Entries:
    """Of all entries of the training split that are there: () each."""

    low: Tensor
    high: Tensor
    mean: Tensor
    deviation: Tensor


def entries_of(data: Data, cache: Path | None = None) -> Entries:
    """Those of this data, by a pass over them or from the cache."""

    def made() -> dict[str, Tensor]:
        seen = data.train[~data.train.isnan()]
        with one_thread():
            return {
                "low": seen.min(),
                "high": seen.max(),
                "mean": seen.mean(),
                "deviation": seen.std(),
            }

    folder = folder_of(data, cache)
    if folder.is_dir():
        _note_use(folder)
    else:
        _sweep(folder.parent)
    return Entries(**cached(folder / "entries.safetensors", made))


def _note_use(folder: Path) -> None:
    """Its time is that of the last use, to a day."""
    with suppress(OSError):
        if time.time() - folder.stat().st_mtime > DAY:
            os.utime(folder)


def _sweep(features: Path) -> None:
    """Removes the folders of data sets that have not been used for `DAYS`. Who still reads a file
    of one keeps what is mapped, and makes anew what is not.
    """
    with suppress(OSError):
        for folder in list(features.iterdir()):
            is_ours = NAME.fullmatch(folder.name) and folder.is_dir() and not folder.is_symlink()
            if is_ours and time.time() - folder.stat().st_mtime > DAYS * DAY:
                shutil.rmtree(folder, ignore_errors=True)


def folder_of(data: Data, cache: Path | None = None) -> Path:
    """Where what is kept of a data set lies, in the user's cache unless another is given; named
    after its content, `VERSION` and torch's.
    """
    words = "\0".join((VERSION, data.identity, *data.hashes.values(), torch.__version__))
    name = hashlib.sha256(words.encode()).hexdigest()[:24]
    return (cache or user_cache()) / "features" / name


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside the block torch computes on one thread, so that sums are added in one order and
    weights come out the same.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def cached(path: Path, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors in the file, or, where it is missing or damaged, those that `make` gives, which
    are then kept there.

    A folder that cannot be written to costs time, not the answer.
    """
    found = sealed.read(path)
    if found is not None:
        return found[0]
    tensors = {name: value.contiguous() for name, value in make().items()}
    try:
        sealed.write(path, tensors)
    except OSError:
        return tensors
    again = sealed.read(path)
    return again[0] if again else tensors
