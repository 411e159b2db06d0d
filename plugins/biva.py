"""BIVA: each layer has a latent inferred on the way up and one inferred on the way down."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.core import Latent, Loss, Model, Spec, Trace
from vaezoo.distributions import draw
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, Fraction
from vaezoo.losses import EveryRate, WarmUp
from vaezoo.networks import Read, StandardNormal, Write, mlp, split_normal


class Layer(nn.Module):
    """One layer below the deepest: features of x on the way up, the state t on the way down."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        hidden = spec.hidden
        latent = spec.latent
        self.upward = nn.Linear(hidden, 2 * latent)  # q(u|d)
        self.on_up = mlp(hidden + latent, hidden, hidden)  # d of the layer above
        self.prior = nn.Linear(hidden, 4 * latent)  # p(u|t) and p(v|t)
        self.downward = mlp(2 * hidden, hidden, 2 * latent)  # q(v|d, t)
        self.on_down = mlp(hidden + 2 * latent, hidden, hidden)  # t of the layer below

    def p(self, t: Tensor) -> tuple[Distribution, Distribution]:
        """p(u|t) and p(v|t)."""
        of_u, of_v = self.prior(t).chunk(2, -1)
        return split_normal(of_u), split_normal(of_v)

    def q_down(self, d: Tensor, t: Tensor) -> Distribution:
        """q(v|d, t), from d (B, H) or (K, B, H)."""
        return split_normal(self.downward(torch.cat([d.expand_as(t), t], -1)))

    def above(self, d: Tensor, u: Tensor) -> Tensor:
        """The features of the layer above, (K, B, H), that keep those of this one."""
        d = d.expand(*u.shape[:2], -1)
        return d + F.silu(self.on_up(torch.cat([d, u], -1)))

    def below(self, t: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """The state of the layer below, (K, B, H), that keeps this one."""
        return t + F.silu(self.on_down(torch.cat([t, u, v], -1)))


class Climbed(NamedTuple):
    """One layer on the way up: features d (K, B, H), q(u|d), and its draw u (K, B, D)."""

    d: Tensor
    q: Distribution
    u: Tensor
    log_q: Tensor


class Bidirectional(Model):
    """The generative chain, and a posterior of each latent on the way up or on the way down.

    p(z_L) Π_{l<L} p(u_l|t_l) p(v_l|t_l) p(x|t_0), t_l read from all latents above layer l, and
    Π_{l<L} q(u_l|x, u_<l) q(z_L|x, u_<L) Π_{l<L} q(v_l|x, u_<l, latents above l).

    `Trace.latents` are z_L, v_{L-1}, u_{L-1}, …, v_1, u_1.
    """

    def __init__(self, spec: Spec, depth: int, loss: Loss) -> None:
        super().__init__(loss)
        self.read = Read(spec, spec.hidden)
        self.layers = nn.ModuleList(Layer(spec) for _ in range(depth - 1))  # the shallowest first
        self.deepest = nn.Linear(spec.hidden, 2 * spec.latent)
        self.top = StandardNormal(spec)
        self.start = mlp(spec.latent, spec.hidden, spec.hidden)
        self.write = Write(spec, spec.hidden)
        loss.check(self)

    def _layers(self) -> list[Layer]:
        return [layer for layer in self.layers if isinstance(layer, Layer)]

    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        climbed, d = self.climb(F.silu(self.read(x, c)).expand(k, len(x), -1))  # (K, B, H)

        q = split_normal(self.deepest(d))
        z, log_q = draw(q)
        latents = [Latent(z, log_q, q, self.top(c))]
        t = F.silu(self.start(z))
        for layer, step in zip(self._layers()[::-1], climbed[::-1], strict=True):
            p_u, p_v = layer.p(t)
            q_v = layer.q_down(step.d, t)
            v, log_q_v = draw(q_v)
            latents.append(Latent(v, log_q_v, q_v, p_v))
            # t was read from what was read from u
            latents.append(Latent(step.u, step.log_q, step.q, p_u, p_follows_z=True))
            t = layer.below(t, step.u, v)
        return Trace(x, self.write(t, c), tuple(latents))

    def climb(self, d: Tensor) -> tuple[list[Climbed], Tensor]:
        """What each layer draws on the way up, the shallowest first, and the deepest's features."""
        climbed = []
        for layer in self._layers():
            q = split_normal(layer.upward(d))
            u, log_q = draw(q)
            climbed.append(Climbed(d, q, u, log_q))
            d = layer.above(d, u)
        return climbed, d

    def given(self, zs: list[Tensor], c: Tensor | None = None) -> tuple[Tensor, Distribution]:
        """log p(z), (K, B), and p(x|z), of latents (K, B, D) in the order of `Trace.latents`."""
        deepest, *others = zs
        total = self.top(c).log_prob(deepest)
        t = F.silu(self.start(deepest))
        for layer, v, u in zip(self._layers()[::-1], others[::2], others[1::2], strict=True):
            p_u, p_v = layer.p(t)
            total = total + p_u.log_prob(u) + p_v.log_prob(v)
            t = layer.below(t, u, v)
        return total, self.write(t, c)

    def draw_px(self, n: int, c: Tensor | None = None) -> Distribution:
        t = F.silu(self.start(self.top(c).sample(torch.Size((1, n)))))
        for layer in self._layers()[::-1]:
            p_u, p_v = layer.p(t)
            t = layer.below(t, p_u.sample(), p_v.sample())
        return self.write(t, c)


class WarmedRates(EveryRate, WarmUp):
    """R + β(t) Σ_l KL_l, and the rate of each latent, the deepest first."""


@tags("hierarchical")
def biva(spec: Spec, depth: Count = 3, until: Fraction = 0.3) -> Bidirectional:
    """Two latents a layer: one inferred from below, one from above, so that all layers stay in use.

    R + β(t) Σ_l KL_l, β rising to 1 over the first part `until` of the training, with layers of u_l
    from q(u_l|x, u_<l) and v_l from q(v_l|x, u_<l, latents above), the deepest of one alone

    History.csv has the rate of each latent, and so has the metric `layers`. The KL of u_l is that
    of one draw, for its prior reads latents that were inferred from it.

    Paper: Maaløe, Fraccaro, Liévin & Winther 2019, "BIVA: A Very Deep Hierarchy of Latent Variables
    for Generative Modeling", arXiv:1902.02102, §2.2 and eqs. 3 to 6, with its skip connections as
    sums and one dense layer for each of its residual blocks. The shared network reads and writes x;
    all layers have spec.latent numbers.
    """
    return Bidirectional(spec, depth, WarmedRates(until))


@hookimpl
def vaezoo_variants() -> Variants:
    return [biva]
