"""The discretised logistic: a probability for every level of a pixel."""

from dataclasses import replace

from vaezoo.core import VAE, Spec, Unsupported
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.likelihoods import head
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write


def as_logistic(spec: Spec) -> Spec:
    """The spec with a discretised logistic over the data's levels; binary data has two.

    Raises: Unsupported for continuous data, on whose densities a probability compares with no other
    row.
    """
    levels = head(spec).levels
    if levels is None:
        raise Unsupported(
            "probabilities of levels compare with no other row; "
            f"this data has no levels ({spec.likelihood})"
        )
    return replace(spec, likelihood="logistic", levels=levels)


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
