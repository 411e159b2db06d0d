"""The rules of `vaezoo check` as pytest cases, for a plugin's own tests.

from vaezoo.testing import contract

test_contract = contract("learned", plugins_dir="ideas")
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from .author.case import FAST, HARDEST, LAST, SCALES, SPECS, USUAL, Case
from .author.learning import learns
from .author.rules import (
    RULES,
    Rule,
    builds,
    has_a_sound_bound,
    ignores_padding,
    names_its_paper,
)
from .author.trained import KINDS, refuses_nothing_once_trained
from .registry.registry import load_registry

__all__ = ["contract"]

SLOW = (learns, has_a_sound_bound)  # most of the processor time of all rules


def contract(
    *names: str,
    fast: bool = True,
    thorough: bool = True,
    plugins_dir: Path | str | None = None,
    **hyperparameters: Any,
) -> Callable[..., None]:
    """A parametrised test: every rule for every variant on every kind of small data that it takes.

    A kind that a variant refuses is skipped with the reason. `fast` takes the three quickest kinds
    of data. Where not `thorough`, two slow rules run on two kinds in place of all, and models are
    trained on rows of scale 1,000 alone in place of 1, 30 and 1,000.
    """
    variants = load_registry(plugins_dir).variants
    usual = FAST if fast else USUAL

    @cache  # a case is the same for all rules, its refusal too
    def case_of(name: str, kind: str) -> Case:
        return Case(variants[name], kind, hyperparameters, SCALES if thorough else HARDEST)

    cases = []
    for name in names:
        for kind, rule in _asked(name, case_of, usual, thorough):
            case = pytest.param(name, kind, rule, id=f"{name}-{kind}-{rule.__name__}")
            cases.append(case)

    @pytest.mark.parametrize(("name", "kind", "rule"), cases)
    def test(name: str, kind: str, rule: Rule) -> None:
        case = case_of(name, kind)
        rule(case)
        if case.refusal:
            pytest.skip(case.refusal)

    return test


def _asked(
    name: str, case_of: Callable[[str, str], Case], usual: Sequence[str], thorough: bool
) -> Iterator[tuple[str, Rule]]:
    """Each kind of data with each rule, of those that can fail on it for this variant."""

    def is_taken(kind: str) -> bool:
        return not _refusal(case_of(name, kind))

    taken = [kind for kind in usual if is_taken(kind)]
    kinds = usual if taken else (*usual, *LAST)
    taken = taken or [kind for kind in LAST if is_taken(kind)]
    for rule in RULES:
        for kind in _kinds(rule, kinds, taken, thorough):
            yield kind, rule


def _refusal(case: Case) -> str:
    """Why the variant refuses the data; empty where it fails otherwise, which `builds` shows."""
    try:
        return case.refusal
    except Exception:
        return ""


def _kinds(rule: Rule, kinds: Sequence[str], taken: Sequence[str], thorough: bool) -> Sequence[str]:
    """The kinds of data on which `rule` can fail."""
    if rule is builds:
        return kinds  # a refusal needs its reason
    if rule is names_its_paper:
        return kinds[:1]  # it reads the docstring alone
    if rule is ignores_padding:
        return [kind for kind in taken if SPECS[kind].is_sequence and SPECS[kind].has_gaps]
    if rule is refuses_nothing_once_trained:
        return [kind for kind in KINDS if kind in taken][:1]
    if rule in SLOW and not thorough and len(taken) > 2:
        return max(combinations(taken, 2), key=_differences)
    return taken


def _differences(pair: tuple[str, str]) -> int:
    """In how many of network and likelihood two kinds of data differ."""
    first, second = (SPECS[kind] for kind in pair)
    return (first.network != second.network) + (first.likelihood != second.likelihood)
