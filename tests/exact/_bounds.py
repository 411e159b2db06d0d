"""What the trace of every model with a density keeps, and what it must not depend on."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from tests.conftest import VECTOR, rows_of
from vaezoo.core import VAE, Model, Trace
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write
from vaezoo.seeds import seeded


def meet(log_w: Tensor, exact: Tensor, elbo: Tensor | None = None) -> None:
    """ELBO ≤ IWAE of ten draws ≤ log p(x), and the mean of w is p(x).

    Of log w (n, B) and the exact log p(x) (B,), in nats, z-score below 5; `elbo` (n, B) where its
    KL is a closed form, else log w.
    """
    root = math.sqrt(len(log_w))
    iwae = (log_w.unflatten(0, (-1, 10)).logsumexp(1) - math.log(10)).mean(0)
    if elbo is None:
        assert (log_w.mean(0) <= iwae).all()
        error = 5 * log_w.std(0) / root
    else:
        error = 5 * elbo.std(0) / root
        assert (elbo.mean(0) <= iwae + error).all()
    assert (iwae <= exact + error).all()
    weight = (log_w - exact).exp()
    assert ((weight.mean(0) - 1).abs() < 5 * weight.std(0) / root).all()


def add_up(model: Model, x: Tensor) -> Trace:
    """A trace, whose log w is p(x|z), p(z) and the q of its latents along one path.

    The model says by `given` what the density of latents is.
    """
    with torch.no_grad(), seeded("draws"):
        trace = model.infer(x, k=3)
        log_prior, px = model.given([latent.z for latent in trace.latents])
    log_q = sum(latent.q.log_prob(latent.z) for latent in trace.latents)
    torch.testing.assert_close(trace.log_w, px.log_prob(x) + log_prior - log_q)
    return trace


def read_the_same(few: Model, many: Model, x: Tensor, at: int) -> None:
    """A model of one time more, at which x (B, T, C) has no step, reads what the other reads."""
    unseen = torch.full_like(x[:, :1], math.nan)
    with_gap = torch.cat([x[:, :at], unseen, x[:, at:]], 1)
    with seeded("draws"):
        short = few.infer(x, None, 3)
    with seeded("draws"):
        long = many.infer(with_gap, None, 3)
    torch.testing.assert_close(short.z, long.z, rtol=0, atol=1e-12)
    torch.testing.assert_close(short.log_w, long.log_w, rtol=0, atol=1e-10)


def is_plain(build: Callable[[], VAE]) -> None:
    """The loss of this model on vectors is that of the plain VAE, to the bit."""

    def plain() -> VAE:
        decoder = Write(VECTOR)
        return VAE(Gaussian(VECTOR), decoder, StandardNormal(VECTOR), ELBO())

    x = rows_of(VECTOR, 5)
    losses = []
    for made in (build, plain):
        torch.manual_seed(2)
        model = made()
        torch.manual_seed(3)
        losses.append(model(x)["loss"])
    assert torch.equal(*losses)
