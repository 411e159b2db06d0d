"""The rules of `vaezoo check` as pytest cases, for a plugin's own tests.

from vaezoo.testing import contract

test_contract = contract("learned", plugins_dir="ideas")
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from .author.check import FAST, RULES, SPECS, Case, Rule, builds
from .registry.registry import load


def contract(
    *names: str, fast: bool = True, plugins_dir: Path | str | None = None, **hyperparameters: Any
) -> Callable[..., None]:
    """A parametrised test: every rule for every variant on every kind of small data."""
    variants = load(plugins_dir).variants
    cases = [
        (name, kind, rule) for name in names for kind in (FAST if fast else SPECS) for rule in RULES
    ]

    @cache  # a case is the same for all rules, its refusal too
    def case_of(name: str, kind: str) -> Case:
        return Case(variants[name], kind, hyperparameters)

    @pytest.mark.parametrize(
        ("name", "kind", "rule"), cases, ids=[f"{n}-{k}-{r.__name__}" for n, k, r in cases]
    )
    def test(name: str, kind: str, rule: Rule) -> None:
        case = case_of(name, kind)
        if rule is not builds and case.refusal:
            return  # it says why it cannot be had for this data, and that is the contract
        rule(case)

    return test
