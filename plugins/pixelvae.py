"""PixelVAE: a decoder that reads, beside z, the pixels before the one that it writes.

Pixels are in raster order, channels within a pixel in theirs. A vector is an image of one row.
"""

from dataclasses import replace
from itertools import product
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.bodies import network
from vaezoo.core import VAE, Decoder, Spec, Unsupported
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count
from vaezoo.in_order import InOrder
from vaezoo.likelihoods import head, numbers_of
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, join

KERNEL = 3  # sides of all masked convolutions but the first
FIRST = 5


class MaskedConv(nn.Conv2d):
    """A convolution that reads earlier pixels, and of its own pixel the channels before.

    Channel f of F belongs to the colour ⌊f C/F⌋ of C. The first layer reads the colours below its
    own, the others those up to it: the degrees of MADE (Germain et al. 2015, arXiv:1502.03509, eqs.
    8 to 10), as van den Oord et al. 2016, arXiv:1601.06759, §3.4, masks A and B.
    """

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, side: int, colours: int, is_first: bool) -> None:
        super().__init__(inputs, outputs, side, padding=side // 2)
        of_input = torch.arange(inputs) * colours // inputs
        of_output = torch.arange(outputs) * colours // outputs
        mask = torch.zeros(outputs, inputs, side, side)
        middle = side // 2
        mask[:, :, :middle] = 1
        mask[:, :, middle, :middle] = 1
        own = of_output[:, None] - of_input
        mask[:, :, middle, middle] = ((own > 0) if is_first else (own >= 0)).float()
        self.register_buffer("mask", mask)

    def forward(self, h: Tensor) -> Tensor:
        return F.conv2d(h, self.weight * self.mask, self.bias, padding=self.padding)


class Layer(nn.Module):
    """h + conv(SiLU(conv(SiLU(h)) + z's features)), by masked convolutions."""

    def __init__(self, width: int, colours: int) -> None:
        super().__init__()
        self.first = MaskedConv(width, width, KERNEL, colours, is_first=False)
        self.last = MaskedConv(width, width, 1, colours, is_first=False)

    def forward(self, h: Tensor, of_z: Tensor) -> Tensor:
        changed: Tensor = self.last(F.silu(self.first(F.silu(h)) + of_z))
        return h + changed


class Raster(nn.Module):
    """The masked convolutions.

    The raw numbers of p(x_i|x_<i, z), (N, C·n, H, W), from x (N, C, H, W) and features of z
    (N, width, H, W).
    """

    def __init__(self, colours: int, numbers: int, width: int, layers: int) -> None:
        super().__init__()
        self.into = MaskedConv(colours, width, FIRST, colours, is_first=True)
        self.layers = nn.ModuleList(Layer(width, colours) for _ in range(layers))
        self.out = MaskedConv(width, colours * numbers, 1, colours, is_first=False)
        # rows above a pixel that its numbers depend on
        self.reach = FIRST // 2 + layers * (KERNEL // 2)

    def forward(self, x: Tensor, of_z: Tensor) -> Tensor:
        h = self.into(x) + of_z
        for layer in self.layers:
            h = layer(h, of_z)
        raw: Tensor = self.out(F.silu(h))
        return raw


class Features(nn.Module):
    """z (K, B, D) and c -> features of each pixel (K, B, *shape), by the shared network."""

    def __init__(self, spec: Spec, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.condition = spec.condition
        # the network that writes a number of each entry, for an image of as many colours
        features = replace(spec, shape=shape, likelihood="bernoulli")
        sizes = network(features)
        self.into = sizes.layer(spec.latent + spec.condition, sizes.width_of(features))
        self.act = sizes.act()
        self.body = sizes.writer(features)
        sizes.initialise(self)

    def forward(self, z: Tensor, c: Tensor | None) -> Tensor:
        z = z.flatten(2).to(self.into.weight.dtype)  # codes may be finer than the network
        flat = join(z, c, self.condition).flatten(0, 1)  # (K·B, D)
        found: Tensor = self.body(self.act(self.into(flat)).unflatten(0, z.shape[:2]))
        return found


class Pixels(InOrder):
    """Π_i p(x_i|x_1 … x_{i-1}, z), a batch of (K, B), from features of z (K, B, width, H, W)."""

    def __init__(self, decoder: "PixelCNN", of_z: Tensor) -> None:
        super().__init__(decoder.likelihood, of_z.shape[:2], decoder.shape)
        self.decoder = decoder
        self.of_z = of_z

    def raw(self, x: Tensor, batch: torch.Size) -> Tensor:
        last = len(batch) - 1
        of_z = self.of_z.expand(*batch, *self.of_z.shape[2:])
        flat = x.flatten(0, last).reshape(-1, *self.decoder.pixels)  # (K·B, C, H, W)
        return self.decoder.shaped(self.decoder.raster(flat, of_z.flatten(0, last)), batch)

    def drawn(self, batch: torch.Size) -> tuple[Tensor, Tensor]:
        """Pixel by pixel, and in it colour by colour."""
        colours, height, width = self.decoder.pixels
        of_z = self.of_z.expand(*batch, *self.of_z.shape[2:]).flatten(0, len(batch) - 1)
        x = of_z.new_zeros(len(of_z), colours, height, width)
        mean = torch.zeros_like(x)
        for row, column, colour in product(range(height), range(width), range(colours)):
            px = self._next(x, of_z, row, column, colour)
            x[:, colour, row, column] = px.sample()
            mean[:, colour, row, column] = px.mean
        whole = (*batch, *self.event_shape)
        return x.reshape(whole), mean.reshape(whole)

    def _next(self, x: Tensor, of_z: Tensor, row: int, column: int, colour: int) -> Distribution:
        """p of one number of N images, from the numbers of x (N, C, H, W) before it."""
        # the rows that it depends on, itself in the last
        top = max(0, row - self.decoder.raster.reach)
        rows = slice(top, row + 1)
        raw = self.decoder.raster(x[:, :, rows], of_z[:, :, rows])
        of_colour = raw.unflatten(1, (x.shape[1], -1))[:, colour]  # (N, n, rows, W)
        return self.of_entry(of_colour[:, :, -1, column])


class PixelCNN(Decoder):
    """p(x|z) = Π_i p(x_i|x_<i, z), by masked convolutions that read features of z at each pixel."""

    def __init__(
        self, spec: Spec, width: Annotated[int, Field(ge=3)] = 16, layers: Count = 2
    ) -> None:
        super().__init__()
        if spec.is_sequence:
            raise Unsupported("pixelvae writes the pixels of an image; a sequence has none")
        if spec.has_gaps:
            raise Unsupported("pixelvae reads the pixels before each; this data has gaps")
        self.shape = spec.shape
        self.pixels = spec.shape if spec.is_image else (1, 1, spec.size)
        if self.pixels[0] > width:
            raise Unsupported(
                f"pixelvae needs a channel for each colour; this data has {self.pixels[0]}, and "
                f"width is {width}: choose a larger one"
            )
        self.numbers = numbers_of(spec)
        self.width = spec.latent
        self.features = Features(spec, (width, *self.pixels[1:]))
        self.raster = Raster(self.pixels[0], self.numbers, width, layers)
        self.likelihood = head(spec)
        if self.likelihood.mixes:
            raise Unsupported(
                "pixelvae writes entries of one kind; columns of this data have laws of their own"
            )

    def forward(self, z: Tensor, c: Tensor | None = None) -> Distribution:
        return Pixels(self, self.features(z, c))

    def shaped(self, raw: Tensor, batch: torch.Size) -> Tensor:
        """(K·B, C·n, H, W) -> (K, B, *shape[, n])."""
        if self.numbers == 1:
            return raw.reshape(*batch, *self.shape)
        raw = raw.unflatten(1, (-1, self.numbers)).movedim(2, -1)  # (K·B, C, H, W, n)
        return raw.reshape(*batch, *self.shape, self.numbers)


@tags("likelihood", "heavy")
def pixelvae(spec: Spec, width: Annotated[int, Field(ge=3)] = 16, layers: Count = 2) -> VAE:
    """A pixel is written with a look at z and at the pixels before it.

    R + KL, p(x|z) = Π_i p(x_i|x_1 … x_{i-1}, z)

    What lies near a pixel tells its texture, and z is left what is far: more `layers` of masked
    convolutions leave z less, and KL falls. The mean of p(x|z) has no closed form: where one is
    asked for, it is the means of p(x_i|x_<i, z) along one draw of x, which are right in the mean
    and noisier. A draw takes a pass for each number of x.

    Paper: Gulrajani et al. 2017, "PixelVAE: A Latent Variable Model for Natural Images",
    arXiv:1611.05013, §3.1. There gated layers of two stacks (PixelCNN) see all pixels before; here
    one stack of residual masked convolutions (van den Oord et al. 2016, arXiv:1601.06759, §3.4)
    does not see some to the upper right. z comes in by the shared network, at each pixel.
    """
    return VAE(Gaussian(spec), PixelCNN(spec, width, layers), StandardNormal(spec), ELBO())


@hookimpl
def vaezoo_variants() -> Variants:
    return [pixelvae]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("pixelcnn", PixelCNN)]
