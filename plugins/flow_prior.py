"""A normalising flow as prior, with zuko's transforms.

zuko's base distribution draws in place, which vmap refuses: the standard normal here is ours. Its
couplings look for the ones in their mask, which vmap refuses for a stacked buffer: here the mask is
a constant. The rest is safe under vmap, save that drawing from a coupling flow (realnvp) writes in
place; no loss of ours draws from this prior in training.
"""

from typing import Any, Literal

import torch
import zuko
from torch import Tensor
from torch.distributions import Distribution

from vaezoo.core import VAE, Model, Prior, Spec, Unsupported
from vaezoo.distributions import normal
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, Write

FLOWS = {"realnvp": zuko.flows.RealNVP, "nsf": zuko.flows.NSF, "maf": zuko.flows.MAF}


class Flowed(Distribution):
    """p(z) = N(f(z); 0, I) |det ∂f/∂z|, f a zuko transform."""

    arg_constraints: dict[str, Any] = {}

    def __init__(self, transform: Any, base: Distribution) -> None:
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)
        self.transform = transform
        self.base = base

    def log_prob(self, value: Tensor) -> Tensor:
        e, log_det = self.transform.call_and_ladj(value)
        return self.base.log_prob(e) + log_det

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with torch.no_grad():
            return self.transform.inv(self.base.sample(torch.Size(sample_shape)))


class FlowPrior(Prior):
    """N(0, I) through `depth` transforms of one kind.

    Each transform has a network of one hidden layer of the spec's width.

    RealNVP (Dinh et al. 2017, arXiv:1605.08803), neural spline flow (Durkan et al. 2019,
    arXiv:1906.04032) or masked autoregressive flow (Papamakarios et al. 2017, arXiv:1705.07057).
    Couplings work with an odd number of dimensions too: zuko's halves are then unequal.
    """

    zero: Tensor

    def __init__(
        self, spec: Spec, kind: Literal["realnvp", "nsf", "maf"] = "realnvp", depth: Count = 4
    ) -> None:
        super().__init__()
        if spec.latent < 2:
            raise Unsupported("a flow prior couples dimensions, so it needs latent ≥ 2")
        flow = FLOWS[kind](spec.latent, transforms=depth, hidden_features=(spec.hidden,))
        self.flow = flow.transform
        for module in self.flow.modules():
            if isinstance(module, zuko.flows.coupling.GeneralCouplingTransform):
                module.mask = module._buffers.pop("mask")
        self.register_buffer("zero", torch.zeros(spec.latent))

    def forward(self, c: Tensor | None = None) -> Distribution:
        return Flowed(self.flow(), normal(self.zero, torch.ones_like(self.zero)))


@tags("prior", "flow")
def flow_prior(
    spec: Spec, kind: Literal["realnvp", "nsf", "maf"] = "realnvp", depth: Count = 4
) -> Model:
    """The prior is a normalising flow, learned with everything else.

    R + E_q[log q(z|x) - log N(f(z); 0, I) - log |det ∂f/∂z|]

    The flow's networks are its own.

    Paper: Dinh, Sohl-Dickstein & Bengio 2017, "Density Estimation using Real NVP",
    arXiv:1605.08803; as a prior, Chen et al. 2017, "Variational Lossy Autoencoder",
    arXiv:1611.02731, §3.2 (there an autoregressive flow: kind=maf).
    """
    return VAE(Gaussian(spec), Write(spec), FlowPrior(spec, kind, depth), ELBO())


@hookimpl
def vaezoo_variants() -> Variants:
    return [flow_prior]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("flow", FlowPrior)]
