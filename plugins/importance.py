"""Tighter bounds from many draws: IWAE, and three whose encoder keeps its gradient."""

import math

from torch import Tensor

from vaezoo.core import VAE, Loss, Model, Spec, Terms
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, Fraction
from vaezoo.losses import require_density, require_separate_parts
from vaezoo.networks import Gaussian, StandardNormal, Write, frozen


def bound(log_w: Tensor, k: int) -> Tensor:
    """Mean over rows, and over groups of k draws, of log (1/k) Σ w, in nats.

    log_w is (K, B), with K a multiple of k.
    """
    groups = log_w.unflatten(0, (-1, k))  # (K/k, k, B)
    return (groups.logsumexp(1) - math.log(k)).mean()


class Importance(Loss):
    """-(β L_1 + (1 - β) L_k), on m groups of k draws."""

    def __init__(self, k: Count = 5, m: Count = 1, beta: Fraction = 0.0) -> None:
        super().__init__()
        self.k = k
        self.m = m
        self.beta = beta

    def check(self, model: Model) -> None:
        require_density(self, model)

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = model.infer(x, c, self.k * self.m)
        tight = bound(trace.log_w, self.k)
        loose = trace.log_w.mean()
        return {
            "loss": -self.beta * loose - (1 - self.beta) * tight,
            "distortion": -trace.log_px.mean(),
            "elbo": loose,
        }


class Partial(Loss):
    """Decoder and prior ascend L_{km}, the encoder the mean of m bounds L_k."""

    def __init__(self, k: Count = 4, m: Count = 4) -> None:
        super().__init__()
        self.k = k
        self.m = m

    def check(self, model: Model) -> None:
        require_density(self, model)
        require_separate_parts(model, "Partial")

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        vae = require_separate_parts(model, "Partial")
        with frozen(vae.encoder):
            generative = bound(vae.infer(x, c, self.k * self.m).log_w, self.k * self.m)
        with frozen(vae.decoder, vae.prior):
            inference = bound(vae.infer(x, c, self.k * self.m).log_w, self.k)
        return {"loss": -generative - inference, "monitor": -generative, "inference": -inference}


def _with(spec: Spec, loss: Loss) -> VAE:
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), loss)


@tags("bound")
def iwae(spec: Spec, k: Count = 5) -> VAE:
    """Maximises the log of the mean of k importance weights.

    -L_k = -log (1/k) Σ_i w_i, w_i = p(x, z_i) / q(z_i|x)

    Paper: Burda, Grosse & Salakhutdinov 2016, "Importance Weighted Autoencoders", arXiv:1509.00519,
    eq. 8.
    """
    return _with(spec, Importance(k))


@tags("bound")
def miwae(spec: Spec, k: Count = 4, m: Count = 4) -> VAE:
    """Averages m bounds of k draws each.

    -(1/m) Σ_j L_k^(j)

    Paper: Rainforth et al. 2018, "Tighter Variational Bounds are Not Necessarily Better",
    arXiv:1802.04537, §5 (MIWAE).
    """
    return _with(spec, Importance(k, m))


@tags("bound")
def ciwae(spec: Spec, k: Count = 8, beta: Fraction = 0.5) -> VAE:
    """A convex mixture of the ELBO and the bound of k draws.

    -(β L_1 + (1 - β) L_k)

    Paper: Rainforth et al. 2018, "Tighter Variational Bounds are Not Necessarily Better",
    arXiv:1802.04537, §5 (CIWAE).
    """
    return _with(spec, Importance(k, beta=beta))


@tags("bound")
def piwae(spec: Spec, k: Count = 4, m: Count = 4) -> VAE:
    """Gives each half of the model the bound whose gradient suits it.

    Decoder and prior: -L_{km}. Encoder: -(1/m) Σ_j L_k^(j)

    Paper: Rainforth et al. 2018, "Tighter Variational Bounds are Not Necessarily Better",
    arXiv:1802.04537, §5 (PIWAE). The two halves draw their own z here; the paper shares one set of
    draws. Each half's expectation is the same.
    """
    return _with(spec, Partial(k, m))


@hookimpl
def vaezoo_variants() -> Variants:
    return [iwae, miwae, ciwae, piwae]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("iwae", Importance), Part("piwae", Partial)]
