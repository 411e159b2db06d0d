"""What is proven of a variant: whether it has a density, and the claims that the exact tests hold.

`certificates.json` is written by `make docs` from the marks on the tests in tests/exact/.
"""

import json
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import TypedDict

from ..core import Spec, Unsupported
from ..parts import names
from ..registry.entries import Variant
from .case import LAST, SPECS

TOY = Spec((1, 8, 8), n_train=16, classes=2, levels=4, latent=4, hidden=8)


class Claim(TypedDict):
    """One claim and the test that holds it."""

    claim: str
    test: str
    passed: bool


@cache
def _table() -> dict[str, list[Claim]]:
    return json.loads(
        files("vaezoo.author").joinpath("certificates.json").read_text(encoding="utf-8")
    )


def claims_of(variant: Variant) -> list[Claim]:
    """What our tests prove of it; nothing of another distribution's variant."""
    return _table().get(variant.name, []) if variant.plugin.distribution == "vaezoo" else []


def density_of(variant: Variant) -> str:
    """ "yes", or "no (the reason)", asked of a small model on the first kind of image that the
    variant takes, else of data that nothing else takes.
    """
    reason = ""
    images = [replace(TOY, likelihood=likelihood) for likelihood in names("likelihood")]
    for spec in (*images, *(SPECS[kind] for kind in LAST)):
        try:
            model = variant(spec)
        except Unsupported as why:
            reason = str(why)
        # a stranger's builder may do anything, and there is more to show of it
        except Exception as error:
            return f"unknown ({type(error).__name__}: {error})"
        else:
            return f"no ({model.no_density})" if model.no_density else "yes"
    return f"unknown ({reason})"
