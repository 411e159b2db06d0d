"""Family pages: which variants are on which page, and what the registry says of them.

The mark `<!-- family: prior, flow -->` at the top of a page lists its tags. Families go from the
general to the special, in the order of the mark `families` in docs/README.md: a variant is on the
last page that has one of its tags.
"""

import re
from pathlib import Path

from vaezoo.registry.entries import Variant

from .blocks import refilled
from .entry import entry

DOCS = Path(__file__).parent.parent
INDEX = DOCS / "README.md"
ORDER = re.compile(r"<!-- families: (.*?) -->", re.DOTALL)
TAGS = re.compile(r"<!-- family: (.*?) -->")
TITLE = re.compile(r"# (.*)")

Families = dict[str, list[Variant]]  # "priors" -> the variants of docs/variants/priors.md


def families(variants: dict[str, Variant]) -> Families:
    """Every page's variants, oldest paper first.

    Raises: ValueError for a variant that has no page.
    """
    tags = {page: tags_of(page) for page in order()}
    found: Families = {page: [] for page in tags}
    for variant in sorted(variants.values(), key=age):
        pages = [page for page in tags if tags[page] & variant.tags]
        if not pages:
            raise ValueError(no_page(variant, tags))
        found[pages[-1]].append(variant)
    return found


def order() -> list[str]:
    """The pages from the general to the special, as docs/README.md lists them."""
    found = ORDER.search(INDEX.read_text(encoding="utf-8"))
    return re.findall(r"\w+", found[1]) if found else []


def tags_of(page: str) -> set[str]:
    """The tags whose variants a page describes."""
    found = TAGS.search(page_of(page).read_text(encoding="utf-8"))
    return set(re.findall(r"\w+", found[1])) if found else set()


def no_page(variant: Variant, tags: dict[str, set[str]]) -> str:
    known = sorted(set().union(*tags.values()))
    return (
        f"{variant.name} has no tag of a family page, so it is on none: give it one of"
        f" {', '.join(known)}, or name a tag of it at the top of a page in docs/variants/"
    )


def age(variant: Variant) -> tuple[str, str]:
    """Sorts by the year that the docstring's paper names first, then by name."""
    year = re.search(r"\b(?:19|20)\d\d\b", variant.paper)
    return (year[0] if year else "", variant.name)


def with_variants(text: str, variants: list[Variant]) -> str:
    """A family's page with an entry for each of its variants."""
    entries = "\n\n".join(entry(variant) for variant in variants)
    return refilled(text, "variants", lambda _: entries)


def with_index(text: str, found: Families) -> str:
    """The table of families: each page by its title, with the names of its variants."""
    rows = [row(page, variants) for page, variants in found.items()]
    table = "\n".join(["| family | variants |", "|---|---|", *rows])
    return refilled(text, "families", lambda _: table)


def row(page: str, variants: list[Variant]) -> str:
    title = TITLE.search(page_of(page).read_text(encoding="utf-8"))
    names = ", ".join(variant.name for variant in variants)
    return f"| [{title[1] if title else page}](variants/{page}.md) | {names} |"


def page_of(name: str) -> Path:
    return DOCS / "variants" / f"{name}.md"
