"""What K draws of q(z|x) say of log p(x): the ELBO, the importance-weighted bound, and how far the
weights can be relied on.
"""

import math
import operator
from dataclasses import dataclass
from functools import cached_property, reduce

import torch
from torch import Tensor

from ..core import Model, Trace
from ..seeds import seeded
from .batches import balanced, trimmed
from .guards import Witness
from .tails import largest, pareto_k

ROWS = 256  # whose tails are fitted at once


@dataclass(frozen=True)
class Estimate:
    """What K draws of q(z|x) say of each row: (B,) each, in nats."""

    log_px: Tensor  # the mean of log p(x|z)
    kl: Tensor  # in closed form where there is one, else the draws' mean
    log_likelihood: Tensor  # log 1/K Σ_k p(x,z_k)/q(z_k|x)
    effective: Tensor  # (Σ w)²/Σ w²: how many of the K draws count
    top: Tensor  # (n, B): the largest of the K log weights
    witness: Witness  # by which `guards` tells what cannot be

    @property
    def elbo(self) -> Tensor:
        return self.log_px - self.kl

    @cached_property
    def pareto_k(self) -> Tensor:
        """Of the largest of the K weights, see `tails`."""
        return torch.cat([pareto_k(rows) for rows in self.top.split(ROWS, 1)])


@dataclass(frozen=True)
class _Sums:
    """What is kept of some draws, (B,) each."""

    log_px: Tensor
    kl: Tensor
    log_w: Tensor  # log Σ w
    log_squares: Tensor  # log Σ w²

    @classmethod
    def of(cls, trace: Trace) -> "_Sums":
        draws = len(trace.log_px)
        return cls(
            trace.log_px.sum(0),
            trace.kl.sum(0) if trace.kl.ndim == 2 else draws * trace.kl,  # closed: (B,)
            trace.log_w.logsumexp(0),
            (2 * trace.log_w).logsumexp(0),
        )

    def __add__(self, other: "_Sums") -> "_Sums":
        return _Sums(
            self.log_px + other.log_px,
            self.kl + other.kl,
            torch.logaddexp(self.log_w, other.log_w),
            torch.logaddexp(self.log_squares, other.log_squares),
        )


def estimate(model: Model, x: Tensor, c: Tensor | None, k: int, chunk: int) -> Estimate:
    """The estimate of a few rows from k draws, `chunk` at a time, so that memory does not grow with
    k.
    """
    sums = []
    seen = []
    top = x.new_empty(0, len(x))
    for start in range(0, k, chunk):
        trace = model.infer(x, c, min(chunk, k - start))
        sums.append(_Sums.of(trace))
        seen.append(Witness.of(trace))
        top = largest(torch.cat([top, trace.log_w]), k)

    total = reduce(operator.add, sums)
    return Estimate(
        total.log_px / k,
        total.kl / k,
        total.log_w - math.log(k),
        (2 * total.log_w - total.log_squares).exp(),
        top,
        reduce(operator.add, seen),
    )


@torch.no_grad()
def estimate_all(model: Model, x: Tensor, c: Tensor | None, k: int, entries: int) -> Estimate:
    """The estimate of every row; at no time are more than about `entries` numbers of x, times
    draws, in memory.
    """
    order = []
    parts = []
    for rows, draws in balanced(x, k, entries):
        given = None if c is None else c[rows]
        parts.append(estimate(model, trimmed(x[rows]), given, k, draws))
        order.append(rows)

    back = torch.cat(order).argsort()  # to the order of x

    def whole(name: str) -> Tensor:
        return torch.cat([getattr(part, name) for part in parts])[back]

    witness = Witness.joined([part.witness for part in parts], back)
    return Estimate(
        log_px=whole("log_px"),
        kl=whole("kl"),
        log_likelihood=whole("log_likelihood"),
        effective=whole("effective"),
        top=torch.cat([part.top for part in parts], 1)[:, back],
        witness=witness,
    )


def importance_log_likelihood(
    model: Model, x: Tensor, c: Tensor | None = None, k: int = 500, entries: int = 2**18
) -> Tensor:
    """(B,): log 1/K Σ_k p(x,z_k)/q(z_k|x), in expectation below log p(x) (Burda 2016,
    arXiv:1509.00519, eq. 8).
    """
    return estimate_all(model, x, c, k, entries).log_likelihood


@torch.no_grad()
def alike(model: Model, x: Tensor, k: int, *names: object) -> Tensor:
    """The same of every row by itself, all from the draws that the seed of these names gives: what
    is said of a row does not depend on the other rows.
    """
    found = x.new_empty(len(x))
    for i in range(len(x)):
        with seeded(*names):
            found[i] = model.infer(x[i : i + 1], None, k).log_w.logsumexp(0)
    return found - math.log(k)


def elbo_of(
    model: Model, x: Tensor, c: Tensor | None = None, k: int = 16, entries: int = 2**18
) -> Tensor:
    """(B,): the bound with β = 1, from k draws."""
    return estimate_all(model, x, c, k, entries).elbo
