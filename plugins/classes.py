"""Classes as codes with more than independent chances.

They are chosen by their distance from what the encoder draws (`sqvae`), or under a prior that reads
the classes before (`made`). A code is (G, M): G variables of M classes each, one-hot along the last
axis. As in `gumbel`, z is relaxed in training, and every bound, and the importance-sampled
likelihood, is of the discrete model.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.codebooks import Size, slots_of
from vaezoo.core import VAE, Decoder, Encoder, Prior, Spec, Unsupported
from vaezoo.distributions import Classes, Drawable, draw, normal, one_hot
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, Positive
from vaezoo.networks import Read, Write
from vaezoo.relaxed import SPACE, Cooling, Equal, Relaxed


class Quantised(Drawable):
    """Classes z with P̂(z_g = m|e) ∝ N(e_g; b_m, σ² I), e ~ q(e|x) = N(ê(x), σ² I).

    e has the generative p(e|z) = N(b_z, σ² I). What is returned as log q is log q(e|x) + log P̂(z|e)
    - log p(e|z), so that log p(x, z) - log q is the bound on the pair (z, e), and E exp of it p(x).
    P̂ is the exact posterior of z given e under equal classes: so the sum is log q(e|x) - Σ_g log
    Σ_m N(e_g; b_m, σ² I), whatever z.
    """

    def __init__(self, start: Distribution, book: Tensor, scale: Tensor, kind: Relaxed) -> None:
        groups = start.event_shape[0]
        super().__init__(start.batch_shape, torch.Size((groups, len(book))))
        self.start = start
        self.book = book
        self.scale = scale
        self.kind = kind
        self.is_relaxed = kind.training

    def log_densities(self, e: Tensor) -> Tensor:
        """log N(e_g; b_m, σ² I) of e (…, G, W), (…, G, M)."""
        width = e.shape[-1]
        squared = (e.unsqueeze(-2) - self.book).square().sum(-1)
        constant = width * (self.scale.log() + 0.5 * math.log(2 * math.pi))
        return -squared / (2 * self.scale.square()) - constant

    def log_prob(self, value: Tensor) -> Tensor:
        raise NotImplementedError("the probability of a class is an integral over e")

    def draw(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        e, log_start = draw(self.start, shape)
        near = self.log_densities(e)
        z, _ = self.kind.classes(near).draw(())
        return z, log_start - near.logsumexp(-1).sum(-1)

    def centre(self) -> Tensor:
        """The classes whose vectors are nearest to ê."""
        near = self.log_densities(self.start.mean)
        return one_hot(near.argmax(-1), near.shape[-1]).to(near)


class Stochastic(Relaxed):
    """`Quantised` of ê(x), with one learned σ and the vectors b of a codebook."""

    scores_any_code = False

    def __init__(self, spec: Spec, size: int, width: int, start: float) -> None:
        super().__init__()
        self.slots = slots_of(spec, width, "sqvae")
        self.width = self.slots * size
        self.net = Read(spec, spec.latent)
        self.book = nn.Parameter(torch.randn(size, width))
        self.log_scale = nn.Parameter(torch.tensor(math.log(start)))

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        e = self.net(x, c).unflatten(-1, (self.slots, -1))  # (B, G, W)
        scale = self.log_scale.exp() + 1e-3
        return Quantised(normal(e, scale.expand_as(e), 2), self.book, scale, self)


class Looked(Decoder):
    """p(x|z), from the vectors of the encoder's codebook: used, not owned."""

    space = SPACE

    def __init__(self, spec: Spec, encoder: Stochastic) -> None:
        super().__init__()
        self.width = encoder.width
        self.net = Write(spec)
        self._encoder = (encoder,)  # in a tuple, so that it is not this module's

    def forward(self, z: Tensor, c: Tensor | None = None) -> Distribution:
        (encoder,) = self._encoder
        px: Distribution = self.net((z @ encoder.book).flatten(-2), c)  # (K, B, G·W)
        return px


class Grouped(Relaxed):
    """q(z|x) = Π_g Categorical(softmax(l_g(x)))."""

    def __init__(self, spec: Spec, groups: int, classes: int) -> None:
        super().__init__()
        self.shape = (groups, classes)
        self.width = groups * classes
        self.net = Read(spec, self.width)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        return self.classes(self.net(x, c).unflatten(-1, self.shape))


class Autoregression(Distribution):
    """Π_g Categorical(z_g; softmax l_g(z_1 … z_{g-1})) over one-hot z (G, M)."""

    arg_constraints: dict[str, Any] = {}

    def __init__(self, logits: nn.Module, event: torch.Size) -> None:
        super().__init__(torch.Size(), event, validate_args=False)
        self.logits = logits

    def log_prob(self, value: Tensor) -> Tensor:
        chances = self.logits(value).log_softmax(-1)
        return (value * chances).sum((-2, -1))

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        z = next(self.logits.parameters()).new_zeros(*sample_shape, *self.event_shape)
        for g in range(self.event_shape[0]):
            drawn = Classes(self.logits(z)).sample()
            z[..., g, :] = drawn[..., g, :]
        return z


class Masked(nn.Module):
    """Logits (…, G, M) from z (…, G, M): those of g read z_1 … z_{g-1} alone.

    Germain et al. 2015, eqs. 8 to 10: a hidden unit has a degree, reads groups up to it, and is
    read by the groups above it.
    """

    mask_in: Tensor
    mask_out: Tensor

    def __init__(self, groups: int, classes: int, hidden: int) -> None:
        super().__init__()
        self.shape = (groups, classes)
        group = torch.arange(groups).repeat_interleave(classes)  # of each input and output
        degree = torch.arange(hidden) * groups // hidden  # the unit reads groups below this
        self.register_buffer("mask_in", (group < degree[:, None]).float())
        self.register_buffer("mask_out", (degree <= group[:, None]).float())
        self.into = nn.Linear(groups * classes, hidden)
        self.out = nn.Linear(hidden, groups * classes)

    def forward(self, z: Tensor) -> Tensor:
        weight_in = self.into.weight * self.mask_in
        weight_out = self.out.weight * self.mask_out
        h = F.silu(F.linear(z.flatten(-2), weight_in, self.into.bias))
        return F.linear(h, weight_out, self.out.bias).unflatten(-1, self.shape)


class MADE(Prior):
    """p(z) = Π_g p(z_g|z_1 … z_{g-1}) by one masked network of the spec's width."""

    space = SPACE

    def __init__(self, spec: Spec, encoder: Encoder, groups: Count = 8, classes: Size = 8) -> None:
        super().__init__()
        if encoder.space != SPACE or encoder.width != groups * classes:
            raise Unsupported(
                f"made is a prior over {groups} groups of {classes} classes, and this posterior's "
                "codes are others; give it prior.groups and prior.classes of a posterior over "
                "classes"
            )
        self.event = torch.Size((groups, classes))
        self.logits = Masked(groups, classes, spec.hidden)

    def forward(self, c: Tensor | None = None) -> Distribution:
        return Autoregression(self.logits, self.event)


@tags("discrete", "posterior")
def sqvae(
    spec: Spec,
    size: Size = 32,
    width: Count = 2,
    start: Positive = 0.5,
    hottest: Positive = 1.0,
    coldest: Positive = 0.3,
) -> VAE:
    """Each slice of the code takes a vector of a codebook by chance, the nearer the likelier.

    R + E_q(e|x) [log q(e|x) - Σ_g log (1/M) Σ_m N(e_g; b_m, σ² I)],
    P̂(z_g = m|e) ∝ N(e_g; b_m, σ² I)

    A bound on log p(x), where vq has none that draws improve: σ is learned, and as it falls the
    choice becomes the nearest vector. The codebook learns by the gradient, without running means or
    a commitment. It starts at N(0, I), and σ at `start`.

    Paper: Takida et al. 2022, "SQ-VAE: Variational Bayes on Discrete Representation with
    Self-annealed Stochastic Quantization", arXiv:2205.07547, §3 and §4.1 (Gaussian SQ-VAE with one
    variance for all), relaxed by the Gumbel-softmax as there. The two terms of its rate, of e and
    of the choice, are added up here: the sum knows no relaxed choice.
    """
    encoder = Stochastic(spec, size, width, start)
    prior = Equal(encoder.slots, size)
    return VAE(encoder, Looked(spec, encoder), prior, Cooling(hottest, coldest))


@tags("discrete", "prior")
def made(
    spec: Spec,
    groups: Count = 8,
    classes: Size = 8,
    hottest: Positive = 1.0,
    coldest: Positive = 0.3,
) -> VAE:
    """Codes are classes, under a prior whose chances of a class depend on the classes before it.

    R + E_q[log q(z|x) - Σ_g log p(z_g|z_1 … z_{g-1})]

    In training z is relaxed as in `gumbel`, whose prior has equal classes; log p(z) is then Σ z log
    p. The prior is one masked network of the spec's width. spec.latent is not used.

    Paper: Germain, Gregor, Murray & Larochelle 2015, "MADE: Masked Autoencoder for Distribution
    Estimation", arXiv:1502.03509, eqs. 8 to 10; autoregressive priors over latents: Chen et al.
    2017, "Variational Lossy Autoencoder", arXiv:1611.02731, §3.2.
    """
    encoder = Grouped(spec, groups, classes)
    prior = MADE(spec, encoder, groups, classes)
    return VAE(encoder, Write(spec, encoder.width), prior, Cooling(hottest, coldest))


@hookimpl
def vaezoo_variants() -> Variants:
    return [sqvae, made]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("made", MADE)]
