"""What strangers wrote, where it is shown: letters that a terminal or a page would obey become "�",
or in a sentence, where they should be seen, their escapes.
"""

import unicodedata
from collections.abc import Callable

LOST = "\ufffd"
KEPT = "\u200c\u200d"  # joiners, which some scripts are spelled with
# C0 and C1 controls, surrogates, formats (bidirectional ones among them), separators of lines
OBEYED = ("Cc", "Cf", "Cs", "Zl", "Zp")
NO_LETTERS = "\ufffe\uffff"  # which XML refuses, and Unicode never will give a meaning


def plain(text: str, instead: str = LOST) -> str:
    """The text without letters that are obeyed and not read; lines and tabs stay."""
    return each_letter(text, lambda letter: instead if is_obeyed(letter) else letter)


def each_letter(text: str, change: Callable[[str], str]) -> str:
    """The text, its letters changed in lines that have one that is not printed."""
    if text.isprintable():
        return text
    lines = text.split("\n")
    return "\n".join(one if one.isprintable() else "".join(map(change, one)) for one in lines)


def is_obeyed(letter: str) -> bool:
    """Whether a terminal or a page would do something, where a reader sees nothing."""
    if letter in NO_LETTERS:
        return True
    return unicodedata.category(letter) in OBEYED and letter not in "\n\t" and letter not in KEPT


def on_one_line(text: str) -> str:
    """The text, plain, without ends of lines."""
    return text if text.isprintable() else plain(" ".join(text.split()))


def cut(text: str, width: int = 200) -> str:
    """The text in one line, no longer than this, what is obeyed in it as escapes."""
    line = " ".join(text[: 10 * width].split())
    shown = each_letter(line, lambda one: ascii(one)[1:-1] if is_obeyed(one) else one)
    return shown if len(shown) <= width else shown[: width - 1] + "…"


def in_words(error: BaseException) -> str:
    """The exception's type and text, also where asking for its text raises another."""
    try:
        text = str(error)
    except BaseException:
        text = "an error whose text cannot be had"
    return f"{type(error).__name__}: {text}"
