"""ControlVAE: a controller sets β so that the rate comes to a value that is asked for."""

import torch
from torch import Tensor

from vaezoo.core import VAE, Loss, Model, Spec, Terms
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import NonNegative, Positive
from vaezoo.losses import require_density
from vaezoo.networks import Gaussian, StandardNormal, Write


class Controlled(Loss):
    """R + β(t) KL, β(t) = K_p / (1 + exp e(t)) - K_i Σ_{s ≤ t} e(s), e = C - KL in nats.

    β stays within 0 and `most`. While it would leave them the sum stands still, unless e leads it
    back. Early stopping watches R + `most` |KL - C|, the exact penalty of the constraint: it has
    the constrained minimum where the β of that minimum is below `most` (Nocedal & Wright 2006,
    Numerical Optimization, theorem 17.3).
    """

    total: Tensor
    beta: Tensor

    def __init__(
        self,
        rate: Positive = 8.0,
        proportional: NonNegative = 0.01,
        integral: Positive = 0.001,
        most: Positive = 10.0,
    ) -> None:
        super().__init__()
        self.rate = rate
        self.proportional = proportional
        self.integral = integral
        self.most = most
        self.register_buffer("total", torch.zeros(()))  # -K_i Σ e
        self.register_buffer("beta", torch.zeros(()))

    def check(self, model: Model) -> None:
        require_density(self, model)

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = model.infer(x, c)
        distortion = -trace.log_px.mean()
        rate = trace.kl.mean()
        if self.training:
            self.control(self.rate - rate.detach())
        beta = self.beta.clone()  # `control` moves the loss's own
        return {
            "loss": distortion + beta * rate,
            "monitor": distortion + self.most * (rate - self.rate).abs(),
            "distortion": distortion,
            "rate": rate,
            "beta": beta,
        }

    def control(self, e: Tensor) -> None:
        """One step of the controller, from the error e of this minibatch."""
        near = self.proportional * torch.sigmoid(-e)  # 1 / (1 + exp e)
        moved = self.total - self.integral * e
        wanted = near + moved
        is_beyond = ((wanted < 0) & (e > 0)) | ((wanted > self.most) & (e < 0))
        self.total.copy_(torch.where(is_beyond, self.total, moved))
        self.beta.copy_((near + self.total).clamp(0, self.most))


@tags("schedule", "disentanglement", "collapse")
def controlvae(
    spec: Spec,
    rate: Positive = 8.0,
    proportional: NonNegative = 0.01,
    integral: Positive = 0.001,
    most: Positive = 10.0,
) -> VAE:
    """Asks for a rate, and lets a controller find the β that gives it.

    R + β(t) KL, β(t) = K_p / (1 + exp e(t)) - K_i Σ_{s ≤ t} e(s), e = C - KL

    C = `rate` nats. K_p is `proportional`, K_i `integral`, and 0 ≤ β ≤ `most`.

    Paper: Shao et al. 2020, "ControlVAE: Controllable Variational Autoencoder", arXiv:2004.05988,
    algorithm 1, with β_min = 0. The paper has K_i = 0.0001 for hundreds of thousands of steps; a
    training on small data has some thousand.
    """
    loss = Controlled(rate, proportional, integral, most)
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), loss)


@hookimpl
def vaezoo_variants() -> Variants:
    return [controlvae]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("controlled", Controlled)]
