"""Transformer VAE: one latent for a whole sequence, attention on either side."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.core import Latent, Model, Spec, Trace, Unsupported
from vaezoo.distributions import draw
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, Fraction
from vaezoo.losses import WarmUp
from vaezoo.networks import StandardNormal, from_steps, mlp, split_normal
from vaezoo.stepwise import StepsLikelihood, as_steps


def waves(times: Tensor, width: int) -> Tensor:
    """(T, width): sines and cosines of the times (T,), of wavelengths from 2π to 2π·10,000.

    Vaswani et al. 2017, arXiv:1706.03762, §3.5, whose positions are the times here.
    """
    half = (width + 1) // 2
    rates = 10_000 ** (-torch.arange(half, dtype=times.dtype) / half)
    angles = times[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], -1)[:, :width]


class Attention(nn.Module):
    """What each of T places takes from S, softmax(q kᵀ/√d) v with several heads, where `allowed`.

    With `code`, there is one key and value more, which all places see: pseudo self-attention.
    """

    def __init__(self, width: int, heads: int, code: int = 0) -> None:
        super().__init__()
        self.heads = heads
        inner = heads * -(-width // heads)  # rounded up
        self.ask = nn.Linear(width, 3 * inner)
        self.code = nn.Linear(code, 2 * inner) if code else None
        self.out = nn.Linear(inner, width)

    def forward(self, h: Tensor, allowed: Tensor, z: Tensor | None = None) -> Tensor:
        """(N, T, H) -> (N, T, H), with allowed (N, T, T) and z (N, D)."""
        q, k, v = self.ask(h).chunk(3, -1)
        if self.code is not None:
            k_z, v_z = self.code(z)[:, None].chunk(2, -1)  # (N, 1, ·)
            k = torch.cat([k_z, k], 1)
            v = torch.cat([v_z, v], 1)
            allowed = F.pad(allowed, (1, 0), value=True)
        # (N, T, heads · d) -> (N, heads, T, d)
        q, k, v = (each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in (q, k, v))
        taken = F.scaled_dot_product_attention(q, k, v, allowed[:, None])
        return self.out(taken.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """h + Attention(norm h), then h + MLP(norm h): the order of GPT-2, whose networks these are."""

    def __init__(self, width: int, heads: int, code: int = 0) -> None:
        super().__init__()
        self.before = nn.LayerNorm(width)
        self.attend = Attention(width, heads, code)
        self.between = nn.LayerNorm(width)
        self.each = mlp(width, 2 * width, width)

    def forward(self, h: Tensor, allowed: Tensor, z: Tensor | None = None) -> Tensor:
        h = h + self.attend(self.before(h), allowed, z)
        changed: Tensor = h + self.each(self.between(h))
        return changed


def seen_before(x: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """What each step may look back at.

    Of each step the last one before it at which something was seen: its x (N, T, C), 0 where
    there is none, and its index (N, T), -1 where there is none.
    """
    index = torch.arange(x.shape[1], device=x.device)
    last = torch.where(seen, index, -1).cummax(1).values
    before = F.pad(last[:, :-1], (1, 0), value=-1)
    taken = torch.take_along_dim(x, before.clamp_min(0)[..., None], 1)
    return torch.where(before[..., None] < 0, 0.0, taken), before


class Reader(nn.Module):
    """q(z|x): every step attends to all that were seen, and one learned query takes their mean.

    Fang et al. 2021: an encoder without a causal mask, and an attention average.
    """

    def __init__(self, spec: Spec, layers: int, heads: int) -> None:
        super().__init__()
        width = spec.hidden
        self.into = nn.Linear(spec.as_steps[1] + width, width)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.weigh = nn.Linear(width, 1)
        self.out = nn.Linear(width, 2 * spec.latent)

    def forward(self, x: Tensor, when: Tensor, seen: Tensor) -> Distribution:
        """From x (B, T, C) without gaps, waves of the times (T, H) and what was seen (B, T)."""
        h = self.into(torch.cat([x, when.expand(len(x), -1, -1)], -1))
        # of a row of which nothing was seen, the first step is read as 0: someone must be attended
        first = torch.arange(x.shape[1], device=x.device) == 0
        seen = seen | (first & ~seen.any(1, keepdim=True))
        allowed = seen[:, None, :].expand(-1, x.shape[1], -1)
        for layer in self.layers:
            h = layer(h, allowed)
        h = self.norm(h)
        weights = self.weigh(h)[..., 0].masked_fill(~seen, -torch.inf).softmax(-1)  # (B, T)
        return split_normal(self.out((weights[..., None] * h).sum(1)))


class Writer(nn.Module):
    """p(x_t|z, x_<t): a step attends to those before it, and to z at every layer."""

    def __init__(self, spec: Spec, layers: int, heads: int, word_dropout: float) -> None:
        super().__init__()
        width = spec.hidden
        self.word_dropout = word_dropout
        self.likelihood = StepsLikelihood(spec)
        self.into = nn.Linear(spec.as_steps[1] + 2 * width, width)
        self.code = nn.Linear(spec.latent, width)
        self.layers = nn.ModuleList(Layer(width, heads, spec.latent) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, self.likelihood.raw_channels)

    def forward(self, z: Tensor, x: Tensor, when: Tensor, seen: Tensor) -> Tensor:
        """The raw numbers of every step, side by side.

        Raw numbers (N, T, ·), from z (N, D), x (N, T, C) without gaps, waves (T, H) and what was
        seen (N, T).

        A step holds the last one seen before it, when that was and when it is itself. Others see it
        only where something of it was seen: a step that nobody saw changes no other.
        """
        past, index = seen_before(x, seen)
        then = torch.where(index[..., None] < 0, 0.0, when[index.clamp_min(0)])  # (N, T, H)
        now = when.expand(len(x), -1, -1)
        h = self.into(torch.cat([self._dropped(past), then, now], -1)) + self.code(z)[:, None]
        here = torch.eye(x.shape[1], dtype=torch.bool, device=x.device)
        allowed = here | (seen[:, None, :] & torch.ones_like(here).tril())
        for layer in self.layers:
            h = layer(h, allowed, z)
        raw: Tensor = self.out(self.norm(h))
        return raw

    def _dropped(self, past: Tensor) -> Tensor:
        """In training, whole steps are withheld at random (Bowman et al. 2016, "word dropout")."""
        if not (self.training and self.word_dropout):
            return past
        chance = torch.rand(*past.shape[:2], 1, dtype=past.dtype, device=past.device)
        return past * (chance >= self.word_dropout)


class TransformerVAE(Model):
    """−E_q Σ_t log p(x_t|z, x_<t) + KL(q(z|x) ‖ N(0, I))."""

    when: Tensor  # (T, H): waves of the times

    def __init__(
        self, spec: Spec, layers: int, heads: int, word_dropout: float, warmup: float
    ) -> None:
        super().__init__(WarmUp(warmup))
        if spec.condition:
            raise Unsupported("transformer_vae reads no label; this model is conditioned on one")
        self.spec = spec
        self.steps, self.channels = spec.as_steps
        times = torch.tensor(spec.clock, dtype=torch.float64)
        self.register_buffer("when", waves(times, spec.hidden), persistent=False)
        self.reader = Reader(spec, layers, heads)
        self.writer = Writer(spec, layers, heads, word_dropout)
        self.prior = StandardNormal(spec)

    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        steps, full, _ = as_steps(x, self.spec)
        # behind the last step there is no time, and nothing but padding
        full = full[:, : self.steps]
        seen = ~steps[:, : self.steps].isnan().all(-1)
        when = self.when[: full.shape[1]].to(full)
        q = self.reader(full, when, seen)
        z, log_q = draw(q, (k,))
        # (K, B, …) -> (K·B, …)
        past, there = (each.expand(k, *each.shape).flatten(0, 1) for each in (full, seen))
        raw = self.writer(z.flatten(0, 1), past, when, there).unflatten(0, (k, len(x)))
        px = self.writer.likelihood(raw)
        return Trace(x, px, (Latent(z, log_q, q, self.prior(c)),))

    @torch.no_grad()
    def sample(self, n: int, c: Tensor | None = None, mean: bool = False) -> Tensor:
        z = self.prior(c).sample(torch.Size((n,)))
        x = z.new_zeros(n, self.steps, self.channels)
        means = torch.zeros_like(x)
        when = self.when.to(z)
        for t in range(self.steps):
            so_far = x[:, : t + 1]  # what stands at t itself is not read
            all_seen = torch.ones(n, t + 1, dtype=torch.bool, device=x.device)
            raw = self.writer(z, so_far, when[: t + 1], all_seen)[:, -1]
            px = self.writer.likelihood.of_step(raw)
            means[:, t] = px.mean
            x[:, t] = px.sample()
        return from_steps((means if mean else x)[None], self.spec)[0]


@tags("recurrent", "times")
def transformer_vae(
    spec: Spec,
    layers: Count = 2,
    heads: Count = 4,
    word_dropout: Fraction = 0.0,
    warmup: Fraction = 0.0,
) -> TransformerVAE:
    """One latent for a whole sequence; encoder and decoder attend, the decoder to the past alone.

    −E_q Σ_t log p(x_t|z, x_<t) + KL(q(z|x) ‖ N(0, I))

    Every layer of the decoder sees z as one more key and value. Positions are the times of the
    spec, equally spaced or not, and nobody attends to a step that was not seen. `word_dropout`
    withholds that share of the steps from the decoder in training, and `warmup` is the share of the
    training over which the weight of KL rises to 1: of `vrae`, both.

    Paper: Fang, Zeng, Liu, Bo, Dong, Chen 2021, "Transformer-based Conditional Variational
    Autoencoder for Controllable Story Generation", arXiv:2101.00828: encoder with attention
    average, z added to the inputs and by pseudo self-attention. There all is fine-tuned from GPT-2,
    a prompt conditions prior and posterior, and the weight of KL rises and falls in cycles; here
    all starts from random weights, the prior is N(0, I), and positions are sines.
    """
    return TransformerVAE(spec, layers, heads, word_dropout, warmup)


@hookimpl
def vaezoo_variants() -> Variants:
    return [transformer_vae]
