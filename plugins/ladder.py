"""Several layers of latents, generated from the top down."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.core import Latent, Loss, Model, Spec, Trace, Unsupported
from vaezoo.distributions import draw, mixture, normal
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, Fraction
from vaezoo.likelihoods import head
from vaezoo.losses import WarmUp
from vaezoo.networks import Read, StandardNormal, Write, mlp, split_normal


def product(a: Distribution, b: Distribution) -> Distribution:
    """The normalised product of two diagonal Gaussians: precisions add, and weigh the means.

    In float32 a mean of 50 is known to 4e-6. Beside a scale of 0.001 that leaves 5e-4 of the KL
    between the product and either factor unknown.
    """
    wa = a.variance.reciprocal()
    wb = b.variance.reciprocal()
    return normal((a.mean * wa + b.mean * wb) / (wa + wb), (wa + wb).rsqrt())


class Ladder(Model):
    """p(z_L) Π_l p(z_l|z_{l+1}) p(x|z_1), q(z_l|x, z_{l+1}) ∝ N(z_l; μ̂_l, σ̂_l²) p(z_l|z_{l+1}).

    The deepest latent, z_L, comes first in `Trace.latents`.
    """

    def __init__(self, spec: Spec, depth: int, loss: Loss) -> None:
        super().__init__(loss)
        hidden = spec.hidden
        latent = spec.latent
        self.read = Read(spec, hidden)
        self.up = nn.ModuleList(mlp(hidden, hidden, hidden) for _ in range(depth - 1))
        self.evidence = nn.ModuleList(nn.Linear(hidden, 2 * latent) for _ in range(depth))
        self.down = nn.ModuleList(mlp(latent, hidden, 2 * latent) for _ in range(depth - 1))
        self.top = StandardNormal(spec)
        self.write = Write(spec)
        loss.check(self)

    def likelihoods(self, x: Tensor, c: Tensor | None) -> list[Distribution]:
        """What x says of each layer, N(μ̂_l(x), σ̂_l(x)²), the deepest first."""
        h = F.silu(self.read(x, c))
        steps = [h]
        for net in self.up:
            h = F.silu(net(h))
            steps.append(h)
        upwards = [split_normal(head(h)) for head, h in zip(self.evidence, steps, strict=True)]
        return upwards[::-1]

    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        q, *evidence = self.likelihoods(x, c)
        z, log_q = draw(q, (k,))
        latents = [Latent(z, log_q, q, self.top(c))]
        for net, seen in zip(self.down, evidence, strict=True):
            p = split_normal(net(z))
            q = product(seen, p)
            z, log_q = draw(q)
            latents.append(Latent(z, log_q, q, p))
        return Trace(x, self.write(z, c), tuple(latents))

    def draw_px(self, n: int, c: Tensor | None = None) -> Distribution:
        z = self.top(c).sample(torch.Size((1, n)))
        for net in self.down:
            z = split_normal(net(z)).sample()
        return self.write(z, c)


class TwoLevel(Model):
    """p(z_2) p(z_1|z_2) p(x|z_1, z_2), and q(z_2|x) q(z_1|x, z_2).

    p(z_2) is the mean of q(z_2|u_m) over pseudo-inputs u_m.
    """

    def __init__(self, spec: Spec, components: int, loss: Loss) -> None:
        super().__init__(loss)
        hidden = spec.hidden
        latent = spec.latent
        self.bounded = head(spec).is_bounded
        self.pseudo = nn.Parameter(torch.randn(components, *spec.shape))
        self.deep = Read(spec, 2 * latent)
        self.read = Read(spec, hidden)
        self.shallow = mlp(hidden + latent, hidden, 2 * latent)
        self.down = mlp(latent, hidden, 2 * latent)
        self.write = Write(spec, 2 * latent)
        loss.check(self)

    def top(self) -> Distribution:
        """p(z_2)."""
        u = self.pseudo.sigmoid() if self.bounded else self.pseudo
        return mixture(u.new_zeros(len(u)), split_normal(self.deep(u)))

    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        q2 = split_normal(self.deep(x, c))
        z2, log_q2 = draw(q2, (k,))

        # q(z_1|x, z_2) reads z_2 beside what it knows of x
        h = self.read(x, c)
        seen = torch.cat([h.expand(k, *h.shape), z2], -1)  # (K, B, H + D)
        q1 = split_normal(self.shallow(seen))
        z1, log_q1 = draw(q1)

        deep = Latent(z2, log_q2, q2, self.top())
        shallow = Latent(z1, log_q1, q1, split_normal(self.down(z2)))
        return Trace(x, self.write(torch.cat([z1, z2], -1), c), (deep, shallow))

    def draw_px(self, n: int, c: Tensor | None = None) -> Distribution:
        z2 = self.top().sample(torch.Size((1, n)))
        z1 = split_normal(self.down(z2)).sample()
        return self.write(torch.cat([z1, z2], -1), c)


@tags("hierarchical")
def ladder(spec: Spec, depth: Count = 2, until: Fraction = 0.5) -> Ladder:
    """Layers of latents, where the posterior of a layer corrects its prior by what x says of it.

    R + β(t) Σ_l KL(q(z_l|x, z_{l+1}) ‖ p(z_l|z_{l+1})), β rising to 1 over the first part `until`
    of the training

    Paper: Sønderby et al. 2016, "Ladder Variational Autoencoders", arXiv:1602.02282, §2.2
    (precision-weighted posterior) and §2.3 (warm-up; without one the layers collapse). No batch
    normalisation, which the paper adds; every layer is as wide as the spec's latent, where the
    paper's shrink. More networks: one hidden layer up and one down a level.
    """
    return Ladder(spec, depth, WarmUp(until))


@tags("hierarchical", "prior")
def two_level(spec: Spec, components: Count = 100, until: Fraction = 0.3) -> TwoLevel:
    """Two latents, the deeper one under a mixture of posteriors of learned pseudo-inputs.

    R + β(t) [KL(q(z_2|x) ‖ (1/M) Σ_m q(z_2|u_m)) + KL(q(z_1|x, z_2) ‖ p(z_1|z_2))]

    Paper: Tomczak & Welling 2018, "VAE with a VampPrior", arXiv:1705.07120, §4 (hierarchical
    VampPrior). M = 500 there. More networks: a second encoder body, and the two networks between
    the latents.
    """
    if spec.condition:
        raise Unsupported(
            "a VampPrior has no label for its pseudo-inputs; this model is conditioned on one"
        )
    return TwoLevel(spec, components, WarmUp(until))


@hookimpl
def vaezoo_variants() -> Variants:
    return [ladder, two_level]
