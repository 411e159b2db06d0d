"""MANIFEST.sha256: the hash of every file of a folder."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from .records.checks import file_name
from .records.opened import MOST_JSON, content_of, opened
from .records.parsing import Damaged

MANIFEST = "MANIFEST.sha256"
Listed = dict[str, str]  # name of a file -> its SHA-256
LARGEST = 2**34  # bytes of a file that is hashed: weights may be many


def _files(folder: Path) -> Iterator[Path]:
    """Those of the trial; what begins with a dot is another's, such as a log that NFS keeps."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name != MANIFEST and not path.name.startswith("."):
            yield path


def manifest(folder: Path) -> str:
    """The text of the file."""
    return "".join(f"{digest_of(path)}  {path.name}\n" for path in _files(folder))


def listed_in(folder: Path) -> dict[str, str]:
    """Name -> SHA-256 by the manifest; empty where a copy was published without one.

    Raises: Damaged where it is no list of hashes.
    """
    try:
        text = content_of(f"{folder}/{MANIFEST}", MOST_JSON).decode()
    except FileNotFoundError:
        return {}
    except UnicodeError:
        raise Damaged(f"{MANIFEST} is no list of hashes") from None
    except Damaged as why:
        raise Damaged(f"{MANIFEST}: {why}") from None
    listed = {}
    for line in text.splitlines():
        digest, gap, name = line.partition("  ")
        if not (gap and name):
            raise Damaged(f"{MANIFEST} is no list of hashes")
        listed[file_name(name, MANIFEST)] = digest
    if not listed:
        raise Damaged(f"{MANIFEST} is empty")
    return listed


def as_listed(path: Path, listed: Mapping[str, str] | None = None) -> bytes:
    """What a file of a trial holds; `listed` are the manifest's hashes where they were read before.

    Raises: Damaged where it is not what the manifest beside it says; FileNotFoundError.
    """
    listed = listed_in(path.parent) if listed is None else listed
    content = content_of(path)
    if listed and path.name not in listed:
        raise Damaged(f"{MANIFEST} does not name it")
    if listed and listed[path.name] != hashlib.sha256(content).hexdigest():
        raise Damaged(f"it is not what {MANIFEST} says")
    return content


def digest_of(path: Path) -> str:
    """The SHA-256 of a file. Raises: Damaged as `opened`; FileNotFoundError."""
    with opened(path, LARGEST) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
