"""Rényi bounds, which run from the ELBO (α = 1) to the importance-weighted bound (α = 0)."""

import math

from torch import Tensor

from vaezoo.core import VAE, Loss, Model, Spec, Terms
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, Real
from vaezoo.losses import require_density
from vaezoo.networks import Gaussian, StandardNormal, Write


def renyi_bound(log_w: Tensor, alpha: float) -> Tensor:
    """(K, B) -> (B,): log(mean_k w_k^{1-α}) / (1-α), in nats.

    At α = 1 it is its limit, the mean of log w.
    """
    power = 1 - alpha
    if abs(power) < 1e-4:  # single precision loses the difference of logarithms below
        return log_w.mean(0)
    return ((power * log_w).logsumexp(0) - math.log(len(log_w))) / power


class RenyiBound(Loss):
    """-1/(1-α) log mean_k w_k^{1-α}."""

    def __init__(self, alpha: Real = 0.5, k: Count = 8) -> None:
        super().__init__()
        self.alpha = alpha
        self.k = k

    def check(self, model: Model) -> None:
        require_density(self, model)

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = model.infer(x, c, self.k)
        loss = -renyi_bound(trace.log_w, self.alpha).mean()
        return {"loss": loss, "distortion": -trace.log_px.mean(), "rate": trace.kl.mean()}


@tags("bound")
def renyi(spec: Spec, alpha: Real = 0.5, k: Count = 8) -> VAE:
    """Chooses between covering the posterior (small α) and keeping inside it (large α).

    -1/(1-α) log mean_k w_k^{1-α}, w = p(x, z_k) / q(z_k|x), k draws

    α = 1 is the ELBO, α = 0 the importance-weighted bound; α < 0 with many draws exceeds log p(x),
    and is not a bound.

    Paper: Li & Turner 2016, "Rényi Divergence Variational Inference", arXiv:1602.02311: the bound
    is §3, its estimate with k draws §4.
    """
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), RenyiBound(alpha, k))


@hookimpl
def vaezoo_variants() -> Variants:
    return [renyi]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("renyi", RenyiBound)]
