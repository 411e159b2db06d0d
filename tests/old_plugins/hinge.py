"""A rate that is free up to a limit."""

from torch import Tensor

from vaezoo.core import VAE, Spec
from vaezoo.hooks import Part, hookimpl, tags
from vaezoo.hyperparameters import NonNegative
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write


class Hinge(ELBO):
    """R + max(KL, limit)."""

    def __init__(self, limit: NonNegative = 3.0) -> None:
        super().__init__()
        self.limit = limit

    def combine(self, distortion: Tensor, rate: Tensor, progress: float) -> dict[str, Tensor]:
        return {"loss": distortion + rate.clamp_min(self.limit), "distortion": distortion, "rate": rate}


@tags("loss")
def hinge(spec: Spec, limit: NonNegative = 3.0) -> VAE:
    """The first nats of the rate are free.

    R + max(KL, limit)

    Paper: the free bits of Kingma et al. 2016, arXiv:1606.04934, eq. 15, over all dimensions at once.
    """
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), Hinge(limit))


@hookimpl
def vaezoo_variants():
    return [hinge]


@hookimpl
def vaezoo_parts():
    return [Part("hinge", Hinge)]
