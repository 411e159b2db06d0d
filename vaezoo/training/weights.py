"""Checkpoints by name: in a folder, or at an address with the hash that they must have.

A place is one of

* `model.safetensors`: a file;
* `FOLDER#mnist/iwae/0`: the data set, row and seed of a folder that `vaezoo weights` wrote;
* `https://…/model.safetensors#sha256=HEX`: a file at an address;
* `https://…/weights.json#mnist/iwae/0`: by name, at the address of such a folder; its hash is the
  one that stands there, and with `&sha256=HEX` behind the name the one that you say, too.

Of a name that is clear without them, parts may be left out: `iwae/0`. What was fetched is kept in
the user's cache under its hash.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote, urljoin

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..data.fetching import fetch, own_folder
from ..data.files import BadData, File, Files, MissingData
from ..data.kept import user_cache
from ..data.words import cut

INDEX = "weights.json"
MOST_INDEX = 2**24  # bytes; a model takes some 300
MOST_WEIGHTS = 2**32  # bytes of a file whose size nobody said
FAILED = "    failed: "  # how MissingData says what an address answered
HEX = re.compile(r"[0-9a-f]{64}")
ADDRESS = re.compile(r"https?://", re.IGNORECASE)
STRICT = ConfigDict(extra="forbid", frozen=True)
Place = Annotated[str, Field(pattern=r"^[\w-][\w.-]*(/[\w-][\w.-]*)*\.safetensors$")]


class CheckpointError(ValueError):
    """A file that is no checkpoint, one that cannot be loaded here, or a place where none is."""


class Weights(BaseModel):
    """One checkpoint of an index."""

    model_config = STRICT

    file: Place  # relative to the index
    sha256: Annotated[str, Field(pattern=f"^{HEX.pattern}$")]
    bytes: Annotated[int, Field(gt=0, le=MOST_WEIGHTS)]


class Index(BaseModel):
    """weights.json: data set/row/seed -> the checkpoint."""

    model_config = STRICT

    format: Literal[1] = 1
    models: dict[str, Weights]

    def as_text(self) -> str:
        return self.model_dump_json(indent=1) + "\n"


@dataclass(frozen=True)
class Asked:
    """What stands before and behind the # of a place."""

    where: str
    name: str  # "" of a file
    sha256: str  # "" where it was not said


def found_at(place: str | Path) -> Path:
    """The file of a checkpoint that is there, verified where its hash is known.

    Raises: CheckpointError.
    """
    text = str(place)
    if isinstance(place, Path) or not ADDRESS.match(text):
        return _in_folders(text)
    asked = _asked(text)
    if asked.name:
        return _by_name_at(asked)
    if not asked.sha256:
        raise CheckpointError(
            f"{cut(text)} is an address without a hash: add #sha256= and the SHA-256 that the "
            "weights must have"
        )
    return _fetched(asked.where, asked.sha256, MOST_WEIGHTS)


def _in_folders(text: str) -> Path:
    folder, mark, _ = text.partition("#")
    if not mark or _is_there(Path(text)):
        return Path(text)
    asked = _asked(text)
    index = Path(folder) / INDEX
    if not _is_there(index):
        raise CheckpointError(
            f"{cut(folder)} holds no {INDEX}, so nothing in it has a name: "
            f"`vaezoo weights {cut(folder)}` writes it for the folder of a run"
        )
    if index.stat().st_size > MOST_INDEX:
        raise CheckpointError(
            f"{index} has more than {MOST_INDEX:,} bytes: it is no index of weights"
        )
    chosen = _chosen(index.read_bytes(), asked, str(index))
    return _verified(Path(folder) / chosen.file, chosen)


def _is_there(path: Path) -> bool:
    """False of a name that no system takes, too."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _verified(path: Path, chosen: Weights) -> Path:
    if not path.is_file():
        raise CheckpointError(f"{path} is not there: {INDEX} beside it is of other weights")
    if path.stat().st_size != chosen.bytes:
        raise CheckpointError(
            f"{path} has {path.stat().st_size:,} bytes, and {INDEX} says {chosen.bytes:,}"
        )
    _read(Files([path.parent], offline=True), File(path.name, chosen.sha256, size=chosen.bytes))
    return path


def _by_name_at(asked: Asked) -> Path:
    files = Files(cache=user_cache())
    with own_folder(files.cache) as folder:
        index = folder / INDEX
        try:
            fetch(asked.where, index, MOST_INDEX)
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{asked.where} could not be fetched: {cut(str(error))}"
            ) from None
        chosen = _chosen(index.read_bytes(), asked, asked.where)
    return _fetched(urljoin(asked.where, chosen.file), chosen.sha256, chosen.bytes)


def _fetched(url: str, sha256: str, size: int) -> Path:
    files = Files(cache=user_cache())
    name = f"models/{sha256}.safetensors"
    _read(files, File(name, sha256, (url,), size=size))
    return next(path for path in (folder / name for folder in files.folders) if path.is_file())


def _read(files: Files, file: File) -> bytes:
    try:
        return files.read_all([file])[0]
    except MissingData as error:
        failed = [line for line in str(error).splitlines() if line.startswith(FAILED)]
        why = "".join(failed).removeprefix(FAILED) or "offline"
        where = file.urls[0] if file.urls else file.name
        raise CheckpointError(f"{where} could not be fetched: {cut(why, 500)}") from None
    except BadData as error:
        raise CheckpointError(str(error)) from None


def _asked(text: str) -> Asked:
    """Raises: CheckpointError for a hash that is none."""
    where, _, behind = text.partition("#")
    name, mark, sha256 = behind.partition("sha256=")
    name = unquote(name.removesuffix("&"))
    if mark and not HEX.fullmatch(sha256.lower()):
        raise CheckpointError(
            f"a SHA-256 has 64 digits of 0-9 and a-f; {cut(repr(sha256))} has not"
        )
    return Asked(where, name, sha256.lower())


def _chosen(content: bytes, asked: Asked, who: str) -> Weights:
    """The one checkpoint of the index that is asked for.

    Raises: CheckpointError.
    """
    try:
        models = Index.model_validate_json(content).models
    except ValidationError as error:
        said = error.errors()[0]["msg"].lower()
        raise CheckpointError(f"{who} is not as vaezoo weights writes it: {cut(said)}") from None
    names = [asked.name] if asked.name in models else _like(asked.name, models)
    if len(names) != 1:
        few = ", ".join((names or sorted(models))[:8])
        which = "has several of that name" if names else "has none of that name"
        raise CheckpointError(f"{cut(asked.name)}: {who} {which}; choose one, such as {cut(few)}")
    chosen = models[names[0]]
    if asked.sha256 not in ("", chosen.sha256):
        raise CheckpointError(
            f"{names[0]} of {who} has the SHA-256 {chosen.sha256}, and you said {asked.sha256}"
        )
    return chosen


def _like(name: str, models: dict[str, Weights]) -> list[str]:
    """The names that hold this one as whole parts, between slashes."""
    return [one for one in models if f"/{name}/" in f"/{one}/"]
