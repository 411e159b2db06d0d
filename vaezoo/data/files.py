"""Files by name and SHA-256: found in a folder or the cache, or fetched, and never used unless the
hash is right.

A hash is of the decompressed bytes, because mirrors compress differently; so is the size that a
file may have at most. Looked through, in this order: the folders given, $VAEZOO_DATA, the cache. A
file that is fetched is checked in a folder of its own, then renamed into the cache.
"""

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from .fetching import fetch, own_folder
from .words import cut

LIMIT = 2**30  # bytes that a file of the user's own may unpack to
USUAL = 2**27  # bytes of a file that says no size; the largest that comes with vaezoo has 47 MB
GZIP = b"\x1f\x8b"
PACKING = 2**16  # bytes that packing may add to a file that cannot be made smaller, and 1 %


class MissingData(FileNotFoundError):
    """Files that are not here and could not be fetched."""


class BadData(ValueError):
    """Values that no data set can be made of: empty, not numbers, not in the support of the
    likelihood …
    """

    def __init__(self, sentence: str = "") -> None:
        super().__init__(cut(sentence, 1000))  # names and values in it are of strangers


class CorruptData(BadData):
    """A file that is not what it should be."""


@dataclass(frozen=True)
class File:
    """One file: where it stands in a folder, what it must hold, where it can be had."""

    name: str  # such as "mnist/train-images-idx3-ubyte.gz"; the same without .gz is found too
    sha256: str  # of the decompressed bytes
    urls: tuple[str, ...] = ()
    hint: str = ""  # where to get it when no address serves it as it is
    size: int = USUAL  # bytes that it has at most, unpacked

    def __post_init__(self) -> None:
        parts = PurePosixPath(self.name.replace("\\", "/")).parts
        if not parts or ".." in parts or PurePosixPath(self.name).is_absolute() or ":" in self.name:
            raise ValueError(
                f"a data file is named relative to its folder, without '..'; {self.name!r} is not"
            )

    @property
    def packed(self) -> int:
        """Bytes that it has at most, packed or not."""
        return self.size + self.size // 100 + PACKING

    @property
    def names(self) -> tuple[str, ...]:
        """The names it is looked for under: packed or not."""
        return (
            (self.name, self.name.removesuffix(".gz"))
            if self.name.endswith(".gz")
            else (self.name, f"{self.name}.gz")
        )


class Files:
    """Where data files are read from."""

    def __init__(
        self,
        folders: Sequence[Path | str] = (),
        offline: bool = False,
        cache: Path | str | None = None,
    ) -> None:
        self.given = tuple(Path(f).expanduser() for f in folders)
        self.offline = offline
        self._cache = None if cache is None else Path(cache)

    @property
    def cache(self) -> Path:
        """The folder that fetched files are kept in: the user's cache folder of the operating
        system.
        """
        if self._cache is None:
            import pooch

            self._cache = Path(pooch.os_cache("vaezoo"))
        return self._cache

    @property
    def folders(self) -> tuple[Path, ...]:
        """All folders, in the order they are looked through."""
        from_environment = os.environ.get("VAEZOO_DATA")
        return (
            *self.given,
            *([Path(from_environment).expanduser()] if from_environment else []),
            self.cache,
        )

    def read(self, name: str, *, sha256: str, urls: Sequence[str] = ()) -> bytes:
        """The decompressed bytes of one file.

        Raises: MissingData, CorruptData.
        """
        return self.read_all([File(name, sha256, tuple(urls))])[0]

    def read_all(self, wanted: Sequence[File]) -> list[bytes]:
        """The decompressed bytes of all these files, in their order.

        Raises: MissingData, one error that names all that are missing; CorruptData for the first
        that is wrong.
        """
        found = [self._found(file) for file in wanted]
        tried: dict[File, list[str]] = {}
        for i, file in enumerate(wanted):
            if found[i] is None and not self.offline:
                found[i], tried[file] = self._fetched(file)
        missing = [file for file, content in zip(wanted, found, strict=True) if content is None]
        if missing:
            raise MissingData(self._sentence(missing, tried))
        return [content for content in found if content is not None]

    def _found(self, file: File) -> bytes | None:
        for path in (folder / name for folder in self.folders for name in file.names):
            if path.is_file():
                return _of_file(path, file)
        return None

    def _fetched(self, file: File) -> tuple[bytes | None, list[str]]:
        """The file's bytes from the first address that has them right, and what failed before."""
        troubles: list[str] = []
        for url in file.urls:
            try:
                return self._fetch(url, file), troubles
            except (OSError, ValueError) as error:  # requests' errors are OSErrors
                troubles.append(_trouble(url, error))
        return None, troubles

    def _fetch(self, url: str, file: File) -> bytes:
        with own_folder(self.cache) as folder:
            path = folder / "file"
            fetch(url, path, file.packed)
            content = accepted(path.read_bytes(), file, url)
            kept = self.cache / file.name
            kept.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, kept)
        return content

    def _sentence(self, missing: Sequence[File], tried: dict[File, list[str]]) -> str:
        lines = [f"{len(missing)} data file{'s are' if len(missing) > 1 else ' is'} missing:"]
        for file in missing:
            lines.append(f"  {file.name}\n    SHA-256 {file.sha256}")
            lines += [f"    get it from {' or '.join(file.urls) or file.hint or 'its maker'}"]
            lines += [f"    failed: {trouble}" for trouble in tried.get(file, [])]
        lines.append("looked in: " + ", ".join(map(str, self.folders)))
        lines.append(
            "put each under its name in one of these, or name a folder with --data-dir or "
            f"VAEZOO_DATA{self._why()}"
        )
        return "\n".join(lines)

    def _why(self) -> str:
        return " (nothing was fetched: offline)" if self.offline else ""


def _trouble(url: str, error: Exception) -> str:
    """One short sentence: what a connection's error says at length is that nobody answered."""
    if type(error).__name__ in ("ConnectionError", "ConnectTimeout"):
        return f"no connection to {urlsplit(url).netloc}"
    return str(error) if url in str(error) else f"{url}: {error}"


def _of_file(path: Path, file: File) -> bytes:
    size = path.stat().st_size
    if size > file.packed:
        raise CorruptData(
            f"{path} has {size:,} bytes, and {file.name} at most {file.packed:,}; "
            "delete or replace it"
        )
    return accepted(path.read_bytes(), file, str(path))


def accepted(content: bytes, file: File, where: str) -> bytes:
    """The decompressed content, if its hash is right.

    Raises: CorruptData.
    """
    if not content:
        raise CorruptData(f"{where} is empty; delete it and get {file.name} again")
    unpacked = decompressed(content, where, file.size)
    found = hashlib.sha256(unpacked).hexdigest()
    if found != file.sha256:
        raise CorruptData(
            f"{where} is not {file.name}: its SHA-256 is {found}, expected {file.sha256}; "
            "delete or replace it"
        )
    return unpacked


def decompressed(content: bytes, where: str, limit: int = LIMIT) -> bytes:
    """The content of a gzip file, known by its first two bytes; any other content as it is.

    Raises: CorruptData where the file is cut short, damaged, or unpacks to more than `limit` bytes.
    """
    if not content.startswith(GZIP):
        return content
    try:
        unpacked = b"".join(_chunks(content, limit))
    except (EOFError, OSError, zlib.error) as error:
        raise CorruptData(
            f"{where} is a damaged or cut-off gzip file ({error}); delete it and get it again"
        ) from None
    if len(unpacked) > limit:
        raise CorruptData(
            f"{where} unpacks to more than {limit:,} bytes, which is too much; it was not read"
        )
    return unpacked


def _chunks(content: bytes, limit: int, size: int = 2**24) -> Iterator[bytes]:
    """The unpacked bytes in pieces, a little more than `limit` at most: a bomb is not unpacked to
    its end.
    """
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
        done = 0
        while done <= limit and (piece := stream.read(size)):
            done += len(piece)
            yield piece
