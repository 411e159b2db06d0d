"""A deep hierarchy: top-down residual blocks at every scale of the image, each with a latent."""

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.core import Latent, Loss, Model, Spec, Trace, Unsupported
from vaezoo.distributions import draw, normal
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.hyperparameters import Count
from vaezoo.likelihoods import head, numbers_of
from vaezoo.losses import EveryRate
from vaezoo.steps import without_gaps

Size = tuple[int, int]
FLAT = 2  # sides up to which a block's convolutions are 1×1, as in the paper


def scales(height: int, width: int) -> list[Size]:
    """The sizes from 1×1 to the image's own, each half of the next, rounded up."""
    found = [(height, width)]
    while found[-1] != (1, 1):
        h, w = found[-1]
        found.append(((h + 1) // 2, (w + 1) // 2))
    return found[::-1]


def halved(h: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, ⌈H/2⌉, ⌈W/2⌉), by means."""
    return F.avg_pool2d(h, 2, ceil_mode=True, count_include_pad=False)


def doubled(h: Tensor, size: Size) -> Tensor:
    """(N, C, …) -> (N, C, *size), each number in the place of four."""
    h = h.repeat_interleave(2, -2).repeat_interleave(2, -1)
    return h[..., : size[0], : size[1]]


class Block(nn.Sequential):
    """(N, inputs, *size) -> (N, outputs, *size), by four convolutions through half the width.

    `share` scales the last one's first weights, so that many blocks add up to what one would.
    """

    def __init__(self, inputs: int, width: int, outputs: int, size: Size, share: float) -> None:
        middle = max(1, width // 2)
        side, pad = (1, 0) if max(size) <= FLAT else (3, 1)
        last = nn.Conv2d(middle, outputs, 1)
        super().__init__(
            nn.SiLU(),
            nn.Conv2d(inputs, middle, 1),
            nn.SiLU(),
            nn.Conv2d(middle, middle, side, padding=pad),
            nn.SiLU(),
            nn.Conv2d(middle, middle, side, padding=pad),
            nn.SiLU(),
            last,
        )
        with torch.no_grad():
            last.weight.mul_(share)


def gaussian(raw: Tensor, k: int) -> Distribution:
    """N(μ, σ²) over (C, H, W), a batch of (K, B), from raw (K·B, 2 C, H, W); σ ≥ 0.001."""
    loc, raw_scale = raw.unflatten(0, (k, -1)).chunk(2, -3)
    return normal(loc, F.softplus(raw_scale) + 1e-3, 3)


class TopDown(nn.Module):
    """One layer: q(z|h, x), p(z|h), and what h becomes with z.

    z has ⌊latent / pixels⌋ channels, and one at least.
    """

    def __init__(self, width: int, latent: int, size: Size, share: float) -> None:
        super().__init__()
        channels = max(1, latent // (size[0] * size[1]))
        self.size = size
        self.channels = channels
        self.posterior = Block(2 * width, width, 2 * channels, size, 1.0)
        self.prior = Block(width, width, 2 * channels + width, size, share)
        self.project = nn.Conv2d(channels, width, 1)
        self.after = Block(width, width, width, size, share)
        with torch.no_grad():
            self.project.weight.mul_(share)

    def p(self, h: Tensor, k: int) -> tuple[Distribution, Tensor]:
        """p(z|h), and the features (K·B, width, *size) that are added to h beside z."""
        raw, features = self.prior(h).split([2 * self.channels, h.shape[1]], 1)
        return gaussian(raw, k), features

    def q(self, h: Tensor, seen: Tensor, k: int) -> Distribution:
        return gaussian(self.posterior(torch.cat([h, seen], 1)), k)

    def forward(self, h: Tensor, features: Tensor, z: Tensor) -> Tensor:
        """h after this layer, from z (K, B, C, *size)."""
        h = h + features + self.project(z.flatten(0, 1))
        changed: Tensor = h + self.after(h)
        return changed


class VeryDeep(Model):
    """p(z_1) Π_l p(z_l|z_<l) p(x|z), q(z_1|x) Π_l q(z_l|z_<l, x), from 1×1 to the image's size.

    The deepest latent, z_1 at 1×1, comes first in `Trace.latents`. A vector is an image of one
    pixel, whose layers are all at 1×1.
    """

    def __init__(self, spec: Spec, width: int, layers: int, loss: Loss) -> None:
        super().__init__(loss)
        self.spec = spec
        self.pixels = spec.shape if spec.is_image else (spec.size, 1, 1)
        colours, high, wide = self.pixels
        self.numbers = numbers_of(spec)
        self.sizes = scales(high, wide)
        share = (len(self.sizes) * layers) ** -0.5

        self.into = nn.Conv2d(colours, width, 1 if high == wide == 1 else 3, padding="same")
        self.up = nn.ModuleList(Block(width, width, width, size, share) for size in self.sizes)
        self.start = nn.Parameter(torch.zeros(1, width, 1, 1))
        each = [size for size in self.sizes for _ in range(layers)]
        self.down = nn.ModuleList(TopDown(width, spec.latent, size, share) for size in each)
        self.out = nn.Conv2d(width, colours * self.numbers, 1)
        self.likelihood = head(spec)
        loss.check(self)

    def seen(self, x: Tensor) -> dict[Size, Tensor]:
        """What x says at each size, (B, width, *size)."""
        h = self.into(without_gaps(x, self.spec).reshape(len(x), *self.pixels))
        found = {}
        for size, block in zip(reversed(self.sizes), reversed(self.up), strict=True):
            h = h if h.shape[-2:] == size else halved(h)
            h = h + block(h)
            found[size] = h
        return found

    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        seen = self.seen(x)
        many = {size: h.repeat(k, 1, 1, 1) for size, h in seen.items()}  # (K·B, width, *size)
        h = self.start.expand(k * len(x), -1, -1, -1)
        latents = []
        for layer in self._layers():
            h = self._at(h, layer.size)
            q = layer.q(h, many[layer.size], k)
            p, features = layer.p(h, k)
            z, log_q = draw(q)
            latents.append(Latent(z, log_q, q, p))
            h = layer(h, features, z)
        return Trace(x, self._px(h, k), tuple(latents))

    def given(self, zs: Sequence[Tensor]) -> tuple[Tensor, Distribution]:
        """log p(z), (K, B), and p(x|z), of latents z_l (K, B, *event), the deepest first."""
        k, rows = zs[0].shape[:2]
        h = self.start.expand(k * rows, -1, -1, -1)
        total = zs[0].new_zeros(k, rows)
        for layer, z in zip(self._layers(), zs, strict=True):
            h = self._at(h, layer.size)
            p, features = layer.p(h, k)
            total = total + p.log_prob(z)
            h = layer(h, features, z)
        return total, self._px(h, k)

    def draw_px(self, n: int, c: Tensor | None = None) -> Distribution:
        h = self.start.expand(n, -1, -1, -1)
        for layer in self._layers():
            h = self._at(h, layer.size)
            p, features = layer.p(h, 1)
            h = layer(h, features, p.sample())
        return self._px(h, 1)

    def _layers(self) -> list[TopDown]:
        return [layer for layer in self.down if isinstance(layer, TopDown)]

    def _at(self, h: Tensor, size: Size) -> Tensor:
        return h if h.shape[-2:] == size else doubled(h, size)

    def _px(self, h: Tensor, k: int) -> Distribution:
        raw = self.out(F.silu(h)).unflatten(0, (k, -1))  # (K, B, C·n, H, W)
        if self.numbers > 1:
            raw = raw.unflatten(2, (-1, self.numbers)).movedim(3, -1)  # (K, B, C, H, W, n)
            return self.likelihood(raw.reshape(*raw.shape[:2], *self.spec.shape, self.numbers))
        return self.likelihood(raw.reshape(*raw.shape[:2], *self.spec.shape))


@tags("hierarchical", "heavy")
def vdvae(spec: Spec, width: Annotated[int, Field(ge=0)] = 0, layers: Count = 2) -> VeryDeep:
    """Latents at every scale of the image, from one pixel to all, each read by those below it.

    R + Σ_l KL(q(z_l|z_<l, x) ‖ p(z_l|z_<l))

    There are `layers` at each of the sizes 1×1, … H×W, every one of them half of the next. A layer
    adds to the state h its prior's features and a projection of z, and then a residual block. At
    each size the latents of a layer have ⌊spec.latent / pixels⌋ channels, and one at least: as many
    numbers as spec.latent or fewer (of 10, 8 at 2×2), or one a pixel where that is more.
    history.csv has the rate of each layer. The networks are its own, of `width` channels; where
    that is 0, of a quarter of the spec's hidden width.

    Paper: Child 2021, "Very Deep VAEs Generalize Autoregressive Models and Can Outperform Them on
    Images", arXiv:2011.10650, §3 and fig. 3, with 1×1 convolutions at small sizes and the last
    weights of each block scaled by 1/√N. There q and p are as wide as h, up to 78 layers, and steps
    with a large gradient are skipped; here the trainer clips it.
    """
    if spec.is_sequence:
        raise Unsupported("vdvae halves the sides of an image; a sequence has none")
    if spec.condition:
        raise Unsupported("vdvae reads no label; this model is conditioned on one")
    return VeryDeep(spec, width or max(1, spec.hidden // 4), layers, EveryRate())


@hookimpl
def vaezoo_variants() -> Variants:
    return [vdvae]
