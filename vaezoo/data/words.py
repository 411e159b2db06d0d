"""What strangers wrote, in a line that can be shown."""


def cut(text: str, width: int = 200) -> str:
    """The text in one line of printable letters, no longer than this."""
    line = " ".join(text[: 10 * width].split())
    printable = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line)
    return printable if len(printable) <= width else printable[: width - 1] + "…"


def in_words(error: BaseException) -> str:
    """The exception's type and text, also where asking for its text raises another."""
    try:
        text = str(error)
    except BaseException:
        text = "an error whose text cannot be had"
    return f"{type(error).__name__}: {text}"
