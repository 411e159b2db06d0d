"""MANIFEST.sha256: the hash of every file of a folder."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from .records.checks import Damaged

MANIFEST = "MANIFEST.sha256"


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if path.is_file() and path.name != MANIFEST)


def manifest(folder: Path) -> str:
    """The text of the file."""
    return "".join(f"{digest_of(path)}  {path.name}\n" for path in _files(folder))


def listed_in(folder: Path) -> dict[str, str]:
    """Name -> SHA-256 by the manifest; empty where a copy was published without one.

    Raises: Damaged where it is no list of hashes.
    """
    try:
        with open(f"{folder}/{MANIFEST}", encoding="utf-8") as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    listed = {}
    for line in text.splitlines():
        digest, gap, name = line.partition("  ")
        if not (gap and name):
            raise Damaged(f"{MANIFEST} is no list of hashes")
        listed[name] = digest
    return listed


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
