"""Suites: named sets of trials, one TOML file each, found by path or by name in the package
`vaezoo_suites`.
"""

import os
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..hyperparameters import did_you_mean, listed

PACKAGE = "vaezoo_suites"
LARGEST = 2**20  # bytes of a file; ours have a thousand


class SuiteError(ValueError):
    """A suite that is not there or does not say what a suite says."""


class Suite(BaseModel):
    """What to compare. `variants` and `datasets` are what the command line takes, or a list of it.

    `set` is what --set takes; a list of values, such as latent = [1, 2, 4], makes a row for each.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    variants: str | list[str] = "all"
    datasets: str | list[str] = "digits"
    seeds: Annotated[int, Field(ge=1)] | str | list[int] = 3
    set: dict[str, Any] = {}
    metrics: list[str] = []
    sampler: str | list[str] = "prior"
    importance_samples: Annotated[int, Field(ge=1)] = 100
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """The fields of a `Request`."""
        return {
            "variants": self.variants
            if isinstance(self.variants, str)
            else ",".join(self.variants),
            "datasets": self.datasets
            if isinstance(self.datasets, str)
            else ",".join(self.datasets),
            "seeds": str(self.seeds) if isinstance(self.seeds, int) else self.seeds,
            "sets": self.set,
            "metrics": tuple(self.metrics),
            "samplers": self.sampler if isinstance(self.sampler, str) else ",".join(self.sampler),
            "importance_samples": self.importance_samples,
        }


def suites() -> dict[str, Suite]:
    """The suites that come with vaezoo, by name."""
    return {name: read_suite(text, name) for name, text in _texts().items()}


def load_suite(name: str | Path) -> Suite:
    """The suite in a file, or one of ours by name.

    Raises: SuiteError, one sentence that names what is wrong.
    """
    path = Path(name)
    if path.suffix == ".toml" or os.path.isfile(path):  # which says False of a name too long
        if not os.path.isfile(path):
            raise SuiteError(f"there is no suite file {path}")
        return read_suite(_text_of(path), str(path))
    known = _texts()
    if str(name) not in known:
        raise SuiteError(
            f"there is no suite {str(name)!r}{did_you_mean(str(name), known)}; "
            f"there are {listed(known)}"
        )
    return read_suite(known[str(name)], str(name))


def _text_of(path: Path) -> str:
    """What the file says. Raises: SuiteError where it is no text of a suite's length."""
    if path.stat().st_size > LARGEST:
        raise SuiteError(f"suite {path} has more than {LARGEST:,} bytes, so it is none")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeError:
        raise SuiteError(f"suite {path} is no text in UTF-8; save it as that") from None


def read_suite(text: str, who: str) -> Suite:
    """The suite that this TOML describes."""
    try:
        return Suite(**tomllib.loads(text))
    except ValidationError as error:
        raise SuiteError(f"suite {who}: {_first(error)}") from None
    except ValueError as error:  # a number without end is none of tomllib's own
        raise SuiteError(f"suite {who} is not TOML: {error}") from None
    except RecursionError:
        raise SuiteError(f"suite {who} is nested too deeply to be read") from None


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    key = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        known = Suite.model_fields
        return f"unknown key {key!r}{did_you_mean(key, known)}; a suite has {listed(known)}"
    return f"{key}: {first['msg'].lower()}"


def _texts() -> dict[str, str]:
    files = sorted(resources.files(PACKAGE).iterdir(), key=lambda file: file.name)
    return {
        file.name.removesuffix(".toml"): file.read_text("utf-8")
        for file in files
        if file.name.endswith(".toml")
    }
