"""How many steps of a sequence a decoder is asked for: those of x, where x is shorter than the
longest.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor

_asked: ContextVar[int | None] = ContextVar("asked", default=None)


@contextmanager
def as_long_as(x: Tensor) -> Iterator[None]:
    """Inside the block a decoder that writes step by step may end with x (B, T, C); the steps
    beyond are padding, which never counts.
    """
    token = _asked.set(x.shape[1] if x.ndim == 3 else None)
    try:
        yield
    finally:
        _asked.reset(token)


def steps_asked_for(longest: int) -> int:
    """How many of `longest` steps are to be written."""
    return min(longest, _asked.get() or longest)
