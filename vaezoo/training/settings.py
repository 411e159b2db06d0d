"""What `--set` can change, checked: fields of the budget and of a data set's spec; and the device."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import Field

from ..hyperparameters import Count, HyperparameterError, did_you_mean, listed, resolve
from ..likelihoods import HEADS
from .budget import Budget

Json = dict[str, Any]


class SettingError(ValueError):
    """What was asked for cannot be set. One sentence."""


def dials(
    latent: Count = 8,
    hidden: Count = 128,
    network: Literal["mlp", "conv", "rnn"] = "mlp",
    likelihood: Literal[tuple(HEADS)] = "bernoulli",  # type: ignore[valid-type]
    levels: Annotated[int, Field(ge=2)] = 256,
) -> None:
    """The fields of a data set's spec that `--set` may change."""


def split_settings(sets: Mapping[str, Any]) -> tuple[Json, Json]:
    """The `--set` pairs as (fields of the budget, fields of the spec), checked and converted.

    Raises: HyperparameterError for an unknown key or a value out of range.
    """
    names_of_budget = [f.name for f in fields(Budget)]
    names_of_spec = list(dials.__annotations__)[:-1]
    known = dict.fromkeys(names_of_budget + names_of_spec)
    for key in sets:
        if key not in known:
            raise HyperparameterError(
                f"there is no setting {key!r}{did_you_mean(key, known)}; --set takes {listed(known)}"
            )
    parts = []
    for build, names in ((Budget, names_of_budget), (dials, names_of_spec)):
        given = {key: value for key, value in sets.items() if key in names}
        checked = resolve(build, given, "--set")
        parts.append({key: checked[key] for key in given})
    return parts[0], parts[1]


def must_fit(data: str, likelihood: str, fitting: Sequence[str]) -> None:
    """Raises: SettingError for a likelihood that the data's values are none of."""
    if likelihood not in fitting:
        raise SettingError(
            f"likelihood={likelihood} is for {HEADS[likelihood].support}, and {data} has other values; "
            f"there it can be {', '.join(fitting)}"
        )


def chosen_device(name: str) -> str:
    """ "auto" -> "cuda" where there is one, else "cpu".

    Raises: SettingError for a device that is not here.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise SettingError(
            "device cuda was asked for, and torch finds no CUDA here; use --device cpu or auto"
        )
    return name
