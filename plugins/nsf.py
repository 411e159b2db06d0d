"""A posterior bent by monotone splines, with zuko's autoregressive transforms."""

import torch
import zuko
from torch import Tensor
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.core import VAE, Encoder, Model, Spec
from vaezoo.distributions import Pushed, normal
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count
from vaezoo.losses import ELBO
from vaezoo.networks import Read, StandardNormal, Write


class Splines(Encoder):
    """z = μ(x) + σ(x) f(e; h(x)), e ~ N(0, I), f `depth` autoregressive splines of `bins` bins.

    Dimension d of a spline reads e_d, by parameters from e_1 … e_{d-1} and h(x), so that a draw
    takes one pass, and the density of another point a pass for each dimension.
    """

    def __init__(self, spec: Spec, depth: Count = 1, bins: Count = 8) -> None:
        super().__init__()
        self.latent = spec.latent
        self.net = Read(spec, 2 * spec.latent + spec.hidden)
        flow = zuko.flows.NSF(
            spec.latent, spec.hidden, bins=bins, transforms=depth, hidden_features=(spec.hidden,)
        )
        self.flow = flow.transform

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        sizes = [self.latent, self.latent, self.net.spec.hidden]
        loc, raw_scale, h = self.net(x, c).split(sizes, -1)
        scale = F.softplus(raw_scale) + 1e-3
        f = self.flow(F.silu(h))
        log_scale = scale.log().sum(-1)

        def push(e: Tensor) -> tuple[Tensor, Tensor]:
            bent, log_det = f.call_and_ladj(e)
            return loc + scale * bent, log_det + log_scale

        def pull(z: Tensor) -> tuple[Tensor, Tensor]:
            e, log_det = f.inv.call_and_ladj((z - loc) / scale)
            return e, log_scale - log_det

        return Pushed(normal(torch.zeros_like(loc), torch.ones_like(scale)), push, pull)


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
