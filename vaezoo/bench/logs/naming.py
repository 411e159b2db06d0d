"""What loggers call a trial, and the packages that they need."""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any


def needs(package: str, extra: str) -> None:
    """Raises: Unsupported where the package is not installed."""
    if find_spec(package) is None:
        from ...core import Unsupported  # which loads torch

        raise Unsupported(
            f"the logger {extra} needs the package {package}, which is not installed: "
            f"pip install 'vaezoo[{extra}]'"
        )


def title(trial: Mapping[str, Any]) -> str:
    """ "beta[beta=4.0] on digits, seed 0"."""
    return f"{trial['variant']} on {trial['dataset']}, seed {trial['seed']}"


def file_name(trial: Mapping[str, Any]) -> str:
    """ "beta-beta-4.0-digits-0-1a2b3c4d"."""
    words = f"{trial['variant']}-{trial['dataset']}-{trial['seed']}"
    return re.sub(r"[^\w.]+", "-", words)[:100] + f"-{trial['key'][:8]}"


def settings(trial: Mapping[str, Any]) -> dict[str, Any]:
    """What it was made of, flat: "variant", "budget.epochs" …"""
    found = {name: trial[name] for name in ("variant", "dataset", "seed", "key")}
    for part in ("hyperparameters", "budget", "spec"):
        found |= {f"{part}.{name}": value for name, value in trial[part].items()}
    return found
