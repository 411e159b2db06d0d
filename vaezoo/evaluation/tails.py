"""How heavy the tail of importance weights is, from the largest of them: Pareto k̂ (Vehtari,
Simpson, Gelman, Yao & Gabry 2024, JMLR 25(72), arXiv:1507.02646, §3).

The ratio has moments of order up to 1/k. Above k = 0.7 no number of draws in use gives an estimate
to rely on, and K draws do so below 1 - 1/log₁₀ K, which is 0.5 for K = 100.
"""

import math

import torch
from torch import Tensor

FEWEST = 5  # weights in a tail that can be fitted
PRIOR = 10  # weights as many as the weak prior at k = ½ counts (their appendix C)


def tail_size(k: int) -> int:
    """How many of k weights are the tail."""
    return math.ceil(min(k / 5, 3 * math.sqrt(k)))


def largest(log_w: Tensor, k: int) -> Tensor:
    """(n, B) -> (at most tail and one, B): what is to be kept of k weights, largest first."""
    return log_w.topk(min(tail_size(k) + 1, len(log_w)), 0).values


def pareto_k(log_w: Tensor) -> Tensor:
    """(B,), float64: k̂ of the weights that `largest` has kept, (M + 1, B); the last is where the
    tail begins.

    NaN for too short a tail, and for one of few values, as of codes of a few classes.
    """
    if len(log_w) <= FEWEST:
        return log_w.new_full(log_w.shape[1:], math.nan, dtype=torch.float64)
    log_w = log_w.double().T.flip(1)  # (B, M + 1), ascending
    start = log_w[:, :1]
    excess = (start - log_w[:, -1:]).exp() * (log_w[:, 1:] - start).expm1()
    n = excess.shape[1]
    return (n * shape_of(excess) + PRIOR * 0.5) / (n + PRIOR)


def shape_of(x: Tensor) -> Tensor:
    """(B,): the shape of the generalised Pareto distributions of x (B, n), ascending; positive for
    heavy tails. NaN where a quarter of a row is 0.

    The posterior mean of Zhang & Stephens 2009 (Technometrics 51(3)), by their grid of b = -k/σ.
    """
    n = x.shape[1]
    m = 30 + int(math.sqrt(n))
    quartile = x[:, int(n / 4 + 0.5) - 1, None]
    steps = 1 - (m / (torch.arange(m).to(x) + 0.5)).sqrt()
    b = 1 / x[:, -1:] + steps / (3 * quartile)  # (B, m)
    k = torch.log1p(-b[..., None] * x[:, None]).mean(2)
    log_likelihood = n * ((-b / k).log() - k - 1)
    mean = (b * log_likelihood.softmax(1)).sum(1, keepdim=True)
    return torch.log1p(-mean * x).mean(1)
