"""Likelihoods in both precisions: cases for test_single_precision.py."""

from collections.abc import Callable

import torch
from vaezoo_plugins import count_data, mixed

from vaezoo.columns import Kind
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


def numbers_of_a_column() -> Case:
    raw, own, x = grid(RAW, (-50.0, -7.0, -1.0, 0.0, 7.0), RAW)
    return Case(
        {"raw": raw, "own": own},
        lambda raw, own: [mixed.Numbers(raw, own, Kind("number")).log_prob(x.to(raw))],
    )


def counts_of_a_column() -> Case:
    raw, own, x = grid(RAW, (-10.0, 0.0, 3.0, 50.0), (0.0, 1 / 64, 1.0, 40.0))
    kind = Kind("count", 64)

    def compute(raw, own):
        q = mixed.Counts(raw, own, kind)
        return [q.log_prob(x.to(raw)), q.mean]

    return Case({"raw": raw, "own": own}, compute)


def words_of_a_column(law: type, kind: Kind) -> Case:
    """Two columns of the kind, every raw number up to 50 either way."""
    torch.manual_seed(0)
    raw = 50 * (2 * torch.rand(40, 2 * kind.width) - 1)
    x = law(torch.zeros_like(raw), torch.zeros(2 * kind.width), kind).sample()

    def compute(raw):
        q = law(raw, torch.zeros(2 * kind.width).to(raw), kind)
        return [q.log_prob(x.to(raw)), q.mean]

    return Case({"raw": raw}, compute)


def columns() -> Case:
    torch.manual_seed(0)
    head = mixed.MixedHead(Spec((7,), "normal"), "2*number+yesno+category:3+ordinal:2")
    raw = 50 * (2 * torch.rand(40, 7) - 1)
    x = head.each(torch.zeros(40, 7)).sample()
    own = torch.randn(7)
    support = head.support
    return Case(
        {"raw": raw, "own": own},
        lambda raw, own: [(q := mixed.Mixed(support, raw, own)).log_prob(x.to(raw)), q.mean],
    )
