"""What went wrong, in one line."""

import traceback
from pathlib import Path

from ..data.words import cut, in_words

OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
)


def one_line(error: BaseException) -> str:
    """Type, message and the deepest line that is not torch's, such as "ValueError: no
    (idea.py:12)".
    """
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    where = f" ({Path(ours[-1].filename).name}:{ours[-1].lineno})" if ours else ""
    return f"{cut(in_words(error), 340)}{where}"


def words(error: BaseException) -> str:
    """What the error says; nothing where it cannot, as one whose `__str__` raises."""
    try:
        return str(error)
    except BaseException:
        return ""


def sentence(error: BaseException) -> str:
    """What the error says, on one line, of a thousand letters at most."""
    return cut(words(error), 1000)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory did not suffice, on this machine or its accelerator."""
    text = words(error).lower()
    return isinstance(error, MemoryError) or any(said in text for said in OUT_OF_MEMORY)
