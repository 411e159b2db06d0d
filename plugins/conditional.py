"""CVAE: every part sees the label."""

from torch import Tensor
from torch.distributions import Distribution

from vaezoo.core import VAE, Prior, Spec, Unsupported
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, Write, mlp, split_normal


class Conditional(Prior):
    """p(z|c) = N(μ(c), diag σ(c)²)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.net = mlp(spec.condition, spec.hidden, 2 * spec.latent)

    def forward(self, c: Tensor | None = None) -> Distribution:
        if c is None:
            raise Unsupported(
                "p(z|c) reads labels: it needs a condition c for every row, and none was given"
            )
        return split_normal(self.net(c))


@tags("conditional")
def cvae(spec: Spec) -> VAE:
    """Every part sees the label, the prior too.

    R + KL(q(z|x, c) ‖ p(z|c)), a bound on log p(x|c)

    Paper: Sohn, Lee & Yan 2015, "Learning Structured Output Representation using Deep Conditional
    Generative Models", NeurIPS 28, eq. 4 (its x is our condition c, its y our x). One network more:
    the prior's.
    """
    seen = spec.conditioned()
    return VAE(Gaussian(seen), Write(seen), Conditional(seen), ELBO())


@hookimpl
def vaezoo_variants() -> Variants:
    return [cvae]
