"""The plain VAE, and the parts that it is made of."""

from vaezoo.core import VAE, Spec
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, NonNegative
from vaezoo.losses import ELBO
from vaezoo.networks import Deterministic, Gaussian, StandardNormal, Write


@tags("baseline")
def vae(spec: Spec) -> VAE:
    """Gaussian posterior, standard normal prior, one draw.

    R + KL

    Paper: Kingma & Welling 2014, "Auto-Encoding Variational Bayes", arXiv:1312.6114, eq. 3; the
    closed form of KL is its appendix B.
    """
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), ELBO())


def network(spec: Spec) -> Write:
    """p(x|z) by the shared network."""
    return Write(spec)


def normal(spec: Spec) -> StandardNormal:
    """p(z) = N(0, I)."""
    return StandardNormal(spec)


def elbo(beta: NonNegative = 1.0, k: Count = 1) -> ELBO:
    """R + β KL, each a mean over k draws."""
    return ELBO(beta, k)


@hookimpl
def vaezoo_variants() -> Variants:
    return [vae]


@hookimpl
def vaezoo_parts() -> Parts:
    return [
        Part("gaussian", Gaussian),
        Part("deterministic", Deterministic),
        Part("network", network),
        Part("normal", normal),
        Part("elbo", elbo),
    ]
