"""A posterior whose every number knows the numbers drawn before it, with zuko's masked networks."""

import zuko

from vaezoo.bent import BentByFlow
from vaezoo.core import VAE, Model, Spec
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count
from vaezoo.losses import ELBO
from vaezoo.networks import StandardNormal, Write


class Masked(BentByFlow):
    """z = μ(x) + σ(x) f⁻¹(e; h(x)), e ~ N(0, I), f `depth` masked autoregressive transforms.

    Of one transform, y_d = (e_d - m_d(y_1 … y_{d-1}))/a_d(y_1 … y_{d-1}): the density of any point
    takes one pass, and a draw a pass for each dimension, the other way round than in `iaf`.
    """

    is_inverse = True

    def __init__(self, spec: Spec, depth: Count = 1) -> None:
        super().__init__(spec)
        flow = zuko.flows.MAF(
            spec.latent, spec.hidden, transforms=depth, hidden_features=(spec.hidden,)
        )
        self.flow = flow.transform


@tags("posterior", "flow")
def maf(spec: Spec, depth: Count = 1) -> Model:
    """Each number of the code is Gaussian given the numbers before it.

    R + E_q[log q(z|x) - log p(z)], q(z|x) = Π_d N(z_d; m_d(z_1 … z_{d-1}, x), s_d(…)²)

    With more than one transform each takes the numbers in the order opposite to that before it. A
    draw takes a pass of the masked network for each dimension, which is its cost. The masked
    networks are its own: one hidden layer of the spec's width each.

    Paper: Papamakarios, Pavlakou & Murray 2017, "Masked Autoregressive Flow for Density
    Estimation", arXiv:1705.07057, eqs. 2 to 5. There it is a density of data; as a posterior it is
    the inverse of iaf (Kingma et al. 2016, arXiv:1606.04934, §3.1).
    """
    return VAE(Masked(spec, depth), Write(spec), StandardNormal(spec), ELBO())


@hookimpl
def vaezoo_variants() -> Variants:
    return [maf]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("maf", Masked)]
