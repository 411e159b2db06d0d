"""What `--set` can change, checked: fields of the budget and of a data set's spec; the device."""

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked_dataclass

from ..hyperparameters import HyperparameterError, did_you_mean, listed, resolve
from ..parts import canonical_text
from .budget import Budget

Json = dict[str, Any]
Width = Annotated[int, Field(ge=1, le=1_000_000)]
Named = Annotated[str, Field(min_length=1)]


class SettingError(ValueError):
    """What was asked for cannot be set. One sentence."""


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Size:
    """The fields of a data set's spec that `--set` may change."""

    latent: Width = 8
    hidden: Width = 128
    network: Named = "mlp"  # with its options, such as "mlp[layers=2]"
    likelihood: Named = "bernoulli"  # with its options, such as "student_t[df=5]"
    levels: Annotated[int, Field(ge=2, le=65_536)] = 256


def split_settings(sets: Mapping[str, Any]) -> tuple[Json, Json]:
    """The `--set` pairs as (fields of the budget, fields of the spec), checked and converted.

    Raises: HyperparameterError for an unknown key or a value out of range.
    """
    names_of_budget = [f.name for f in fields(Budget)]
    names_of_spec = [f.name for f in fields(Size)]
    known = dict.fromkeys(names_of_budget + names_of_spec)
    for key in sets:
        if key not in known:
            raise HyperparameterError(
                f"there is no setting {key!r}{did_you_mean(key, known)}; "
                f"--set takes {listed(known)}"
            )
    parts = []
    for build, names in ((Budget, names_of_budget), (Size, names_of_spec)):
        given = {key: value for key, value in sets.items() if key in names}
        checked = resolve(build, given, "--set")
        parts.append({key: checked[key] for key in given})
    budget, size = parts
    for kind in ("likelihood", "network"):
        if kind in size:
            size[kind] = canonical_text(kind, size[kind])
    return budget, size


def chosen_device(name: str, is_here: bool = True) -> str:
    """ "auto" -> "cuda" where there is one, else "cpu". Where trials run elsewhere (not `is_here`),
    a device is taken at its word.

    Raises: SettingError for a device that is not here.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|(cuda|mps|xpu)(:\d{1,3})?", name):
        raise SettingError(
            f"no device is called {name[:40]!r}; there are cpu, cuda, cuda:1 … and auto"
        )
    if not is_here or name == "cpu":
        return name
    kind, _, number = name.partition(":")
    found = torch.accelerator.device_count() if _is_kind_here(kind) else 0
    if int(number or 0) >= found:
        what = "CUDA" if kind == "cuda" else name
        raise SettingError(
            f"device {name} was asked for, and torch finds no {what} here; use --device cpu or auto"
        )
    return name


def _is_kind_here(kind: str) -> bool:
    import torch

    accelerator = (
        torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    )
    return accelerator is not None and accelerator.type == kind
