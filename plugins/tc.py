"""β-TCVAE: the KL taken apart, so that β weighs its total correlation alone."""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from vaezoo.core import VAE, Latent, Loss, Model, Spec, Terms, Unsupported, require_parts
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import NonNegative
from vaezoo.losses import require_density
from vaezoo.networks import Gaussian, StandardNormal, Write

Sampling = Literal["weighted", "stratified"]


def per_dimension(q: Distribution) -> Distribution:
    """q without its event: the distributions of the single numbers of z.

    Raises: Unsupported where q does not factorise over them.
    """
    if not isinstance(q, Independent):
        raise Unsupported(
            "total correlation needs the density q(z_j|x) of every number of z; "
            f"the posterior {type(q).__name__} does not give it"
        )
    return q.base_dist


def log_weights(rows: int, n: int, sampling: Sampling, like: Tensor) -> Tensor:
    """(B, B): log weight of posterior j in the mixture that stands for q(z) at the draw of row i.

    "weighted": 1/(N B) each (Chen et al. 2018, §3 and appendix C.1). "stratified": 1/N for the
    row's own posterior, which is one of N, and (N - 1)/(N M) for each of the other M = B - 1, which
    stand for the rest (appendix C.2, where one of the others has its own weight; this is the mean
    over the order of the minibatch, as unbiased and with less variance).
    """
    if sampling == "weighted" or rows == 1:
        return like.new_full((rows, rows), -math.log(n * rows))
    own = torch.eye(rows, dtype=like.dtype, device=like.device)
    return (own / n + (1 - own) * (n - 1) / (n * (rows - 1))).log()


class TotalCorrelation(Loss):
    """R + α I(x; z) + β KL(q(z) ‖ Π_j q(z_j)) + γ KL(Π_j q(z_j) ‖ p(z)).

    N, which the estimates need, is the number of training rows.
    """

    def __init__(
        self,
        spec: Spec,
        alpha: NonNegative = 1.0,
        beta: NonNegative = 6.0,
        gamma: NonNegative = 1.0,
        sampling: Sampling = "weighted",
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.sampling = sampling
        self.spec = spec

    def check(self, model: Model) -> None:
        require_density(self, model)
        vae = require_parts(model, "total correlation")
        x = torch.zeros(2, *self.spec.shape)
        c = torch.zeros(2, self.spec.condition)
        with torch.no_grad():
            per_dimension(vae.encoder(x, c))

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = model.infer(x, c)
        information, tc, dimensions = self.decompose(trace.latents[0])
        distortion = -trace.log_px.mean()
        weighted = self.alpha * information + self.beta * tc + self.gamma * dimensions
        return {
            "loss": distortion + weighted,
            "distortion": distortion,
            "rate": trace.kl.mean(),
            "information": information,
            "tc": tc,
            "dimensions": dimensions,
        }

    def decompose(self, latent: Latent) -> tuple[Tensor, Tensor, Tensor]:
        """I(x; z), KL(q(z) ‖ Π_j q(z_j)) and KL(Π_j q(z_j) ‖ p(z)), means over the rows.

        Their sum is the draws' estimate of the KL.
        """
        z = latent.z[0]
        rows = len(z)
        # (B, B, D): draw of row i, posterior of row j
        pairs = per_dimension(latent.q).log_prob(z[:, None]).flatten(2)
        log_a = log_weights(rows, max(rows, self.spec.n_train), self.sampling, z)

        log_qz = (pairs.sum(-1) + log_a).logsumexp(1)  # (B,)
        log_qz_each = (pairs + log_a[..., None]).logsumexp(1).sum(-1)
        information = latent.log_q[0] - log_qz
        dimensions = log_qz_each - latent.log_p[0]
        return information.mean(), (log_qz - log_qz_each).mean(), dimensions.mean()


@tags("disentanglement")
def beta_tc(
    spec: Spec,
    alpha: NonNegative = 1.0,
    beta: NonNegative = 6.0,
    gamma: NonNegative = 1.0,
    sampling: Sampling = "weighted",
) -> VAE:
    """Separates the dimensions of the code, without a price on the information they carry.

    R + α I(x; z) + β TC(z) + γ Σ_j KL(q(z_j) ‖ p(z_j)), q(z) estimated from the minibatch

    On the validation split N is still that of the training split, and the minibatch is larger: the
    estimates are biased by the size of the minibatch, so the terms compare with those of another
    variant, not across the two splits.

    Paper: Chen, Li, Grosse & Duvenaud 2018, "Isolating Sources of Disentanglement in Variational
    Autoencoders", arXiv:1802.04942: the decomposition is eq. 2, the objective and
    minibatch-weighted sampling are in §3, stratified sampling in appendix C.2.
    """
    loss = TotalCorrelation(spec, alpha, beta, gamma, sampling)
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), loss)


@hookimpl
def vaezoo_variants() -> Variants:
    return [beta_tc]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("beta_tc", TotalCorrelation)]
