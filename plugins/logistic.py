"""The discretised logistic: a probability for every level of a pixel."""

from dataclasses import replace

from vaezoo.core import VAE, Spec, Unsupported
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write

LEVELS = {
    "bernoulli": 2
}  # likelihoods that say how many levels there are; for the others the spec does


def as_logistic(spec: Spec) -> Spec:
    """The spec with a discretised logistic over the data's levels; binary data has two.

    Raises: Unsupported for continuous data, on whose densities a probability compares with no other
    row.
    """
    if spec.likelihood not in ("logistic", "categorical", "bernoulli"):
        raise Unsupported(
            f"probabilities of levels do not compare with densities; this data is continuous ({spec.likelihood})"
        )
    return replace(spec, likelihood="logistic", levels=LEVELS.get(spec.likelihood, spec.levels))


@tags("likelihood")
def logistic(spec: Spec) -> VAE:
    """A logistic distribution gathered into the levels a pixel can take, with one learned scale.

    R + KL, p(x|z) = σ((x + δ - μ)/s) - σ((x - δ - μ)/s)

    δ is half the distance of two levels; the first and the last level take the tails.

    Paper: Kingma et al. 2016, "Improving Variational Inference with Inverse Autoregressive Flow",
    arXiv:1606.04934, appendix C.
    """
    spec = as_logistic(spec)
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), ELBO())


@hookimpl
def vaezoo_variants() -> Variants:
    return [logistic]
