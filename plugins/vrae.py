"""VRAE: one latent for a whole sequence, a recurrent network on either side."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaezoo.core import Latent, Model, Spec, Trace
from vaezoo.distributions import draw
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.hyperparameters import Fraction
from vaezoo.losses import WarmUp
from vaezoo.networks import StandardNormal, from_steps, split_normal
from vaezoo.recurrent import gru_states, previous_steps
from vaezoo.stepwise import StepsLikelihood, as_steps


class RecurrentReader(nn.Module):
    """x (B, T, C) and its mask (B, T) -> q(z|x), from a GRU's state after the last step.

    Fabius & van Amersfoort 2014, encoder.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.rnn = nn.GRU(spec.as_steps[1], spec.hidden, batch_first=True)
        self.out = nn.Linear(spec.hidden, 2 * spec.latent)

    def forward(self, x: Tensor, mask: Tensor | None) -> Distribution:
        states = gru_states(self.rnn, x)
        if mask is None:
            return split_normal(self.out(states[:, -1]))
        last = (mask.sum(1) - 1).clamp_min(0)[:, None, None]  # (B, 1, 1)
        at_last = torch.take_along_dim(states, last, 1).squeeze(1)  # (B, H)
        return split_normal(self.out(at_last))


class RecurrentWriter(nn.Module):
    """p(x_t|z, x_<t): z starts a GRU that reads one step after the other (Fabius 2014, decoder)."""

    def __init__(self, spec: Spec, word_dropout: float) -> None:
        super().__init__()
        self.word_dropout = word_dropout
        self.channels = spec.as_steps[1]
        self.likelihood = StepsLikelihood(spec)
        self.into = nn.Linear(spec.latent, spec.hidden)
        self.rnn = nn.GRU(self.channels + spec.latent, spec.hidden, batch_first=True)
        self.out = nn.Linear(spec.hidden, self.likelihood.raw_channels)

    def start(self, z: Tensor) -> Tensor:
        """(N, D) -> (N, H)."""
        return torch.tanh(self.into(z))

    def forward(self, z: Tensor, past: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Raw numbers (N, T, ·) and the last state (N, H).

        From z (N, D), the steps before (N, T, C) and a state (N, H).
        """
        each = z[:, None].expand(-1, past.shape[1], -1)  # (N, T, D)
        states = gru_states(self.rnn, torch.cat([self._dropped(past), each], -1), state)
        return self.out(states), states[:, -1]

    def _dropped(self, past: Tensor) -> Tensor:
        """In training, whole steps are withheld at random (Bowman et al. 2016, "word dropout")."""
        if not (self.training and self.word_dropout):
            return past
        chance = torch.rand(*past.shape[:2], 1, dtype=past.dtype, device=past.device)
        return past * (chance >= self.word_dropout)


class VRAE(Model):
    """−E_q Σ_t log p(x_t|z, x_<t) + KL(q(z|x) ‖ N(0, I))."""

    def __init__(self, spec: Spec, word_dropout: float, warmup: float) -> None:
        super().__init__(WarmUp(warmup))
        self.spec = spec
        self.steps = spec.as_steps[0]
        self.reader = RecurrentReader(spec)
        self.writer = RecurrentWriter(spec, word_dropout)
        self.prior = StandardNormal(spec)

    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        _, full, mask = as_steps(x, self.spec)
        q = self.reader(full, mask)
        z, log_q = draw(q, (k,))
        past = previous_steps(full).expand(k, *full.shape).flatten(0, 1)  # (K·B, T, C)
        flat = z.flatten(0, 1)  # (K·B, D)
        raw, _ = self.writer(flat, past, self.writer.start(flat))
        px = self.writer.likelihood(raw.unflatten(0, (k, len(x))))  # raw is (K, B, T, ·)
        return Trace(x, px, (Latent(z, log_q, q, self.prior(c)),))

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, mean: bool = False) -> Tensor:
        z = self.prior(c).sample(torch.Size((n,)))
        state = self.writer.start(z)
        x = z.new_zeros(n, 1, self.writer.channels)
        xs = []
        for _ in range(self.steps):
            raw, state = self.writer(z, x, state)
            px = self.writer.likelihood.of_step(raw)
            x = px.sample()
            xs.append(px.mean if mean else x)
        steps = torch.cat(xs, 1)  # (n, T, C)
        return from_steps(steps[None], self.spec)[0]


@tags("recurrent")
def vrae(spec: Spec, word_dropout: Fraction = 0.0, warmup: Fraction = 0.0) -> VRAE:
    """One latent for a whole sequence; the decoder reads z and the steps before.

    −E_q Σ_t log p(x_t|z, x_<t) + KL(q(z|x) ‖ N(0, I))

    `word_dropout` withholds that share of the steps from the decoder in training (1: it writes from
    z alone). `warmup` is the share of the training over which the weight of KL rises to 1.

    Paper: Fabius & van Amersfoort 2014, "Variational Recurrent Auto-Encoders", arXiv:1412.6581, §2
    (encoder and decoder); the options from Bowman et al. 2016, "Generating Sentences from a
    Continuous Space", arXiv:1511.06349, sections "KL cost annealing" and "word dropout". A GRU in
    place of the plain recurrence; z drives every step, not the first alone.
    """
    return VRAE(spec, word_dropout, warmup)


@hookimpl
def vaezoo_variants() -> Variants:
    return [vrae]
