"""newcomer: say here in one sentence what is new."""

from torch import Tensor

from vaezoo.core import VAE, Spec, Terms
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import NonNegative
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write


class Newcomer(ELBO):
    """R + weight · KL. Put your objective here; `forward` gives you the whole trace."""

    def __init__(self, weight: NonNegative = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def combine(self, distortion: Tensor, rate: Tensor, progress: float) -> Terms:
        return {"loss": distortion + self.weight * rate, "distortion": distortion, "rate": rate}


@tags("bound")
def newcomer(spec: Spec, weight: NonNegative = 1.0) -> VAE:
    """What is new in it, in one line.

    R + weight · KL

    Paper: authors, year, arXiv number, equation. (As it stands, Kingma & Welling 2014,
    arXiv:1312.6114, eq. 3.)
    """
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), Newcomer(weight))


@hookimpl
def vaezoo_variants() -> Variants:
    return [newcomer]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("newcomer", Newcomer)]
