"""DIP-VAE: the covariance of the aggregate posterior is pulled to the identity."""

from typing import Literal

from torch import Tensor
from torch.distributions import Distribution

from vaezoo.core import VAE, Loss, Model, Spec, Terms, Unsupported, require_parts
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import NonNegative
from vaezoo.losses import require_density
from vaezoo.networks import Gaussian, StandardNormal, Write


def covariance(a: Tensor) -> Tensor:
    """(B, D) -> (D, D), of the rows, divided by B."""
    a = a - a.mean(0)
    return a.T @ a / len(a)


def variance(q: Distribution) -> Tensor:
    """(B, *event). Raises: Unsupported where q does not know it."""
    try:
        return q.variance
    except NotImplementedError:
        raise Unsupported(
            f"kind=ii needs the variance of q(z|x), and {type(q).__name__} does not give it; "
            "kind=i needs its centre alone"
        ) from None


class DisentangledPrior(Loss):
    """R + KL + λ_od Σ_{i≠j} C_ij² + λ_d Σ_i (C_ii - 1)², C a covariance of the codes.

    C = Cov_x μ(x) for kind "i", and Cov_x μ(x) + E_x diag σ²(x) for kind "ii".
    """

    def __init__(
        self, off: NonNegative = 10.0, diagonal: NonNegative = 100.0, kind: Literal["i", "ii"] = "i"
    ) -> None:
        super().__init__()
        self.off = off
        self.diagonal = diagonal
        self.kind = kind

    def check(self, model: Model) -> None:
        require_density(self, model)
        require_parts(model, "the covariance of the codes")

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = model.infer(x, c)
        q = trace.latents[0].q
        c_z = covariance(q.mean.flatten(1))  # (D, D)
        if self.kind == "ii":
            c_z = c_z + variance(q).flatten(1).mean(0).diag_embed()

        distortion = -trace.log_px.mean()
        rate = trace.kl.mean()
        penalty = self.penalty(c_z)
        return {
            "loss": distortion + rate + penalty,
            "distortion": distortion,
            "rate": rate,
            "penalty": penalty,
        }

    def penalty(self, c_z: Tensor) -> Tensor:
        """λ_od Σ_{i≠j} C_ij² + λ_d Σ_i (C_ii - 1)² of a covariance (D, D)."""
        diagonal = c_z.diagonal()
        off = (c_z - diagonal.diag_embed()).square().sum()
        return self.off * off + self.diagonal * (diagonal - 1).square().sum()


@tags("disentanglement")
def dip1(spec: Spec, off: NonNegative = 10.0, diagonal: NonNegative = 100.0) -> VAE:
    """Pulls the covariance of the posterior means to the identity.

    R + KL + λ_od Σ_{i≠j} C_ij² + λ_d Σ_i (C_ii - 1)², C = Cov_x μ(x)

    C is of the minibatch. The paper's λ_d = 10 λ_od; λ_od is chosen for each data set there, 10 for
    binary images.

    Paper: Kumar, Sattigeri & Balakrishnan 2018, "Variational Inference of Disentangled Latent
    Concepts from Unlabeled Observations", arXiv:1711.00848, eq. 6 (DIP-VAE-I).
    """
    loss = DisentangledPrior(off, diagonal, "i")
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), loss)


@tags("disentanglement")
def dip2(spec: Spec, off: NonNegative = 10.0, diagonal: NonNegative = 10.0) -> VAE:
    """Pulls the covariance of the aggregate posterior itself to the identity.

    R + KL + λ_od Σ_{i≠j} C_ij² + λ_d Σ_i (C_ii - 1)², C = Cov_x μ(x) + E_x diag σ²(x)

    C is the covariance of q(z).

    The paper's λ_d = λ_od.

    Paper: Kumar, Sattigeri & Balakrishnan 2018, "Variational Inference of Disentangled Latent
    Concepts from Unlabeled Observations", arXiv:1711.00848, eqs. 5 and 7 (DIP-VAE-II).
    """
    loss = DisentangledPrior(off, diagonal, "ii")
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), loss)


@hookimpl
def vaezoo_variants() -> Variants:
    return [dip1, dip2]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("dip", DisentangledPrior)]
