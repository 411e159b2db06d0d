"""The thermodynamic objective: log p(x) as an integral over β, summed from the left."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from vaezoo.core import VAE, Latent, Loss, Model, Spec, Terms, Trace, Unsupported, require_parts
from vaezoo.distributions import draw
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count
from vaezoo.losses import log_q_at, require_density
from vaezoo.networks import Gaussian, StandardNormal, Write

Gradient = Literal["covariance", "pathwise"]
Open = Annotated[float, Field(gt=0, lt=1)]


def partition(points: int, first: float) -> Tensor:
    """(points + 1,): 0, then from `first` to 1 evenly in log β."""
    if points == 1:
        return torch.tensor([0.0, 1.0], dtype=torch.float64)
    risen = torch.logspace(torch.tensor(first).log10().item(), 0, points)
    return torch.cat([torch.zeros(1), risen]).double()


def left_sum(log_w: Tensor, log_pi: Tensor, betas: Tensor) -> Tensor:
    """(K, B) -> (B,): Σ_k (β_{k+1} - β_k) E_{π_{β_k}} log w.

    Each expectation is that of draws of q, weighed with w^β.

    `log_pi` (K, B) is zero; its gradient, that of log q at draws held still, makes the gradient of
    each expectation E ∇log w + Cov(∇log π_β, log w), since ∇log π_β = ∇log q + β ∇log w.
    """
    tempered = betas[:-1, None, None] * log_w + log_pi  # (points, K, B)
    expectations = (tempered.softmax(1) * log_w).sum(1)  # (points, B)
    return (betas.diff()[:, None] * expectations).sum(0)


def left_sum_by_covariance(log_w: Tensor, log_pi: Tensor, betas: Tensor) -> Tensor:
    """`left_sum`; the covariance in its gradient is that of K draws about their own mean.

    Such a covariance is too small by (K - 1)/K: by a half at K = 2. The value is the same.
    """
    k = len(log_w)
    weights = (betas[:-1, None, None] * log_w + log_pi).softmax(1)  # (points, K, B)
    held = weights.detach()
    mean = (held * log_w).sum(1)  # (points, B)
    covariance = ((weights - held) * log_w.detach()).sum(1)  # 0, with the gradient of interest
    expectations = mean + k / (k - 1) * covariance
    return (betas.diff()[:, None] * expectations).sum(0)


class Thermodynamic(Loss):
    """-Σ_k (β_{k+1} - β_k) E_{π_{β_k}} log w, π_β ∝ q^{1-β} p^β.

    A lower bound on log p(x), which rises as the partition grows finer.
    """

    betas: Tensor

    def __init__(
        self, k: Count = 16, points: Count = 5, first: Open = 0.1, gradient: Gradient = "covariance"
    ) -> None:
        super().__init__()
        self.k = k
        self.gradient = gradient
        self.register_buffer("betas", partition(points, first).float())

    def check(self, model: Model) -> None:
        require_density(self, model)
        if self.gradient == "covariance":
            require_parts(model, "the covariance gradient")
            if self.k < 2:
                raise Unsupported("the covariance gradient needs two draws at least, and k is 1")

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        if self.gradient == "pathwise":
            trace = model.infer(x, c, self.k)
            bound = left_sum(trace.log_w, torch.zeros_like(trace.log_w), self.betas)
        else:
            trace = self.held(require_parts(model, "TVO"), x, c)
            log_q = trace.latents[0].log_q
            bound = left_sum_by_covariance(trace.log_w, log_q - log_q.detach(), self.betas)
        return {"loss": -bound.mean(), "distortion": -trace.log_px.mean(), "rate": trace.kl.mean()}

    def held(self, vae: VAE, x: Tensor, c: Tensor | None) -> Trace:
        """A trace through whose draws no gradient flows."""
        q = vae.encoder(x, c)
        z = draw(q, (self.k,))[0].detach()
        log_q = log_q_at(q, z, "gradient=covariance")  # gradient=pathwise needs none
        return Trace(x, vae.decoder(z, c), (Latent(z, log_q, q, vae.p_of(q, c)),))


@tags("bound")
def tvo(
    spec: Spec,
    k: Count = 16,
    points: Count = 5,
    first: Open = 0.1,
    gradient: Gradient = "covariance",
) -> VAE:
    """Tightens the ELBO by a path of distributions from q(z|x) to p(z|x).

    -Σ_k (β_{k+1} - β_k) E_{π_{β_k}} log w, π_β ∝ q(z|x)^{1-β} p(x, z)^β

    The sum is over `points` intervals; with one it is the ELBO. All π_β are reached by reweighing
    the same draws.

    β runs 0, `first`, …, 1, evenly in log β, as in the paper. gradient=covariance is the paper's
    and needs no path through z; gradient=pathwise differentiates the estimate through the draws.
    With k draws each expectation is biased down.

    Paper: Masrani, Le & Wood 2019, "The Thermodynamic Variational Objective", arXiv:1907.00031: the
    objective and its left Riemann sum §3, the covariance gradient and the importance-weighted
    estimate §4, the spacing of β §6.
    """
    loss = Thermodynamic(k, points, first, gradient)
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), loss)


@hookimpl
def vaezoo_variants() -> Variants:
    return [tvo]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("tvo", Thermodynamic)]
