"""GECO: the least rate that meets a target of reconstruction."""

import torch
from torch import Tensor

from vaezoo.core import VAE, Loss, Model, Spec, Terms, require_parts
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Fraction, Positive
from vaezoo.losses import require_density, squared_error
from vaezoo.networks import Gaussian, StandardNormal, Write, frozen_but_head


class GECO(Loss):
    """KL + λ C, where C = Σ (x - E p(x|z))² - κ² over the entries of x.

    After every step log λ rises by ν C̄ / (n κ²): a step uses the λ that the steps before it left.

    C̄ is the constraint's running mean over steps: the gradient of C is the minibatch's, its value
    C̄. The scale of the likelihood, which neither term reads, is trained by log p(x|z). Early
    stopping watches the rate among the epochs that miss the target by less than 5 %, and before
    there is one, how far it is missed.
    """

    log_lambda: Tensor
    average: Tensor
    started: Tensor

    def __init__(
        self, tolerance: Positive = 0.3, speed: Positive = 0.005, smooth: Fraction = 0.99
    ) -> None:
        super().__init__()
        self.tolerance = tolerance
        self.speed = speed
        self.smooth = smooth
        for name in ("log_lambda", "average", "started"):
            self.register_buffer(name, torch.zeros(()))

    def check(self, model: Model) -> None:
        require_density(self, model)
        require_parts(model, "GECO")

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        vae = require_parts(model, "GECO")
        trace = model.infer(x, c)
        error, entries = squared_error(trace)
        target = entries * self.tolerance**2
        constraint = error - target
        missed = constraint / target  # 0 where the target is met exactly
        weight = self.log_lambda.exp()
        if self.training:
            self.update(missed.detach())

        # the scale of the likelihood learns from log p(x|z), nothing else does
        with frozen_but_head(vae.decoder):
            distortion = -vae.decoder(trace.z.detach(), c).log_prob(x).mean()

        rate = trace.kl.mean()
        return {
            "loss": rate + weight * constraint + distortion - distortion.detach(),
            "monitor": rate + 1000 * (missed - 0.05).clamp_min(0),
            "rate": rate,
            "distortion": distortion.detach(),
            "lambda": weight,
            "missed": missed,
        }

    def update(self, missed: Tensor) -> None:
        """One step of the running mean and of log λ."""
        keep = self.smooth * self.started  # the first value is the first mean
        self.average.copy_(keep * self.average + (1 - keep) * missed)
        self.started.fill_(1.0)
        self.log_lambda.copy_((self.log_lambda + self.speed * self.average).clamp(-10, 10))


@tags("schedule")
def geco(
    spec: Spec, tolerance: Positive = 0.3, speed: Positive = 0.005, smooth: Fraction = 0.99
) -> VAE:
    """Asks for a quality of reconstruction, and finds the least rate that gives it.

    KL + λ (Σ (x - E p(x|z))² - κ²)

    λ rises while the target κ = `tolerance`, a root mean square over entries, is missed.

    Paper: Rezende & Viola 2018, "Taming VAEs", arXiv:1810.00597, algorithm 1 with the
    reconstruction constraint of its table 1. λ moves by the constraint relative to its target, so
    that `speed` means the same for all data. The paper leaves the speed open. A mean over a hundred
    steps answers late, so that a speed of 0.05 lets λ overshoot thirtyfold on digits.
    """
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), GECO(tolerance, speed, smooth))


@hookimpl
def vaezoo_variants() -> Variants:
    return [geco]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("geco", GECO)]
