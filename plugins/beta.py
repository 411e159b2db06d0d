"""The rate under a weight other than one: β-VAE, and a capacity that the rate is held at."""

from torch import Tensor

from vaezoo.core import VAE, Spec, Terms
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import NonNegative, Positive
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write


class Capacity(ELBO):
    """R + γ |KL - C|, with C rising linearly from 0 to `capacity` nats over the training."""

    def __init__(self, gamma: Positive = 10.0, capacity: NonNegative = 5.0) -> None:
        super().__init__()
        self.gamma = gamma
        self.capacity = capacity

    def combine(self, distortion: Tensor, rate: Tensor, progress: float) -> Terms:
        penalty = self.gamma * (rate - self.capacity * progress).abs()
        return {"loss": distortion + penalty, "distortion": distortion, "rate": rate}


@tags("disentanglement")
def beta(spec: Spec, beta: NonNegative = 1.5) -> VAE:
    """Weighs the rate by β.

    R + β KL

    Paper: Higgins et al. 2017, "β-VAE: Learning Basic Visual Concepts with a Constrained
    Variational Framework", ICLR (openreview Sy2fzU9gl), eq. 4. The paper has β = 4 for sprites of
    64×64 and up to 250 for photographs. On sprites of 32×32, β = 4 keeps six tenths of the plain
    VAE's rate, 7.2 of 11.9 nats. On 8×8 digits and on the JSB chorales it keeps nothing, for there
    a nat of rate saves less than four nats of R. β = 1.5 keeps six tenths on both, 2.3 of 3.9 and
    0.9 of 1.4 nats, and is the default. Take beta=4 for images of the paper's kind.
    """
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), ELBO(beta))


@tags("disentanglement")
def annealed(spec: Spec, gamma: Positive = 10.0, capacity: NonNegative = 5.0) -> VAE:
    """Holds the rate at a capacity that rises during training.

    R + γ |KL - C|, C from 0 to `capacity` nats

    Paper: Burgess et al. 2018, "Understanding disentangling in β-VAE", arXiv:1804.03599, eq. 8. The
    paper has γ = 1000 and C up to 25 nats, for images of 64×64. On 8×8 images, where R is a hundred
    times smaller, γ = 1000 would dominate R, and a C above the rate that the data need lowers the
    bound. Choose C near the rate of a trained plain VAE.
    """
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), Capacity(gamma, capacity))


@hookimpl
def vaezoo_variants() -> Variants:
    return [beta, annealed]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("annealed", Capacity)]
