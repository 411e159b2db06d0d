"""Which signals stop a verb or a run, and what they do meanwhile."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

HANGS_UP = ("SIGHUP", "SIGQUIT")  # a terminal that is closed, and its Ctrl-\; not on every system
ENDS = ("SIGTERM", *HANGS_UP)  # beside SIGINT, which Python makes a KeyboardInterrupt


@contextmanager
def answered(
    names: Sequence[str], answer: Callable[[int, FrameType | None], object]
) -> Iterator[None]:
    """Inside the block `answer` is called where one of these signals comes; in the first thread
    alone, for others cannot be. What whoever began us had us ignore stays so, as nohup(1) asks.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {}
    for name in signal.Signals.__members__.keys() & set(names):
        number = signal.Signals[name]
        known = signal.getsignal(number)
        # None is a handler that is none of Python's, and could not be put back
        if known is not None and not (name in HANGS_UP and known == signal.SIG_IGN):
            before[number] = signal.signal(number, answer)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
