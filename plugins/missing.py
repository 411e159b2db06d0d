"""The importance-weighted bound on what was observed, for data with missing entries."""

import math

from torch import Tensor

from vaezoo.core import VAE, Loss, Model, Spec, Terms
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count
from vaezoo.losses import require_density
from vaezoo.networks import Gaussian, StandardNormal, Write


class Observation(Loss):
    """-log (1/K) Σ_k p(x_o|z_k) p(z_k) / q(z_k|x_o), x_o the entries of x that are there."""

    def __init__(self, k: Count = 20) -> None:
        super().__init__()
        self.k = k

    def check(self, model: Model) -> None:
        require_density(self, model)

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = model.infer(x, c, self.k)  # its log_px leaves out what is NaN
        bound = (trace.log_w.logsumexp(0) - math.log(self.k)).mean()
        return {"loss": -bound, "distortion": -trace.log_px.mean(), "elbo": trace.log_w.mean()}


@tags("bound", "missing")
def missing(spec: Spec, k: Count = 20) -> VAE:
    """A bound of many draws on the observed entries alone.

    -log (1/K) Σ_k p(x_o|z_k) p(z_k) / q(z_k|x_o), where q reads 0 in place of what is missing

    Paper: Mattei & Frellsen 2019, "MIWAE: Deep Generative Modelling and Imputation of Incomplete
    Data Sets", arXiv:1812.02633, for entries missing at random. Other variants leave out missing
    entries too; what is special here is the bound, under which training and imputation weigh the
    same draws. With nothing missing it is the bound of `iwae`. The paper's q is a Student's t for
    continuous data; here it is Gaussian.
    """
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), Observation(k))


@hookimpl
def vaezoo_variants() -> Variants:
    return [missing]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("observation", Observation)]
