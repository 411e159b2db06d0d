"""What cannot be: rules that no sound model breaks, so that no broken density reaches a table.

A rule gives the sentence of what was seen, or "" where nothing impossible was. Beyond rounding, a
sound model breaks one with a probability of at most 3e-7, which is five standard errors of a
Normal:

* E exp r ≤ 1 for r = log p(z)/q(z|x) and its like, so over n independent draws the sum of r exceeds
  t with a probability of at most exp(-t) (Markov's inequality). n draws may exceed 0 by `CHANCE`/n.
* The closed KL and log q - log p of the same draws differ in the mean over rows by at most as many
  standard errors as Student's t has at that level.
* What holds for every draw, such as KL ≥ 0 in closed form, has rounding as its only excuse.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core import Trace
from .possible import CHANCE, LEVEL

ULPS = 64  # what rounding may add, in units of the last place of the largest term


@dataclass(frozen=True)
class Witness:
    """What K draws say of each of B rows beside the bounds, (B,) each, in nats."""

    draws: int
    sampled_kl: Tensor  # Σ_k log q - log p
    least_kl: Tensor  # the least closed KL of a latent; 0 where none is closed or all are above
    most_px: Tensor  # the largest log p(x|z)
    size: Tensor  # Σ_k |log p(x|z)| + |log q| + |log p|

    @classmethod
    def of(cls, trace: Trace) -> "Witness":
        sampled = torch.zeros_like(trace.log_px)
        size = trace.log_px.abs()
        least = torch.zeros_like(trace.log_px[0])
        for latent in trace.latents:
            sampled = sampled + (latent.log_q - latent.log_p)
            size = size + latent.log_q.abs() + latent.log_p.abs()
            if latent.kl_is_exact:
                closed = latent.kl if latent.kl.ndim == 1 else latent.kl.amin(0)
                least = torch.minimum(least, closed)
        return cls(len(sampled), sampled.sum(0), least, trace.log_px.amax(0), size.sum(0))

    def __add__(self, other: "Witness") -> "Witness":
        """Of the same rows, the draws of both."""
        return Witness(
            self.draws + other.draws,
            self.sampled_kl + other.sampled_kl,
            torch.minimum(self.least_kl, other.least_kl),
            torch.maximum(self.most_px, other.most_px),
            self.size + other.size,
        )

    @property
    def mean_kl(self) -> Tensor:
        return self.sampled_kl / self.draws

    @property
    def mean_size(self) -> Tensor:
        return self.size / self.draws

    @staticmethod
    def joined(parts: Sequence["Witness"], order: Tensor) -> "Witness":
        """Of the rows of all parts, in this order, by as many draws."""
        names = ("sampled_kl", "least_kl", "most_px", "size")

        def whole(name: str) -> Tensor:
            return torch.cat([getattr(part, name) for part in parts])[order]

        return Witness(parts[0].draws, *map(whole, names))


def rounding(size: Tensor) -> Tensor:
    """What rounding may have added to numbers whose terms are of this size, in single precision
    whatever their type: a part of the model may have come by it.
    """
    return ULPS * torch.finfo(torch.float32).eps * (1 + size.abs())


def exceeds_zero(ratio: Tensor, size: Tensor, draws: int = 1) -> bool:
    """Whether the mean of log ratios (N,), each a mean over `draws`, is above 0 by more than chance
    and rounding, where E exp ratio ≤ 1; terms of it are of `size` (N,).
    """
    return bool(ratio.mean() > CHANCE / (draws * len(ratio)) + rounding(size).mean())


def without_numbers(name: str, rows: Tensor) -> str:
    """Rows (N,) of a log density that are NaN or +∞; of -∞ a probability of 0 is the cause."""
    bad = int((rows.isnan() | (rows == math.inf)).sum())
    return f"{name} is no number for {bad} of {len(rows)} rows" if bad else ""


def kl_below_zero(seen: Witness) -> str:
    """KL(q ‖ p) < 0, in closed form or in the mean of the draws."""
    if (seen.least_kl < -rounding(seen.mean_size)).any():
        return f"a KL in closed form is {seen.least_kl.min():.4g} nats, and no KL is below 0"
    if exceeds_zero(-seen.mean_kl, seen.mean_size, seen.draws):
        return (
            f"KL is {seen.mean_kl.mean():.4g} nats in the mean of {len(seen.mean_kl)} rows and "
            f"{seen.draws} draws, and no KL is below 0"
        )
    return ""


def elbo_off_its_draws(elbo: Tensor, kl: Tensor, importance_bound: Tensor, seen: Witness) -> str:
    """An ELBO (N,) that its own draws contradict: above their importance-weighted bound (N,), or
    with a KL (N,) in closed form that is not the mean of their log q - log p.
    """
    gap = (seen.mean_kl - kl).double()
    allowed = _student(len(gap)) * float(gap.std()) / math.sqrt(len(gap))
    allowed += float(rounding(seen.mean_size).mean())
    above = float((elbo - importance_bound).double().mean())
    could_be = f"in the mean of {len(gap)} rows ({allowed:.2g} could be chance)"
    if above > allowed:
        return (
            f"the ELBO lies {above:.4g} nats above the importance-weighted bound of the same "
            f"draws, {could_be}"
        )
    if gap.mean().abs() > allowed:
        return (
            f"KL is {kl.mean():.4g} nats in closed form and {seen.mean_kl.mean():.4g} by the same "
            f"draws, {could_be}"
        )
    return ""


def mass_above_one(seen: Witness) -> str:
    """A probability p(x|z) > 1 of any draw."""
    if (seen.most_px > rounding(seen.mean_size)).any():
        return f"log p(x|z) of a draw is {seen.most_px.max():.4g}, and no probability is above 1"
    return ""


def prior_mass_above_one(log_p: Tensor, log_r: Tensor) -> str:
    """A p(z) that integrates to more than 1: E_r p(z)/r(z) is its integral, by draws (N,) of r."""
    ratio = log_p - log_r
    if not exceeds_zero(ratio, log_p.abs() + log_r.abs()):
        return ""
    return (
        f"log p(z) lies {ratio.mean():.4g} nats above the log density of a Normal, in the mean of "
        f"{len(ratio)} draws of that Normal, so that p(z) integrates to more than 1"
    )


def bound_too_high(
    name: str, bound: Tensor, size: Tensor, is_mass: bool | None, exact: Tensor | None
) -> str:
    """A lower bound of log p(x) of rows (N,) that is in their mean above what a model can reach: 0
    for a probability mass, and for held-out rows the exact log p(x) of the data.
    """
    if is_mass and exceeds_zero(bound, size):
        return (
            f"{name} is {bound.mean():.4g} nats in the mean of {len(bound)} rows, "
            "and no probability is above 1"
        )
    if exact is None:
        return ""
    excess = bound.double() - exact.to(bound.device).double()
    if exceeds_zero(excess, size):
        return (
            f"{name} lies {excess.mean():.4g} nats above the exact log p(x) of the data, "
            f"in the mean of {len(bound)} rows"
        )
    return ""


def divergence_below_zero(name: str, ratio: Tensor, size: Tensor) -> str:
    """A divergence < 0 that is the mean of log ratios (N,), one draw a row."""
    if not exceeds_zero(-ratio, size):
        return ""
    return (
        f"{name} is {ratio.mean():.4g} nats in the mean of {len(ratio)} rows, "
        "and no such mean is below 0"
    )


def information_outside(ratio: Tensor, size: Tensor) -> str:
    """I(x; z) of N rows, the mean of log q(z|x)/q(z) (N,), outside 0 to log N."""
    most = math.log(len(ratio))
    if exceeds_zero(-ratio, size) or (ratio > most + rounding(size)).any():
        return (
            f"the information between x and z is {ratio.mean():.4g} nats, the largest of a row "
            f"{ratio.max():.4g}; {len(ratio)} rows can hold 0 to {most:.2f}"
        )
    return ""


def _student(n: int) -> float:
    from scipy.stats import t

    return float(t.isf(LEVEL, n - 1)) if n > 1 else math.inf
