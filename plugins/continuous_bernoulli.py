"""The continuous Bernoulli: the Bernoulli on [0, 1], with its normaliser."""

from dataclasses import replace

from vaezoo.core import VAE, Spec, Unsupported
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.likelihoods import head
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write


@tags("likelihood")
def cb(spec: Spec) -> VAE:
    """The continuous Bernoulli, a density on [0, 1].

    R + KL, log p(x|z) = Σ x log λ + (1 - x) log(1 - λ) + log C(λ), λ = sigmoid(raw)

    C(λ) = 2 tanh⁻¹(1 - 2λ) / (1 - 2λ). Binary cross-entropy on grey pixels is no density: it lacks
    log C(λ).

    Paper: Loaiza-Ganem & Cunningham 2019, "The Continuous Bernoulli: Fixing a Pervasive Error in
    Variational Autoencoders", arXiv:1907.06845, eqs. 6 and 7.
    """
    likelihood = head(spec)
    if likelihood.is_discrete:
        raise Unsupported(
            "a density on [0, 1] does not compare with probabilities; "
            f"this data is discrete ({spec.likelihood})"
        )
    if not likelihood.is_bounded:
        raise Unsupported(
            "the continuous Bernoulli is for values in [0, 1]; "
            f"this data may hold {likelihood.values}"
        )
    spec = replace(spec, likelihood="continuous_bernoulli")
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), ELBO())


@hookimpl
def vaezoo_variants() -> Variants:
    return [cb]
