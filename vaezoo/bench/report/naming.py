"""Names of files for labels: what is ordinary stays readable, and no two labels share one."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

MOST = 80  # bytes of a name, of 255 that a file system takes, figure and ending included
SAFE = re.compile(r"\w[\w.+-]{0,79}", re.ASCII)


def file_names(labels: Iterable[str]) -> dict[str, str]:
    """Label -> part of a file's name. Labels that differ in punctuation alone, or in what a file
    system may not tell apart, and labels that are long, have some digits of their hash in it.
    """
    slugs = {label: _slug(label) for label in labels}
    hashed = {label for label, slug in slugs.items() if not 0 < len(slug.encode()) <= MOST}
    while True:
        names = {
            label: _hashed(slug, label) if label in hashed else slug
            for label, slug in slugs.items()
        }
        meet = Counter(map(_folded, names.values()))
        # a label may also be what the name of another one has become
        met = {label for label, name in names.items() if meet[_folded(name)] > 1} - hashed
        if not met:
            return names
        hashed |= met


def safe_name(name: str) -> str:
    """The name itself where it can be that of a file, else one made of it."""
    return name if SAFE.fullmatch(name) else _hashed(_slug(name), name)


def _slug(label: str) -> str:
    """The label, what is no letter and no digit as "-"."""
    return "".join(letter if letter.isalnum() else "-" for letter in label).strip("-")


def _folded(slug: str) -> str:
    return unicodedata.normalize("NFKC", slug).casefold()


def _hashed(slug: str, label: str) -> str:
    start = slug.encode()[: MOST - 9].decode(errors="ignore")
    digits = hashlib.sha256(label.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{start}-{digits}".lstrip("-")
