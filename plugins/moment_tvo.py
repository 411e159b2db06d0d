"""The thermodynamic objective with the points of its sum where the moments are even."""

from typing import Literal

import torch
from torch import Tensor

from vaezoo.core import VAE, Latent, Loss, Model, Spec, Terms, Trace, Unsupported, require_parts
from vaezoo.distributions import draw
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count
from vaezoo.losses import log_q_at, require_density
from vaezoo.networks import Gaussian, StandardNormal, Write

Gradient = Literal["covariance", "pathwise"]
HALVINGS = 30  # of [0, 1]: β is known to 1e-9


def moments(log_w: Tensor, log_base: Tensor, betas: Tensor) -> Tensor:
    """E_{π_β} log w, (P, B), for β (P,), π_β ∝ base w^β on draws or points (K, B); in nats."""
    tempered = betas[:, None, None] * log_w + log_base  # (P, K, B)
    return (tempered.softmax(1) * log_w).sum(1)


@torch.no_grad()
def even_moments(log_w: Tensor, log_base: Tensor, points: int) -> Tensor:
    """β_0 = 0, …, β_P = 1, at which the mean over rows of E_{π_β} log w rises in even steps.

    The moment rises with β, for its slope is a variance: so halving finds each. (P + 1,)
    """
    ends = log_w.new_tensor([0.0, 1.0])
    low_moment, high_moment = moments(log_w, log_base, ends).mean(1)
    share = torch.linspace(0, 1, points + 1, dtype=log_w.dtype, device=log_w.device)
    wanted = low_moment + share[1:-1] * (high_moment - low_moment)
    low = torch.zeros_like(wanted)
    high = torch.ones_like(wanted)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        is_below = moments(log_w, log_base, middle).mean(1) < wanted
        low = torch.where(is_below, middle, low)
        high = torch.where(is_below, high, middle)
    return torch.cat([ends[:1], (low + high) / 2, ends[1:]])


def left_sum(log_w: Tensor, log_base: Tensor, betas: Tensor) -> Tensor:
    """Σ_k (β_{k+1} - β_k) E_{π_{β_k}} log w, (B,)."""
    return (betas.diff()[:, None] * moments(log_w, log_base, betas[:-1])).sum(0)


class MomentThermodynamic(Loss):
    """-Σ_k (β_{k+1} - β_k) E_{π_{β_k}} log w, the β_k where the moments are even.

    They are those of each minibatch's own draws, and no gradient flows through them.
    """

    def __init__(self, k: Count = 16, points: Count = 5, gradient: Gradient = "covariance") -> None:
        super().__init__()
        self.k = k
        self.points = points
        self.gradient = gradient

    def check(self, model: Model) -> None:
        require_density(self, model)
        if self.gradient == "covariance":
            require_parts(model, "the covariance gradient")
            if self.k < 2:
                raise Unsupported("the covariance gradient needs two draws at least, and k is 1")

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        if self.gradient == "pathwise":
            trace = model.infer(x, c, self.k)
            log_base = torch.zeros_like(trace.log_w)
        else:
            trace = self._held(require_parts(model, "MomentThermodynamic"), x, c)
            log_q = trace.latents[0].log_q
            log_base = log_q - log_q.detach()  # 0, with the gradient of log q
        betas = even_moments(trace.log_w, log_base, self.points)
        if self.gradient == "pathwise":
            bound = left_sum(trace.log_w, log_base, betas)
        else:
            bound = self._by_covariance(trace.log_w, log_base, betas)
        return {"loss": -bound.mean(), "distortion": -trace.log_px.mean(), "rate": trace.kl.mean()}

    def _held(self, vae: VAE, x: Tensor, c: Tensor | None) -> Trace:
        """A trace through whose draws no gradient flows."""
        q = vae.encoder(x, c)
        z = draw(q, (self.k,))[0].detach()
        log_q = log_q_at(q, z, "gradient=covariance")  # gradient=pathwise needs none
        return Trace(x, vae.decoder(z, c), (Latent(z, log_q, q, vae.p_of(q, c)),))

    def _by_covariance(self, log_w: Tensor, log_base: Tensor, betas: Tensor) -> Tensor:
        """`left_sum`, whose gradient has the unbiased covariance of K draws.

        It is K/(K - 1) times the one of their weights alone.
        """
        tempered = betas[:-1, None, None] * log_w + log_base
        weights = tempered.softmax(1)  # (P, K, B)
        held = weights.detach()
        mean = (held * log_w).sum(1)
        covariance = ((weights - held) * log_w.detach()).sum(1)  # 0, with the gradient of interest
        expectations = mean + len(log_w) / (len(log_w) - 1) * covariance
        return (betas.diff()[:, None] * expectations).sum(0)


@tags("bound")
def moment_tvo(
    spec: Spec, k: Count = 16, points: Count = 5, gradient: Gradient = "covariance"
) -> VAE:
    """The thermodynamic objective with its points at even steps of E log w.

    -Σ_k (β_{k+1} - β_k) E_{π_{β_k}} log w, with E_{π_{β_k}} log w = η_0 + k/P (η_1 - η_0), π_β ∝
    q(z|x)^{1-β} p(x, z)^β

    P is `points`; with one it is the ELBO. η_0 is the ELBO and η_1 E_{p(z|x)} log w, in the mean
    over rows; where they are known, the sum is below the mean log p(x) by (η_1 - η_0)/P at the
    most. Here they are those of the k draws. Unlike `tvo` it has no spacing to be chosen: every
    minibatch says where its moments are even. gradient is as in `tvo`.

    Paper: Brekelmans, Masrani, Wood, Ver Steeg & Galstyan 2020, "All in the Exponential Family:
    Bregman Duality in Thermodynamic Variational Inference", arXiv:2007.00642, the moment-spacing
    schedule; the objective and the covariance gradient, Masrani, Le & Wood 2019, arXiv:1907.00031.
    There the points are found once an epoch, here in every minibatch.
    """
    loss = MomentThermodynamic(k, points, gradient)
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), loss)


@hookimpl
def vaezoo_variants() -> Variants:
    return [moment_tvo]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("moment_tvo", MomentThermodynamic)]
