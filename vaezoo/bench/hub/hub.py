"""A checkpoint goes to the hub and comes back.

A repository that `push` wrote holds model.safetensors, vaezoo.json (what it is, and the SHA-256 of
the weights) and README.md, the card. `pull` reads the first two and nothing else: no pickle is ever
fetched, and weights whose hash is not the one that was said are thrown away.
"""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ...data.kept import umask, written_aside
from ...training.checkpoint import CheckpointError, described
from ...training.header import About
from ..records import Damaged, parsed, storable
from ..records.checks import mapping, numbers
from ..store import TRIAL, WEIGHTS
from .card import card

T = TypeVar("T")
ABOUT = "vaezoo.json"
MODEL = "model.safetensors"
MOST_ABOUT = 2**20  # bytes of vaezoo.json
REPO = re.compile(r"[\w.-]+/[\w.-]+")


class HubError(ValueError):
    """What the hub has, or says, is of no use here. One sentence."""


class Said(BaseModel):
    """vaezoo.json: what it says of the weights. More may stand in it."""

    model_config = ConfigDict(extra="ignore")

    format: int
    file: str
    sha256: str
    bytes: int
    variant: str


@dataclass(frozen=True)
class Pulled:
    """What came, and where it is."""

    path: Path
    sha256: str
    variant: str
    commit: str


def push(source: Path, repo: str, *, private: bool = False, revision: str = "main") -> str:
    """The address of the commit that holds the checkpoint, or that of a trial's folder, with its
    card.

    Raises: HubError, CheckpointError.
    """
    _must_be_a_repo(repo)
    path = source / WEIGHTS if source.is_dir() else source
    about = described(path)
    digest = _sha256(path)
    facts = _facts(path, about, digest, _trial(path.parent) if source.is_dir() else {})
    api, add = _client()

    def commit() -> str:
        api.create_repo(repo, private=private, exist_ok=True)
        files = {
            MODEL: str(path),
            ABOUT: (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode(),
            "README.md": card(repo, facts).encode(),
        }
        added = [add(path_in_repo=name, path_or_fileobj=given) for name, given in files.items()]
        message = f"{facts['variant']}, by vaezoo"
        done = api.create_commit(repo, added, commit_message=message, revision=revision)
        return str(done.commit_url)

    return _asked(repo, commit)


def pull(repo: str, out: Path, *, revision: str = "main", sha256: str = "") -> Pulled:
    """The weights of the repository, in `out`, with what they are. Their hash is that of
    vaezoo.json, and `sha256` where it is given.

    Raises: HubError, CheckpointError.
    """
    _must_be_a_repo(repo)
    api, _ = _client()
    info = _asked(repo, lambda: api.model_info(repo, revision=revision, files_metadata=True))
    sizes = {one.rfilename: one.size or 0 for one in info.siblings or ()}
    _must_be_ours(repo, sizes)
    with tempfile.TemporaryDirectory() as folder:

        def fetched(name: str) -> Path:
            where = {"revision": info.sha, "local_dir": folder}
            return Path(_asked(repo, lambda: api.hf_hub_download(repo, name, **where)))

        said = _said(repo, fetched(ABOUT))
        _must_be_as_long(repo, said, sizes.get(said.file, 0))
        weights = fetched(said.file)
        found = _sha256(weights)
        _must_be_as_said(repo, said, found, sha256.lower())
        described(weights)  # which refuses what is no whole checkpoint
        _keep(weights, out)
    return Pulled(out, found, said.variant, str(info.sha))


def _keep(weights: Path, out: Path) -> None:
    """A copy that is there whole, or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(out) as aside:
        aside.chmod(0o666 & ~umask())
        aside.write_bytes(weights.read_bytes())


def _must_be_as_long(repo: str, said: "Said", size: int) -> None:
    """Raises: HubError for weights of another size, before they are fetched."""
    if size != said.bytes:
        raise HubError(
            f"{repo} holds {said.file} of {size:,} bytes, and its {ABOUT} "
            f"says {said.bytes:,}: it is not what was pushed"
        )


def _must_be_as_said(repo: str, said: "Said", found: str, asked: str) -> None:
    """Raises: HubError for weights of another SHA-256 than is said there, or was asked for."""
    for wanted, by in ((said.sha256, f"its {ABOUT}"), (asked, "you")):
        if wanted and found != wanted:
            raise HubError(
                f"{said.file} of {repo} has the SHA-256 {found}, and {by} said {wanted}: "
                "it was not kept"
            )


def _must_be_a_repo(repo: str) -> None:
    if not REPO.fullmatch(repo):
        raise HubError(f"a repository of the hub is called OWNER/NAME, not {repo!r}")


def _must_be_ours(repo: str, sizes: dict[str, int]) -> None:
    """Raises: HubError for a repository that `push` did not write."""
    if ABOUT not in sizes:
        others = sorted(name for name in sizes if not name.endswith((".md", ".gitattributes")))
        raise HubError(
            f"{repo} holds no {ABOUT}, so it was not written by vaezoo push: of "
            f"{', '.join(others[:5]) or 'what it holds'} nothing is read"
        )
    if sizes[ABOUT] > MOST_ABOUT:
        raise HubError(f"{ABOUT} of {repo} has {sizes[ABOUT]:,} bytes; {MOST_ABOUT:,} are the most")


def _said(repo: str, path: Path) -> Said:
    """Raises: HubError for a file that says nothing of use, or names what is no safetensors."""
    try:
        said = Said.model_validate_json(path.read_bytes()[:MOST_ABOUT])
    except ValidationError as error:
        raise HubError(
            f"{ABOUT} of {repo} is not as vaezoo push writes it: {error.errors()[0]['msg']}"
        ) from None
    if said.format != 1 or not re.fullmatch(r"[\w.-]+\.safetensors", said.file):
        raise HubError(
            f"{ABOUT} of {repo} names the file {said.file!r} in the format {said.format}: "
            "only a .safetensors file beside it, in format 1, is read"
        )
    return said


def _facts(path: Path, about: About, digest: str, trial: dict[str, Any]) -> dict[str, Any]:
    """What vaezoo.json says."""
    recipe = about.recipe
    return {
        "format": 1,
        "file": MODEL,
        "sha256": digest,
        "bytes": path.stat().st_size,
        "variant": recipe.variant,
        "hyperparameters": recipe.hyperparameters,
        "spec": recipe.spec,
        "plugin": {
            "distribution": recipe.distribution,
            "version": recipe.version,
            "source_hash": recipe.source_hash,
        },
        "versions": about.versions,
        "trial": trial,
    }


def _trial(folder: Path) -> dict[str, Any]:
    """What the trial measured, and on what; nothing where there is none."""
    try:
        record = mapping(parsed(folder / TRIAL), TRIAL)
        made_of = mapping(record.get("ingredients", {}), "ingredients")
        measured = numbers(record.get("metrics") or {}, "metrics")
    except (OSError, Damaged):
        return {}
    kept = {name: record.get(name) for name in ("key", "dataset", "best_epoch")}
    made = {name: made_of.get(name) for name in ("seed", "budget", "data")}
    return kept | made | {"metrics": storable(measured)}


def _sha256(path: Path) -> str:
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _client() -> tuple[Any, Any]:
    """The hub's client, and what makes a file to add.

    Raises: HubError where its package is not installed.
    """
    try:
        from huggingface_hub import CommitOperationAdd, HfApi
    except ImportError:
        raise HubError(
            "push and pull need the package huggingface_hub: pip install 'vaezoo[hub]'"
        ) from None
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT")), CommitOperationAdd


def _asked(repo: str, ask: Callable[[], T]) -> T:
    """What the hub answers. Raises: HubError, whatever went wrong with it."""
    try:
        return ask()
    except Exception as error:  # of its transport, of its answers, of this machine's network
        words = " ".join(str(error).split())[:400] or type(error).__name__
        raise HubError(f"the hub did not do it for {repo}: {words}") from None
