"""Marked blocks of a page: `<!-- kind: argument -->` … `<!-- end -->`."""

import re
from collections.abc import Callable


def refilled(text: str, kind: str, content: Callable[[str], str]) -> str:
    """The page with `content(argument)` in every block of this kind, a blank line on either side;
    a block without content holds nothing.
    """

    def block(found: re.Match[str]) -> str:
        inner = content(found[2] or "").strip("\n")
        return found[1] + (f"\n{inner}\n\n" if inner else "") + found[3]

    return pattern(kind).sub(block, text)


def pattern(kind: str) -> re.Pattern[str]:
    """Matches a block: its mark, the mark's argument, its end."""
    return re.compile(rf"(<!-- {kind}(?:: (.*?))? -->\n).*?(<!-- end -->)", re.DOTALL)
