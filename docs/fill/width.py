"""Prose wrapped at 100 columns. A paragraph or an item whose lines all fit stays as it is; code,
tables, headings, comments and footnotes of tables are never touched.
"""

import re
import textwrap
from collections.abc import Iterator

WIDTH = 100
ITEM = re.compile(r"( *)([*-]|\d+\.) +")
FIXED = re.compile(r" *(\||#|<!--|!\[|\[\d+\] )")  # table, heading, comment, picture, footnote
FENCE = re.compile(r" *```")
# never broken, nor before what opens a list
WHOLE = re.compile(r"`[^`]+`| (?=(?:[-+*#|>]|\d+\.) )")


def wrapped(text: str) -> str:
    """The page with every paragraph that is too wide filled again."""
    lines: list[str] = []
    for block, is_prose in blocks(text.split("\n")):
        lines += narrow(block) if is_prose else block
    return "\n".join(lines)


def blocks(lines: list[str]) -> Iterator[tuple[list[str], bool]]:
    """The lines of a page, put together where they are one paragraph or one item of a list; and
    whether they are prose.
    """
    block: list[str] = []
    is_code = False
    for line in lines:
        is_fence = bool(FENCE.match(line))
        is_prose = not (is_code or is_fence or FIXED.match(line) or not line.strip())
        if block and (not is_prose or ITEM.match(line)):
            yield block, True
            block = []
        if is_prose:
            block.append(line)
        else:
            yield [line], False
        is_code ^= is_fence
    if block:
        yield block, True


def narrow(block: list[str]) -> list[str]:
    """A paragraph or an item, filled again if a line of it is too wide."""
    if max(map(len, block)) <= WIDTH:
        return block
    start = indent_of(block[0])
    words = " ".join(line.strip() for line in block)[len(start.strip()) :].strip()
    filler = textwrap.TextWrapper(
        WIDTH,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )
    glued = WHOLE.sub(lambda m: m[0].replace(" ", "\0"), words)
    return [line.replace("\0", " ") for line in filler.wrap(glued)]


def indent_of(line: str) -> str:
    """What stands before the first word: blanks, or the mark of an item and its blanks."""
    item = ITEM.match(line)
    return item[0] if item else line[: len(line) - len(line.lstrip())]
