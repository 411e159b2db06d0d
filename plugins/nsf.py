"""A posterior bent by monotone splines, with zuko's autoregressive transforms."""

import zuko

from vaezoo.bent import BentByFlow
from vaezoo.core import VAE, Model, Spec
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count
from vaezoo.losses import ELBO
from vaezoo.networks import StandardNormal, Write


class Splines(BentByFlow):
    """z = μ(x) + σ(x) f(e; h(x)), e ~ N(0, I), f `depth` autoregressive splines of `bins` bins.

    Dimension d of a spline reads e_d, by parameters from e_1 … e_{d-1} and h(x), so that a draw
    takes one pass, and the density of another point a pass for each dimension.
    """

    def __init__(self, spec: Spec, depth: Count = 1, bins: Count = 8) -> None:
        super().__init__(spec)
        flow = zuko.flows.NSF(
            spec.latent, spec.hidden, bins=bins, transforms=depth, hidden_features=(spec.hidden,)
        )
        self.flow = flow.transform


@tags("posterior", "flow")
def nsf(spec: Spec, depth: Count = 1, bins: Count = 8) -> Model:
    """The Gaussian draw is bent by splines, which can give a dimension several modes.

    R + E_q[log q(z|x) - log p(z)], z = μ + σ f(e),
    log q(z|x) = log N(e; 0, I) - log |det ∂f/∂e| - Σ log σ

    The masked networks of the splines are its own: one hidden layer of the spec's width each.

    Paper: Durkan, Bekasov, Murray & Papamakarios 2019, "Neural Spline Flows", arXiv:1906.04032,
    the rational-quadratic spline, autoregressive. The paper stacks several; here one is the
    default, for its cost. Beyond -5 and 5 a spline is the identity.
    """
    return VAE(Splines(spec, depth, bins), Write(spec), StandardNormal(spec), ELBO())


@hookimpl
def vaezoo_variants() -> Variants:
    return [nsf]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("nsf", Splines)]
