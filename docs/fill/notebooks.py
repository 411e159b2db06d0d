"""A tutorial as a notebook: its prose and its code as cells, in their order. The page is what one
edits and what the tests run; the notebook is written from it.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TUTORIALS = Path(__file__).parent.parent / "tutorials"
CODE = re.compile(r"^```(python|sh)\n(.*?)\n```$", re.DOTALL | re.MULTILINE)
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def cells_of(text: str) -> Iterator[tuple[str, str]]:
    """(prose, python or sh; its text) of each piece of a page."""
    end = 0
    for block in CODE.finditer(text):
        yield from _prose(text[end : block.start()])
        yield block[1], block[2]
        end = block.end()
    yield from _prose(text[end:])


def _prose(text: str) -> Iterator[tuple[str, str]]:
    if text.strip():
        yield "prose", text.strip()


def notebook(text: str) -> str:
    """The page as a file .ipynb, without outputs."""
    cells = [_cell(i, kind, inner) for i, (kind, inner) in enumerate(cells_of(text))]
    facts = {
        "cells": cells,
        "metadata": {"kernelspec": KERNEL, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(facts, indent=1, ensure_ascii=False) + "\n"


def _cell(number: int, kind: str, text: str) -> dict[str, Any]:
    source = f"%%sh\n{text}" if kind == "sh" else text
    cell: dict[str, Any] = {
        "cell_type": "markdown" if kind == "prose" else "code",
        "id": f"cell-{number}",
        "metadata": {},
        "source": source.splitlines(keepends=True),
    }
    return cell if kind == "prose" else {**cell, "execution_count": None, "outputs": []}


def notebooks() -> dict[Path, str]:
    """Each notebook as it should read."""
    return {
        page.with_suffix(".ipynb"): notebook(page.read_text(encoding="utf-8"))
        for page in sorted(TUTORIALS.glob("*.md"))
    }
