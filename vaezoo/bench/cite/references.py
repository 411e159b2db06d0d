"""References in text, such as `Kingma & Welling 2014, "Auto-Encoding Variational Bayes",
arXiv:1312.6114, eq. 3`, as entries of BibTeX.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from ..text import in_tex

PARTICLE = r"(?:(?:van den|van der|van|von|de|De|Le) )?"
INITIALS = r"(?:[A-Z]\. ?)*"
NAME = rf"{INITIALS}{PARTICLE}[^\W\d_a-z][^\W\d_]+(?:-[^\W\d_a-z][^\W\d_]+)*"
AUTHORS = rf"{NAME}(?:(?:, | & | and ){NAME})*(?: et al\.)?"
CITED = re.compile(rf"(?P<authors>{AUTHORS}),? \(?(?P<year>(?:19|20)\d\d)\b")
TITLE = re.compile(r'^,\s*"(?P<title>[^"]+)"')
ARXIV = re.compile(r"\barXiv:(\d{4}\.\d{4,5})")
DOI = re.compile(r"\bdoi:(10\.\d+/[\w.()/:;-]*\w)")
OPENREVIEW = re.compile(r"\bopenreview (\w+)", re.IGNORECASE)
NO_WORD = {"a", "an", "the", "on", "of", "with", "from", "in"}


@dataclass(frozen=True)
class Reference:
    """One paper as far as the text says what it is."""

    authors: tuple[str, ...]
    others: bool  # "et al."
    year: str
    title: str = ""
    arxiv: str = ""
    doi: str = ""
    openreview: str = ""

    @property
    def can_be_found(self) -> bool:
        """Whether there is more of it than names and a year."""
        return bool(self.title or self.arxiv or self.doi or self.openreview)

    @property
    def identity(self) -> str:
        """The same for two texts that mean one paper."""
        return self.arxiv or self.doi or self.openreview or f"{self.title}{self.year}".lower()

    @property
    def key(self) -> str:
        """Such as "kingma2014auto"."""
        words = [_ascii(word) for word in re.findall(r"\w+", self.title)]
        known = [word for word in words if word and word not in NO_WORD]
        return _ascii(self.authors[0].split()[-1]) + self.year + (known[0] if known else "")

    def entry(self, key: str) -> str:
        """The entry under this key."""
        names = [_name(author) for author in self.authors] + ["others"] * self.others
        links = {
            "eprint": self.arxiv,
            "archivePrefix": "arXiv" if self.arxiv else "",
            "doi": self.doi,
            "url": self.openreview and f"https://openreview.net/forum?id={self.openreview}",
        }
        title = f"{{{in_tex(self.title)}}}" if self.title else ""  # capitals stay
        fields = {"author": " and ".join(names), "title": title, "year": self.year, **links}
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
        return "\n".join([f"@misc{{{key},", *lines, "}"])


def references(text: str) -> list[Reference]:
    """The papers that a text names, in its order."""
    found = list(CITED.finditer(text))
    ends = [one.start() for one in found[1:]] + [len(text)]
    made = []
    for one, end in zip(found, ends, strict=False):
        made.append(_reference(one, text[one.end() : end]))
    return made


def _reference(found: re.Match[str], after: str) -> Reference:
    """What is said between this name with a year and the next."""
    authors = found["authors"]
    title = TITLE.search(after)
    ids = [pattern.search(after) for pattern in (ARXIV, DOI, OPENREVIEW)]
    (arxiv, doi, openreview) = [one[1] if one else "" for one in ids]
    names = re.split(r", | & | and ", authors.removesuffix(" et al."))
    return Reference(
        authors=tuple(names),
        others=authors.endswith("et al."),
        year=found["year"],
        title=" ".join(title["title"].split()) if title else "",
        arxiv=arxiv,
        doi=doi,
        openreview=openreview,
    )


def _name(author: str) -> str:
    """A surname of several words that begins with a capital is one."""
    text = in_tex(author)
    return f"{{{text}}}" if " " in text and "." not in text and text[0].isupper() else text


def _ascii(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.replace("ø", "o").replace("ß", "ss"))
    return re.sub(r"[^a-z0-9]", "", plain.lower())


def bibliography(uses: Iterable[tuple[str, Reference]]) -> str:
    """BibTeX of what each name uses, every paper once, with who uses it as a comment."""
    by_paper: dict[str, Reference] = {}
    users: dict[str, dict[str, None]] = {}
    for name, reference in uses:
        if reference.can_be_found:
            known = by_paper.setdefault(reference.identity, reference)
            if reference.title and not known.title:
                by_paper[reference.identity] = reference
            users.setdefault(reference.identity, {})[name] = None
    taken: set[str] = set()
    entries = []
    for identity, reference in by_paper.items():
        key = _free(reference.key, taken)
        taken.add(key)
        entries.append(f"% {', '.join(users[identity])}\n{reference.entry(key)}")
    return "\n\n".join(entries)


def _free(key: str, taken: set[str]) -> str:
    """The key, with a letter behind it where it is taken."""
    found = key
    for letter in "bcdefghijklmnopqrstuvwxyz":
        if found not in taken:
            return found
        found = key + letter
    return f"{key}{len(taken)}"
