"""A process that is forked while its pool closes finds neither pipe nor semaphore, and ends without
a word: nobody waits for it.
"""

import sys
from types import TracebackType

GONE = (FileNotFoundError, ConnectionError, EOFError)  # what was the pool's is no more


def hush() -> None:
    """From now on, here and in copies of this process, such an end is not told on stderr."""
    told = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
        if not (isinstance(error, GONE) and _is_of_the_pool(where)):
            told(kind, error, where)

    sys.excepthook = hook


def _is_of_the_pool(where: TracebackType | None) -> bool:
    """Whether it arose in multiprocessing, before anything else has run."""
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    name = where.tb_frame.f_globals.get("__name__", "") if where else ""
    return str(name).partition(".")[0] == "multiprocessing"
