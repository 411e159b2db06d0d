"""Whether a file that was named without its data set is a table of mixed columns."""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from .asked import UNSAID, Asked
from .files import BadData, MissingData
from .reading import TABLES, kind_of, read_columns

# Options that one of the two data sets has alone.
OF_ARRAYS = {"likelihood", "kind", "gaps", "standardise", "levels", "channels"}
OF_TABLES = {"types", "columns"}


def is_mixed(path: Path, options: Mapping[str, str]) -> bool:
    """Whether columns hold words beside the label, or gaps, so that `arrays` would refuse what
    `table` reads. Options may say it, otherwise the file is read.
    """
    if kind_of(path) not in TABLES or not path.is_file() or OF_ARRAYS & options.keys():
        return False
    if OF_TABLES & options.keys():
        return True
    known = {each.name for each in fields(Asked)} - UNSAID - {"missing"}
    asked = Asked.again({name: said for name, said in options.items() if name in known})
    try:
        raw = read_columns(path, asked)["train"]
    except MissingData:
        return False
    except BadData as why:
        return _is_refused_otherwise(path, replace(asked, is_mixed=True), str(why))
    return not raw.is_sequence and "missing" not in options and bool(np.isnan(raw.x).any())


def _is_refused_otherwise(path: Path, asked: Asked, why: str) -> bool:
    """Whether a mixed table reads the file, or says of its columns why not."""
    try:
        read_columns(path, asked)
    except BadData as error:
        return str(error) != why
    return True
