"""NVAE in small: residual cells, a posterior relative to the prior, and bounded layers.

KL, singular values and balancing are functions of their own, as the tests ask for them.
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, distributions as D, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.core import Latent, Loss, Model, Spec, Terms, Trace, Unsupported
from vaezoo.distributions import Normals, draw, normal
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, Fraction, NonNegative
from vaezoo.likelihoods import head, numbers_of
from vaezoo.losses import ELBO
from vaezoo.steps import without_gaps

Size = tuple[int, int]
POWER = 4  # iterations of a step, as in the authors' code
LEAST = 0.01  # nats added to each group's KL before they are balanced, as there
SHARE = 0.1  # of a cell in its sum with what it reads, as there
REACH = 5.0  # of log σ


class Residual(Normals):
    """q = N(μ + Δμ, (σ Δσ)²), relative to p = N(μ, σ²), over an event (C, H, W)."""

    def __init__(self, p: Normals, shift: Tensor, log_ratio: Tensor) -> None:
        base = p.base_dist
        super().__init__(base.loc + shift, base.scale * log_ratio.exp(), 3)
        self.of = p
        self.shift = shift
        self.log_ratio = log_ratio


@D.register_kl(Residual, Normals)
def residual_kl(q: Residual, p: Normals) -> Tensor:
    """Σ ½ (Δμ²/σ² + Δσ² - log Δσ² - 1) where q is relative to this p, eq. 2."""
    if q.of is not p:
        return D.kl_divergence(Normals(q.base_dist.loc, q.base_dist.scale, 3), p)
    moved = (q.shift / p.base_dist.scale).square()
    of_each = 0.5 * (moved + torch.expm1(2 * q.log_ratio)) - q.log_ratio
    return of_each.sum((-3, -2, -1))


class Conv(nn.Conv2d):
    """A convolution that knows the largest singular value of its weight (outputs, rest)."""

    u: Tensor

    def __init__(
        self, inputs: int, outputs: int, side: int, groups: int = 1, bias: bool = True
    ) -> None:
        super().__init__(inputs, outputs, side, padding=side // 2, groups=groups, bias=bias)
        self.register_buffer("u", F.normalize(torch.randn(outputs), dim=0))

    def largest(self, iterations: int = POWER) -> Tensor:
        """u·W v, a scalar, after so many power iterations from where the last call ended."""
        weight = self.weight.flatten(1)
        with torch.no_grad():
            u = self.u
            for _ in range(iterations):
                v = F.normalize(weight.T @ u, dim=0)
                u = F.normalize(weight @ v, dim=0)
            if self.training:
                self.u.copy_(u)
        return u @ weight @ v


class Norm(nn.BatchNorm2d):
    """A batch norm; of one number a channel, which has no deviation, by the running moments.

    With no `shift` it adds nothing: the next batch norm would take it off.
    """

    def __init__(self, width: int, shift: bool = True) -> None:
        super().__init__(width)
        if not shift:
            self.register_parameter("bias", None)

    def forward(self, h: Tensor) -> Tensor:
        is_batch = self.training and h.numel() > h.shape[1]
        moments = (self.running_mean, self.running_var, self.weight, self.bias)
        return F.batch_norm(h, *moments, is_batch, 0.1, self.eps)


class Gate(nn.Module):
    """Squeeze and excitation: each channel of (N, C, H, W) times what the channels' means say."""

    def __init__(self, width: int) -> None:
        super().__init__()
        middle = max(4, width // 16)
        self.into = nn.Linear(width, middle)
        self.out = nn.Linear(middle, width)

    def forward(self, h: Tensor) -> Tensor:
        said = self.out(F.relu(self.into(h.mean((-2, -1)))))
        return h * said.sigmoid()[..., None, None]


def inference(width: int, size: Size) -> nn.Sequential:
    """The body of an encoder's cell, fig. 3b: two convolutions, 1×1 where x is a vector.

    A convolution before a batch norm has no bias, here and in `generation`.
    """
    side = 1 if size == (1, 1) else 3
    first = [Norm(width), nn.SiLU(), Conv(width, width, side, bias=False)]
    second = [Norm(width), nn.SiLU(), Conv(width, width, side)]
    return nn.Sequential(*first, *second, Gate(width))


def generation(width: int, expand: int, size: Size) -> nn.Sequential:
    """The body of a decoder's cell, fig. 3a, with a depthwise 5×5 convolution.

    It has `expand` times the width. Where x is a vector it is a perceptron, without convolution.
    """
    middle = expand * width
    into = [Norm(width, shift=False), Conv(width, middle, 1, bias=False), Norm(middle), nn.SiLU()]
    across = [Conv(middle, middle, 5, middle, bias=False), Norm(middle), nn.SiLU()]
    out = [Conv(middle, width, 1, bias=False), Norm(width), Gate(width)]
    return nn.Sequential(*into, *([] if size == (1, 1) else across), *out)


class Cell(nn.Module):
    """h + 0.1 body(h)."""

    def __init__(self, body: nn.Sequential) -> None:
        super().__init__()
        self.body = body

    def forward(self, h: Tensor) -> Tensor:
        changed: Tensor = h + SHARE * self.body(h)
        return changed


class Group(nn.Module):
    """One group of latents: p(z|h), q(z|h, x), and what h becomes with z.

    z has ⌊latent / pixels⌋ channels, and one at least. p of the first is N(0, I).
    """

    def __init__(self, width: int, latent: int, size: Size, expand: int, is_first: bool) -> None:
        super().__init__()
        self.size = size
        self.channels = max(1, latent // (size[0] * size[1]))
        self.is_first = is_first
        self.before = nn.Identity() if is_first else Cell(generation(width, expand, size))
        self.prior = None if is_first else Conv(width, 2 * self.channels, 1)
        self.beside = Conv(width, width, 1)
        self.posterior = Conv(width, 2 * self.channels, 1 if size == (1, 1) else 3)
        self.combine = Conv(width + self.channels, width, 1)

    def p(self, h: Tensor, k: int) -> Normals:
        if self.prior is None:
            zero = h.new_zeros(k, len(h) // k, self.channels, *self.size)
            return normal(zero, torch.ones_like(zero), 3)
        loc, log_scale = halves(self.prior(F.elu(h)), k)
        return normal(loc, log_scale.exp(), 3)

    def q(self, h: Tensor, seen: Tensor, p: Normals, k: int) -> Residual:
        shift, log_ratio = halves(self.posterior(F.elu(seen + self.beside(h))), k)
        return Residual(p, shift, log_ratio)

    def forward(self, h: Tensor, z: Tensor) -> Tensor:
        """h after this group, from z (K, B, C, *size)."""
        combined: Tensor = self.combine(torch.cat([h, z.flatten(0, 1)], 1))
        return combined


def halves(raw: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """(K·B, 2 C, H, W) -> two of (K, B, C, H, W), the second within ±5."""
    first, second = raw.unflatten(0, (k, -1)).chunk(2, -3)
    return first, REACH * torch.tanh(second / REACH)


def halved(h: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, ⌈H/2⌉, ⌈W/2⌉), by means."""
    return F.avg_pool2d(h, 2, ceil_mode=True, count_include_pad=False)


def sizes_of(height: int, width: int, scales: int) -> list[Size]:
    """The sizes of latents, the smallest first: half the image's own, half of that, …"""
    found: list[Size] = []
    h, w = height, width
    for _ in range(scales):
        h, w = (h + 1) // 2, (w + 1) // 2
        if found[-1:] != [(h, w)]:
            found.append((h, w))
    return found[::-1]


class NVAE(Model):
    """p(z_1) Π_l p(z_l|z_<l) p(x|z), q(z_1|x) Π_l q(z_l|z_<l, x), `groups` at each of few sizes.

    The deepest latent comes first in `Trace.latents`. A vector is an image of one pixel.
    """

    def __init__(
        self, spec: Spec, width: int, sizes: Sequence[Size], groups: int, expand: int, loss: Loss
    ) -> None:
        super().__init__(loss)
        self.spec = spec
        self.pixels = spec.shape if spec.is_image else (spec.size, 1, 1)
        colours, high, wide = self.pixels
        own = (high, wide)
        side = 1 if own == (1, 1) else 3
        self.numbers = numbers_of(spec)
        each = [size for size in sizes for _ in range(groups)]

        self.into = Conv(colours, width, side)
        self.first = Cell(inference(width, own))
        self.up = nn.ModuleList(Cell(inference(width, size)) for size in each)
        self.start = nn.Parameter(torch.zeros(1, width, *sizes[0]))
        self.down = nn.ModuleList(
            Group(width, spec.latent, size, expand, not i) for i, size in enumerate(each)
        )
        self.last = Cell(generation(width, expand, own))
        self.out = Conv(width, colours * self.numbers, side)
        self.likelihood = head(spec)
        loss.check(self)

    @property
    def groups(self) -> list[Group]:
        return [group for group in self.down if isinstance(group, Group)]

    def seen(self, x: Tensor) -> list[Tensor]:
        """What x says to each group, (B, width, *size)."""
        x = without_gaps(x, self.spec).reshape(len(x), *self.pixels)
        h = self.first(self.into(x))
        found = []
        for group, cell in zip(reversed(self.groups), reversed(self.up), strict=True):
            h = cell(h if h.shape[-2:] == group.size else halved(h))
            found.append(h)
        return found[::-1]

    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        h = self._start(k * len(x))
        latents = []
        for group, seen in zip(self.groups, self.seen(x), strict=True):
            h = self._at(group, h)
            p = group.p(h, k)
            q = group.q(h, seen.repeat(k, 1, 1, 1), p, k)  # (K·B, width, *size)
            z, log_q = draw(q)
            latents.append(Latent(z, log_q, q, p))
            h = group(h, z)
        return Trace(x, self._px(h, k), tuple(latents))

    def given(self, zs: Sequence[Tensor]) -> tuple[Tensor, Distribution]:
        """log p(z), (K, B), and p(x|z), of latents z_l (K, B, *event), the deepest first."""
        k, rows = zs[0].shape[:2]
        h = self._start(k * rows)
        total = zs[0].new_zeros(k, rows)
        for group, z in zip(self.groups, zs, strict=True):
            h = self._at(group, h)
            total = total + group.p(h, k).log_prob(z)
            h = group(h, z)
        return total, self._px(h, k)

    def draw_px(self, n: int, c: Tensor | None = None) -> Distribution:
        h = self._start(n)
        for group in self.groups:
            h = self._at(group, h)
            h = group(h, group.p(h, 1).sample())
        return self._px(h, 1)

    def _start(self, rows: int) -> Tensor:
        return self.start.expand(rows, -1, -1, -1)

    def _at(self, group: Group, h: Tensor) -> Tensor:
        """h as the group reads it: at its size, after its cell."""
        h = h if h.shape[-2:] == group.size else F.interpolate(h, group.size)
        changed: Tensor = group.before(h)
        return changed

    def _px(self, h: Tensor, k: int) -> Distribution:
        own = self.pixels[1:]
        h = self.last(h if h.shape[-2:] == own else F.interpolate(h, own))
        raw = self.out(F.elu(h)).unflatten(0, (k, -1))  # (K, B, C·n, H, W)
        if self.numbers > 1:
            raw = raw.unflatten(2, (-1, self.numbers)).movedim(3, -1)  # (K, B, C, H, W, n)
            return self.likelihood(raw.reshape(*raw.shape[:2], *self.spec.shape, self.numbers))
        return self.likelihood(raw.reshape(*raw.shape[:2], *self.spec.shape))


def largest(model: nn.Module) -> Tensor:
    """Σ of the largest singular values of its convolutions, and of max |γ| of its batch norms."""
    convolutions = [part.largest() for part in model.modules() if isinstance(part, Conv)]
    norms = [part.weight.abs().max() for part in model.modules() if isinstance(part, Norm)]
    return torch.stack(convolutions + norms).sum()


def balance(rates: Tensor, numbers: Tensor) -> Tensor:
    """γ (L,) with a mean of 1, from the rates in nats and the numbers of the groups' latents."""
    each = (rates.detach() + LEAST) / numbers
    return len(each) * each / each.sum()


class Bounded(ELBO):
    """R + β(t) Σ_l γ_l KL_l + λ Σ_i s_i, γ and β 1 after warm-up.

    Early stopping watches R + Σ_l KL_l.
    """

    def __init__(self, until: float, smooth: float) -> None:
        super().__init__()
        self.until = until
        self.smooth = smooth

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = model.infer(x, c)
        rates = torch.stack([latent.kl.mean() for latent in trace.latents])
        distortion = -trace.log_px.mean()
        rate = trace.kl.mean()

        weighed = rate
        if progress < self.until:
            numbers = [latent.z.shape[2:].numel() for latent in trace.latents]
            more = balance(rates, rates.new_tensor(numbers)) - 1
            weighed = (progress / self.until) * (rate + (more * rates).sum())
        norm = largest(model)
        terms = {
            "loss": distortion + weighed + self.smooth * norm,
            "monitor": (distortion + rate).detach(),
            "distortion": distortion,
            "rate": rate,
            "largest": norm.detach(),
        }
        for i, one in enumerate(rates.detach(), 1):
            terms[f"rate_{i}"] = one
        return terms


@tags("hierarchical", "heavy")
def nvae(
    spec: Spec,
    width: Annotated[int, Field(ge=0)] = 0,
    scales: Count = 2,
    groups: Count = 2,
    expand: Count = 3,
    until: Fraction = 0.3,
    smooth: NonNegative = 1e-2,
) -> NVAE:
    """Groups of latents at few sizes, with residual cells and a posterior relative to the prior.

    R + β(t) Σ_l γ_l KL_l + λ Σ_i s_i, q(z_l|z_<l, x) = N(μ_l + Δμ_l, (σ_l Δσ_l)²) where p(z_l|z_<l)
    = N(μ_l, σ_l²), so that KL_l = ½ (Δμ_l²/σ_l² + Δσ_l² - log Δσ_l² - 1)

    s_i is the largest singular value of a layer, by power iteration, or the largest factor of a
    batch norm; λ is `smooth`. β rises to 1 over the first part `until` of the training. Until then
    γ_l is the batch's KL_l by the numbers of its latents, over the mean of that. There are `groups`
    of latents at each of the sizes H/2 × W/2, H/4 × W/4, … (`scales` of them), with ⌊spec.latent /
    pixels⌋ channels, and one at least. A decoder's cell expands the width `expand` times and has a
    depthwise convolution; where x is a vector, cells are perceptrons. history.csv has the rate of
    each group. The networks are its own, of `width` channels; where that is 0, of a quarter of the
    spec's hidden width.

    Paper: Vahdat & Kautz 2020, "NVAE: A Deep Hierarchical Variational Autoencoder",
    arXiv:2007.03898, §3.1 to §3.3, eq. 2 and appendix A, whose γ is proportional to the size by a
    slip of the pen: the authors' code divides. There up to 36 groups, cells as wide again at each
    smaller size, expanded 6 times, weights normalised, and flows in q; here none, sizes are halved
    by means and doubled by repeating, and batch norms move a tenth a step, theirs a twentieth.
    """
    if spec.is_sequence:
        raise Unsupported("nvae halves the sides of an image; a sequence has none")
    if spec.condition:
        raise Unsupported("nvae reads no label; this model is conditioned on one")
    _, high, wide = spec.shape if spec.is_image else (0, 1, 1)
    sizes = sizes_of(high, wide, scales)
    width = width or max(1, spec.hidden // 4)
    return NVAE(spec, width, sizes, groups, expand, Bounded(until, smooth))


@hookimpl
def vaezoo_variants() -> Variants:
    return [nvae]
