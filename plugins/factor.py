"""FactorVAE: a critic tells codes from codes whose dimensions were shuffled."""

import torch
from torch import Tensor
from torch.nn import functional as F

from vaezoo.core import VAE, Encoder, Loss, Model, Spec, Terms
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import NonNegative
from vaezoo.losses import require_density
from vaezoo.networks import Gaussian, StandardNormal, Write, frozen, mlp


def shuffle_each_dimension(z: Tensor) -> Tensor:
    """(B, D) with every column permuted on its own: draws of Π_j q(z_j)."""
    orders = torch.rand_like(z).argsort(0)  # (B, D): a permutation of the rows a column
    return z.gather(0, orders)


def halves(z: Tensor) -> tuple[Tensor, Tensor]:
    """The first and the last half of the rows; of an odd number the middle row is in both."""
    return z[: (len(z) + 1) // 2], z[len(z) // 2 :]


class Factor(Loss):
    """R + KL + γ TC, the total correlation read off a critic: TC ≈ E_q(z) log D(z) / (1 - D(z)).

    One backward pass serves both players: each term is blind to the parameters of the other, so
    that the sum gives each its own gradient, at the same parameter values. `critic` is the critic's
    cross-entropy, no part of what is monitored. A TC is never negative: an estimate below 0 is the
    critic's error, for which the monitor gives no credit.
    """

    def __init__(self, spec: Spec, encoder: Encoder, gamma: NonNegative = 6.4) -> None:
        super().__init__()
        self.gamma = gamma
        # z -> the logit of D: that z was not shuffled
        width = encoder.width or spec.latent
        self.critic = mlp(width, spec.hidden, spec.hidden, spec.hidden, 1)

    def check(self, model: Model) -> None:
        require_density(self, model)

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = model.infer(x, c)
        distortion = -trace.log_px.mean()
        codes = trace.z[0].flatten(1).to(distortion)  # codes may be finer than the network
        joint, other = halves(codes)  # (B/2, D) each
        with frozen(self.critic):
            tc = self.critic(joint).mean()
        critic = self.cross_entropy(joint.detach(), shuffle_each_dimension(other.detach()))

        rate = trace.kl.mean()
        return {
            "loss": distortion + rate + self.gamma * tc + critic,
            "monitor": distortion + rate + self.gamma * tc.clamp_min(0),
            "distortion": distortion,
            "rate": rate,
            "tc": tc,
            "critic": critic,
        }

    def cross_entropy(self, joint: Tensor, shuffled: Tensor) -> Tensor:
        """-½ E log D(joint) - ½ E log (1 - D(shuffled)), in nats."""
        told_joint = F.softplus(-self.critic(joint)).mean()
        told_shuffled = F.softplus(self.critic(shuffled)).mean()
        return (told_joint + told_shuffled) / 2


@tags("disentanglement", "adversarial")
def factor(spec: Spec, gamma: NonNegative = 6.4) -> VAE:
    """Penalises the total correlation of the codes, as a critic estimates it.

    R + KL + γ KL(q(z) ‖ Π_j q(z_j))

    Paper: Kim & Mnih 2018, "Disentangling by Factorising", arXiv:1802.05983, eq. 2 and algorithm 2.
    The algorithm draws two minibatches a step; here they are the two halves of one, and R + KL is a
    mean over both. The critic has three hidden layers of the shared width where the paper's has six
    of 1,000. One network more: the critic.
    """
    encoder = Gaussian(spec)
    decoder = Write(spec)
    return VAE(encoder, decoder, StandardNormal(spec), Factor(spec, encoder, gamma))


@hookimpl
def vaezoo_variants() -> Variants:
    return [factor]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("factor", Factor)]
