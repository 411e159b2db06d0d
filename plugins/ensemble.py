"""A deep ensemble: several VAEs that share nothing but the data and the prior, as one model."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaezoo.core import VAE, Latent, Loss, Model, Spec, Terms, Trace
from vaezoo.distributions import draw, noise
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.hyperparameters import Count
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, Read, StandardNormal, Write, split_normal


def first_turn(n: int, like: Tensor) -> Tensor:
    """An integer below n, all equally probable; always the same one at the centre."""
    uniform = torch.special.ndtr(noise(1, like=like))
    return (uniform * n).long().clamp_max(n - 1)


class Ensemble(Model):
    """p(x) = (1/M) Σ_m p_m(x).

    Draws go round the members, from a random one on, so that k draws are an unbiased average.
    """

    def __init__(self, spec: Spec, members: int) -> None:
        super().__init__(Summed(members))
        self.spec = spec
        self.prior = StandardNormal(spec)
        readers = [Read(spec, 2 * spec.latent) for _ in range(members)]
        writers = [Write(spec) for _ in range(members)]
        self.readers = nn.ModuleList(readers)
        self.writers = nn.ModuleList(writers)
        self.likelihood = writers[0].likelihood
        for write in writers:
            write.likelihood = self.likelihood

    @property
    def pairs(self) -> list[tuple[Read, Write]]:
        """What each member reads x and writes p(x|z) with."""
        both = zip(self.readers, self.writers, strict=True)
        return [(cast(Read, read), cast(Write, write)) for read, write in both]

    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        # whole rounds of the M members: T turns, at least k; turn t is of member t mod M
        rounds = -(-k // len(self.readers))
        of_members = torch.stack([read(x, c) for read, _ in self.pairs])  # (M, B, 2 D)
        every = of_members.repeat(rounds, 1, 1)  # (T, B, 2 D)
        z, log_q = draw(split_normal(every))
        raw = self._written(z, rounds, c)

        # k turns in a row, from a random one on
        chosen = (torch.arange(k, device=x.device) + first_turn(len(every), z)) % len(every)
        z, log_q, raw, every = (t.index_select(0, chosen) for t in (z, log_q, raw, every))
        latent = Latent(z, log_q, split_normal(every), self.prior(c))
        return Trace(x, self.likelihood(raw), (latent,))

    def _written(self, z: Tensor, rounds: int, c: Tensor | None) -> Tensor:
        """Raw numbers of p(x|z), (T, B, …), from z (T, B, D), by each turn's own member."""
        of_each = z.unflatten(0, (rounds, -1)).unbind(1)  # M of (rounds, B, D)
        raws = [write.raw(own, c) for (_, write), own in zip(self.pairs, of_each, strict=True)]
        return torch.stack(raws, 1).flatten(0, 1)  # (rounds, M, B, …) -> (T, B, …)

    def draw_px(self, n: int, c: Tensor | None = None) -> Distribution:
        z = self.prior(c).sample(torch.Size((1, n)))
        raw = torch.stack([write.raw(z, c)[0] for _, write in self.pairs])  # (M, n, …)
        who = torch.randint(len(self.writers), (n,), device=z.device)
        chosen = raw[who, torch.arange(n, device=z.device)]  # (n, …)
        return self.likelihood(chosen[None])

    def members(self, n: int) -> Sequence[Model]:
        return [self._member(read, write) for read, write in self.pairs[:n]]

    def _member(self, read: Read, write: Write) -> Model:
        encoder = Gaussian(self.spec)
        encoder.net = read
        return VAE(encoder, write, self.prior, ELBO()).train(self.training)


class Summed(Loss):
    """Σ_m (R_m + KL_m)."""

    def __init__(self, members: int) -> None:
        super().__init__()
        self.members = members

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = model.infer(x, c, self.members)  # one draw of each
        distortion = -trace.log_px.mean()
        rate = trace.kl.mean()
        mean = distortion + rate
        return {
            "loss": self.members * mean,
            "monitor": mean,
            "distortion": distortion,
            "rate": rate,
        }


@tags("bayesian")
def ensemble(spec: Spec, members: Count = 3) -> Ensemble:
    """Several VAEs from different first weights, trained side by side; p(x) is the mean of theirs.

    Σ_m (R_m + KL_m)

    Paper: Lakshminarayanan, Pritzel & Blundell 2017, "Simple and Scalable Predictive Uncertainty
    Estimation using Deep Ensembles", arXiv:1612.01474, there of classifiers and regressions, with
    adversarial training, which is left out here. All members see the same minibatches and stop at
    the same epoch. A scale of the likelihood is shared. elbo is the mean of the members' bounds,
    nll that of the mean of their densities; reconstructions are one member's.
    """
    return Ensemble(spec, members)


@hookimpl
def vaezoo_variants() -> Variants:
    return [ensemble]
