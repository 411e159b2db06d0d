"""Text that others wrote (labels, reasons, units, words of a plugin), at the borders where it
leaves: terminal, CSV, Markdown, LaTeX, SVG.

`plain` is what all of them share: letters that a terminal or a page would obey become "�".
"""

import codecs
import json
import math
import re
import sys
import unicodedata
from collections.abc import Collection
from itertools import islice
from typing import Any

from ..data.words import LOST, each_letter, is_obeyed, on_one_line, plain

__all__ = [
    "LOST",
    "as_encoded",
    "as_value",
    "bear_any_console",
    "in_csv",
    "in_json",
    "in_markdown",
    "in_svg",
    "in_tex",
    "on_one_line",
    "plain",
    "say",
    "say_all",
]

MOST_SAID = 100  # lines of one kind
FORMULA = tuple("=+-@＝＋－＠")  # what a spreadsheet computes, some also in full width
IN_MARKDOWN = str.maketrans({letter: f"\\{letter}" for letter in "\\<>`|"})
# "[a](b)", "[a][b]", "[a]: b" and "![": a bracket that is no link stays, as in beta[beta=4.0]
LINK = re.compile(r"\]\s*[(\[:]|!\[")
MARKED_UP = re.compile(r"[\\<>`|\]!]")  # without one of these a text is as it stands
TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "–": "--", "—": "---",
    "…": r"\textellipsis{}", "<": r"$<$", ">": r"$>$", "|": r"$|$", "‖": r"$\|$", "∞": r"$\infty$",
    "≤": r"$\leq$", "≥": r"$\geq$", "≈": r"$\approx$", "→": r"$\to$", "∑": r"$\sum$",
    "²": r"$^2$", "³": r"$^3$", "×": r"$\times$", "−": "$-$", "†": r"$\dagger$", "√": r"$\surd$",
    "·": r"$\cdot$", "’": "'", "“": "``", "”": "''", "\u0302": "",
}  # fmt: skip
IN_TEX = str.maketrans(TEX)
LATIN = {"OMICRON": "o", "FINAL SIGMA": r"$\varsigma$"}  # Greek that has no command of its own
CAPITALS = {
    "GAMMA", "DELTA", "THETA", "LAMBDA", "XI", "PI", "SIGMA", "UPSILON", "PHI", "PSI", "OMEGA",
}  # fmt: skip
# what a console gets whose letters are fewer, such as cp1252
ASCII = {
    "↑": "^", "↓": "v", "→": "->", "≤": "<=", "≥": ">=", "±": "+-", "–": "-", "—": "-", "…": "...",
    "−": "-", "×": "x", "²": "2", "α": "alpha", "β": "beta", "σ": "sigma", "Σ": "Sum", "χ": "chi",
    "†": "+", "‖": "||", "·": ".", "√": "sqrt", "∞": "inf", "π": "pi", "θ": "theta", "Δ": "Delta",
    "’": "'", "‘": "'", "“": '"', "”": '"', "é": "e", "ö": "o", "ü": "u", "ä": "a",
}  # fmt: skip
ERRORS = "vaezoo.ascii"  # the name of `_in_ascii` among Python's ways with what cannot be encoded


def in_csv(text: str) -> str:
    """A cell that no spreadsheet computes: what begins as a formula and is no number has an
    apostrophe before it.
    """
    cell = on_one_line(text)
    return f"'{cell}" if cell.lstrip().startswith(FORMULA) and not _is_number(cell) else cell


def as_value(cell: str) -> float | int | str | None:
    """What a cell of a CSV file stands for: a number, a text, or nothing."""
    if not cell:
        return None
    try:
        return int(cell)
    except ValueError:
        return float(cell) if _is_number(cell) else cell


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def in_markdown(text: str) -> str:
    """Words that are nothing but words."""
    line = on_one_line(text)
    if not MARKED_UP.search(line):  # nearly all: cells of numbers
        return line
    words = line.translate(IN_MARKDOWN)
    return words.replace("[", "\\[").replace("]", "\\]") if LINK.search(words) else words


def in_json(value: Any, **options: Any) -> str:
    """The value as JSON, what is obeyed and what stdout cannot encode as escapes."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    is_ascii = not encoding.lower().replace("-", "").startswith("utf")
    text = json.dumps(value, ensure_ascii=is_ascii, **options)
    return each_letter(
        text, lambda letter: json.dumps(letter)[1:-1] if is_obeyed(letter) else letter
    )


def in_tex(text: str) -> str:
    """The text as LaTeX prints it, Greek letters as mathematics."""
    words = _without(text)
    return words.translate(IN_TEX) if words.isascii() else "".join(map(_letter_in_tex, words))


def _letter_in_tex(letter: str) -> str:
    if letter in TEX or letter.isascii():
        return TEX.get(letter, letter)
    kind, _, name = unicodedata.name(letter, "").partition(" LETTER ")
    name = name.replace("LAMDA", "LAMBDA")
    if kind == "GREEK SMALL":
        return LATIN.get(name, rf"$\{name.lower()}$") if name.isalpha() or name in LATIN else letter
    has_command = kind == "GREEK CAPITAL" and name in CAPITALS
    return rf"$\{name.capitalize()}$" if has_command else letter


def in_svg(text: str) -> str:
    """XML has no word for most of what is obeyed, so it is lost."""
    return plain(text, "")


def _without(text: str) -> str:
    return text if text.isprintable() else plain(" ".join(text.split()), "")


def say(sentence: str) -> None:
    """One line on stderr, as the program says it."""
    print(f"vaezoo: {on_one_line(sentence)}", file=sys.stderr)


def say_all(sentences: Collection[str]) -> None:
    """A line each, of a hundred at most; then how many more there are."""
    for sentence in islice(sentences, MOST_SAID):
        say(sentence)
    if len(sentences) > MOST_SAID:
        say(f"and {len(sentences) - MOST_SAID:,} more like these; vaezoo verify names all")


def bear_any_console() -> None:
    """From here on stdout and stderr take every letter: what they cannot encode comes as ASCII."""
    codecs.register_error(ERRORS, _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None and stream.errors != ERRORS:
            reconfigure(errors=ERRORS)


def as_encoded(text: str, encoding: str) -> str:
    """What a console of this encoding shows of the text, as long as it will stand there."""
    codecs.register_error(ERRORS, _in_ascii)
    return text.encode(encoding, ERRORS).decode(encoding)


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(ASCII.get(letter, "?") for letter in letters), error.end
