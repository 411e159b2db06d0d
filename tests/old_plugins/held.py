from torch import Tensor

from vaezoo.core import VAE, Spec, Terms
from vaezoo.hooks import hookimpl, tags
from vaezoo.hyperparameters import Positive
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write


class Capacity(ELBO):
    """R + γ |KL - C|, with C rising to `capacity` nats over training."""

    def __init__(self, gamma: Positive, capacity: Positive) -> None:
        super().__init__()
        self.gamma, self.capacity = gamma, capacity

    def combine(self, distortion: Tensor, rate: Tensor, progress: float) -> Terms:
        penalty = self.gamma * (rate - self.capacity * progress).abs()
        return {"loss": distortion + penalty, "distortion": distortion, "rate": rate}


@tags("loss")
def held(spec: Spec, gamma: Positive = 10.0, capacity: Positive = 5.0) -> VAE:
    """Holds the rate at a capacity that rises during training.

    R + γ |KL - C|

    Paper: Burgess et al. 2018, arXiv:1804.03599, eq. 8.
    """
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), Capacity(gamma, capacity))


@hookimpl
def vaezoo_variants():
    return [held]
