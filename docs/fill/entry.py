"""One variant on its family's page, from its docstring, its signature and its certificate."""

import re
from collections import defaultdict
from pathlib import Path

from vaezoo.author.certificates import Claim, claims_of, density_of
from vaezoo.hyperparameters import Hyperparameter
from vaezoo.registry.entries import Variant

from .width import wrapped

ARXIV = re.compile(r"\barXiv:(\d{4}\.\d{4,5})")
DOI = re.compile(r"\bdoi:(10\.\S+?)(?=[,;.)]?(?:\s|$))")
MARKUP = re.compile(r"(\*|<(?=[A-Za-z/!?]))")
OPENREVIEW = re.compile(r"\bopenreview (\w+)", re.IGNORECASE)


def entry(variant: Variant) -> str:
    """Heading, what is new, the objective, what else the docstring says, and a list of facts."""
    what, objective, *more = [*paragraphs(variant), ""]
    file = f"plugins/{Path(variant.plugin.file).name}"
    facts = [
        f"* Paper: {linked(escaped(variant.paper))}",
        f"* Hyperparameters: {', '.join(map(shown, variant.hyperparameters.values())) or 'none'}.",
        f"* Has a density: {escaped(density_of(variant))}. File: [{file}](../../{file}).",
        *proven(claims_of(variant)),
    ]
    said = [prose(what), f"```text\n{objective}\n```", *map(prose, filter(None, more))]
    return "\n\n".join([f"### `{variant.name}`", *said, "\n".join(map(wrapped, facts))])


def paragraphs(variant: Variant) -> list[str]:
    """Those of its docstring, except the one on its paper."""
    found = variant.doc.strip().split("\n\n")
    return [paragraph for paragraph in found if not paragraph.startswith("Paper:")]


def prose(paragraph: str) -> str:
    return wrapped(escaped(" ".join(paragraph.split())))


def shown(hyperparameter: Hyperparameter) -> str:
    if hyperparameter.required:
        return f"`{hyperparameter.name}` ({hyperparameter.range}, must be given)"
    return f"`{hyperparameter.name}={hyperparameter.default}` ({hyperparameter.range})"


def proven(claims: list[Claim]) -> list[str]:
    """A line for each file of tests, with the claims that it proves."""
    by_file: dict[str, list[str]] = defaultdict(list)
    for claim in claims:
        failed = "" if claim["passed"] else " (FAILED when it was last run)"
        by_file[claim["test"].partition("::")[0]].append(escaped(claim["claim"]) + failed)
    lines = [f"  * [{Path(f).name}](../../{f}): {'; '.join(said)}." for f, said in by_file.items()]
    return ["* Proven by tests:", *lines] if lines else []


def escaped(text: str) -> str:
    """Text in which Markdown sees no mark-up, except code in backticks."""
    pieces = re.split(r"(`[^`]*`)", text)
    plain = [MARKUP.sub(r"\\\1", piece) for piece in pieces[::2]]
    return "".join(a + b for a, b in zip(plain, [*pieces[1::2], ""], strict=True))


def linked(text: str) -> str:
    """Text whose papers are links."""
    text = ARXIV.sub(r"[arXiv:\1](https://arxiv.org/abs/\1)", text)
    text = OPENREVIEW.sub(r"[openreview \1](https://openreview.net/forum?id=\1)", text)
    return DOI.sub(r"[doi:\1](https://doi.org/\1)", text)
