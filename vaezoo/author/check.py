"""Does a variant keep the contract? `check` runs every rule on small data of each kind.

`vaezoo.testing` makes pytest cases of the same rules.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..registry.entries import Variant
from .case import FAST, HARDEST, LAST, SCALES, USUAL, Broken, Case
from .rules import RULES, Rule, builds


@dataclass(frozen=True)
class Finding:
    """What one rule found on one kind of data."""

    rule: str
    kind: str
    passed: bool
    # what was seen where it did not pass, the reason where the variant refuses the data
    seen: str = ""
    mend: str = ""
    seconds: float = 0.0


def check(variant: Variant, fast: bool = False, **hyperparameters: Any) -> list[Finding]:
    """Every rule on every kind of data; where `fast` on the three quickest, and of the scales of
    rows on the largest alone.
    """
    scales = HARDEST if fast else SCALES
    found: list[Finding] = []
    for kind in FAST if fast else USUAL:
        found += _findings(Case(variant, kind, hyperparameters, scales))
    if all(finding.rule == builds.__name__ and finding.seen for finding in found):
        for kind in LAST:
            found += _findings(Case(variant, kind, hyperparameters, scales))
    return found


def _findings(case: Case) -> Iterator[Finding]:
    for rule in RULES:
        start = time.perf_counter()
        finding = run(rule, case)
        yield Finding(*finding, seconds=time.perf_counter() - start)
        if rule is builds and (not finding[2] or case.refusal):
            return


def run(rule: Rule, case: Case) -> tuple[str, str, bool, str, str]:
    """(rule, kind, passed, seen, mend). An exception that no rule foresaw is a failure of that
    rule.
    """
    try:
        rule(case)
    except Broken as broken:
        return rule.__name__, case.kind, False, broken.seen, broken.mend
    except Exception as error:  # whatever a plugin raises is an answer, not a crash of the check
        said = str(error).strip()
        words = f"{type(error).__name__}: {said.splitlines()[0] if said else ''}"
        return rule.__name__, case.kind, False, words, _place(error)
    return rule.__name__, case.kind, True, case.refusal if rule is builds else "", ""


def _place(error: Exception) -> str:
    traceback = error.__traceback__
    while traceback and traceback.tb_next:
        traceback = traceback.tb_next
    return f"see {traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno}" if traceback else ""
