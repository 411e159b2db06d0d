"""The evidence lower bound, which most losses refine.

R = -E_q log p(x|z) and KL = KL(q(z|x) ‖ p(z)) are means over the batch of sums over the event, in nats per x.
"""

from torch import Tensor

from .core import Loss, Model, Terms, Unsupported


def require_density(loss: Loss, model: Model) -> None:
    """Raises: Unsupported where the model's posterior has no density, so that no bound can be computed."""
    if model.no_density:
        raise Unsupported(f"{type(loss).__name__} is a bound on log p(x), and this model has none: {model.no_density}")


class ELBO(Loss):
    """R + β KL (Kingma & Welling 2014, arXiv:1312.6114, eq. 3; with β, Higgins et al. 2017, eq. 4)."""

    def __init__(self, beta: float = 1.0, k: int = 1) -> None:
        super().__init__()
        self.beta, self.k = beta, k

    def check(self, model: Model) -> None:
        require_density(self, model)

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = model.infer(x, c, self.k)
        return self.combine(-trace.log_px.mean(), trace.kl.mean(), progress)

    def combine(self, distortion: Tensor, rate: Tensor, progress: float) -> Terms:
        return {"loss": distortion + self.beta * rate, "distortion": distortion, "rate": rate}
