"""Likelihoods in both precisions: cases for test_single_precision.py."""

from collections.abc import Callable

import torch
from vaezoo_plugins import count_data

from vaezoo.core import Spec
from vaezoo.distributions import Bernoulli, ContinuousBernoulli, DiscretisedLogistic, Levels

from ._precision import RAW, SCALES, Case, grid


def bernoulli() -> Case:
    logits, x = grid(RAW, (0.0, 1.0))
    return Case(
        {"logits": logits},
        lambda logits: [
            (q := Bernoulli(logits=logits, validate_args=False)).log_prob(x.to(logits)),
            q.mean,
        ],
    )


def continuous_bernoulli() -> Case:
    logits, x = grid((*RAW, -1e3, 1e3, 0.0999, 0.1001), (0.0, 1e-3, 0.5, 1.0))
    return Case(
        {"logits": logits},
        lambda logits: [(q := ContinuousBernoulli(logits)).log_prob(x.to(logits)), q.mean],
    )


def logistic() -> Case:
    raw, scale, x = grid(RAW, SCALES, (0.0, 1 / 255, 100 / 255, 1.0))
    return Case(
        {"raw": raw, "scale": scale},
        lambda raw, scale: [
            DiscretisedLogistic(raw + 0.5, scale, 256).log_prob(x.to(raw)),
            DiscretisedLogistic(raw + 0.5, scale, 8).mean,
        ],
        1e-5,  # raw + 1/2 is rounded by 2e-6, which is 0.002 scales
    )


def levels() -> Case:
    torch.manual_seed(0)
    logits = 50 * (2 * torch.rand(40, 16) - 1)
    x = torch.randint(16, (40,)) / 15
    return Case(
        {"logits": logits}, lambda logits: [(q := Levels(logits)).log_prob(x.to(logits)), q.mean]
    )


def counts(head: Callable[[Spec], torch.nn.Module]) -> Case:
    raw, x = grid((*RAW, 1e3, 1e5), (0.0, 1.0, 40.0, 1e3, 1e5))
    built = head(Spec((1,), "normal"))

    def compute(raw):
        q = built.to(raw.dtype).each(raw)
        return [q.log_prob(x.to(raw)), q.mean]

    return Case({"raw": raw}, compute)


def negative_binomial() -> Case:
    """With r from far below the mean to where the law is a Poisson."""
    raw, log_r, x = grid(
        (*RAW, 1e3, 1e5), (-50.0, -10.0, -1.0, 0.0, 3.0, 10.0, 20.0, 50.0), (0.0, 1.0, 40.0, 1e5)
    )
    mean = torch.nn.functional.softplus
    return Case(
        {"raw": raw, "log_r": log_r},
        lambda raw, log_r: [
            count_data.SpreadCounts(mean(raw) + count_data.LEAST, log_r.exp()).log_prob(x.to(raw))
        ],
    )


def student_t(df: float) -> Case:
    raw, log_scale, x = grid(RAW, (-7.0, -1.0, 0.0, 7.0), RAW)
    return Case(
        {"raw": raw, "log_scale": log_scale},
        lambda raw, log_scale: [count_data.Tailed(df, raw, log_scale.exp()).log_prob(x.to(raw))],
    )
