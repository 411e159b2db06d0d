"""The weight of KL while a training warms up: what a trace says of q and p counts β times."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor

_beta: ContextVar[Tensor | None] = ContextVar("beta", default=None)


@contextmanager
def rates_weighed(beta: Tensor) -> Iterator[None]:
    """Inside the block a trace's KL is β KL, and its log_w is log p(x|z) + β (log p(z) - log q(z)).

    Bowman et al. 2016, arXiv:1511.06349, §3.1; Sønderby et al. 2016, arXiv:1602.02282, §2.3. β is a
    scalar tensor: its gradient tells whether a loss depends on it.
    """
    token = _beta.set(beta)
    try:
        yield
    finally:
        _beta.reset(token)


def weighed(rate: Tensor) -> Tensor:
    """β times the rate, in nats; the rate itself outside of a warm-up."""
    beta = _beta.get()
    return rate if beta is None else beta * rate
