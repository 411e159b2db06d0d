"""A decoder for vectors in which an entry is written with a look at those before it."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.core import VAE, Decoder, Spec, Unsupported
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.in_order import InOrder
from vaezoo.likelihoods import head, numbers_of
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, Raw, StandardNormal


class Masked(nn.Module):
    """Raw numbers (N, D, n) from x (N, D) and z: those of entry d read x_1 … x_{d-1} alone.

    Germain et al. 2015, eqs. 8 to 10, with §4.2's direct connections A from input to output: a
    hidden unit has a degree, reads the entries below it, and is read by the entries from it on.
    """

    mask_in: Tensor
    mask_out: Tensor
    mask_straight: Tensor

    def __init__(self, entries: int, numbers: int, latent: int, hidden: int) -> None:
        super().__init__()
        self.shape = (entries, numbers)
        entry = torch.arange(entries)
        degree = torch.arange(hidden) * entries // hidden
        written = entry.repeat_interleave(numbers)
        self.register_buffer("mask_in", (entry < degree[:, None]).float())
        self.register_buffer("mask_out", (degree <= written[:, None]).float())
        self.register_buffer("mask_straight", (entry < written[:, None]).float())
        self.read_x = nn.Linear(entries, hidden)
        self.read_z = nn.Linear(latent, hidden, bias=False)
        self.out = nn.Linear(hidden, entries * numbers, bias=False)
        self.straight = nn.Linear(entries, entries * numbers, bias=False)
        # nothing is said of x at first: training starts at the decoder that reads z alone
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.straight.weight)

    def weights(self) -> tuple[Tensor, Tensor, Tensor]:
        """Into the hidden units (H, D), out of them and straight on (D·n, H) and (D·n, D)."""
        into = self.read_x.weight * self.mask_in
        out = self.out.weight * self.mask_out
        straight = self.straight.weight * self.mask_straight
        return into, out, straight

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        into, out, straight = self.weights()
        h = F.silu(F.linear(x, into, self.read_x.bias) + self.read_z(z))
        return (F.linear(h, out) + F.linear(x, straight)).unflatten(-1, self.shape)


class Written(InOrder):
    """The decoder's p(x|z), from z (K, B, D) and the numbers that z alone gives."""

    def __init__(self, decoder: "MADE", z: Tensor, of_z: Tensor) -> None:
        super().__init__(decoder.likelihood, z.shape[:2], decoder.spec.shape)
        self.decoder = decoder
        self.z = z
        self.of_z = of_z  # (K, B, D, n)

    def raw(self, x: Tensor, batch: torch.Size) -> Tensor:
        flat = x.flatten(len(batch)).to(self.of_z.dtype)
        found = self.of_z + self.decoder.masked(flat, self.z)
        return found.reshape(*batch, *self.decoder.raw_shape)

    def drawn(self, batch: torch.Size) -> tuple[Tensor, Tensor]:
        """Entry by entry: a new one is added to what hidden units and later entries read."""
        masked = self.decoder.masked
        entries, numbers = masked.shape
        into, out, straight = (weight.T for weight in masked.weights())
        hidden = self._rows(masked.read_z(self.z) + masked.read_x.bias, batch)  # (N, H)
        raw = self._rows(self.of_z.flatten(2), batch)  # (N, D·n)
        x = raw.new_zeros(len(raw), entries)
        mean = torch.zeros_like(x)
        for d in range(entries):
            own = slice(d * numbers, (d + 1) * numbers)
            entry = self.of_entry(raw[:, own] + F.silu(hidden) @ out[:, own])
            x[:, d] = entry.sample()
            mean[:, d] = entry.mean
            seen = x[:, d, None]
            hidden = hidden + seen * into[d]
            raw = raw + seen * straight[d]
        whole = (*batch, *self.event_shape)
        return x.reshape(whole), mean.reshape(whole)

    def _rows(self, of_z: Tensor, batch: torch.Size) -> Tensor:
        """(K, B, F) -> (N, F), a row for each draw."""
        return of_z.expand(*batch, -1).flatten(0, -2)


class MADE(Raw, Decoder):
    """p(x|z) = Π_d p(x_d|x_1 … x_{d-1}, z): the shared decoder's numbers and a masked network's."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        if spec.is_sequence:
            raise Unsupported(
                "made writes the entries of a vector in order; for a sequence choose a variant "
                "that has steps, such as vrnn"
            )
        if spec.has_gaps:
            raise Unsupported("made reads the entries before each; this data has gaps")
        self.likelihood = head(spec)
        if self.likelihood.mixes:
            raise Unsupported(
                "made writes entries of one kind; columns of this data have laws of their own"
            )
        numbers = numbers_of(spec)
        self.raw_shape = spec.shape if numbers == 1 else (*spec.shape, numbers)
        self.masked = Masked(spec.size, numbers, spec.latent, spec.hidden)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Distribution:
        of_z = self.raw(z, c).reshape(*z.shape[:2], *self.masked.shape)
        return Written(self, z.to(of_z.dtype), of_z)


@tags("likelihood")
def made_decoder(spec: Spec) -> VAE:
    """An entry is written with a look at z and, by a masked network, at the entries before it.

    R + KL, p(x|z) = Π_d p(x_d|x_1 … x_{d-1}, z)

    What one entry tells of the next need not pass through z, so z is left with less, and KL falls.
    An image is a vector in raster order: `pixelvae` has convolutions for it. The mean of p(x|z) has
    no closed form: where one is asked for, it is the means of p(x_d|x_<d, z) along one draw of x,
    which are right in the mean and noisier.

    Paper: Germain, Gregor, Murray & Larochelle 2015, "MADE: Masked Autoencoder for Distribution
    Estimation", arXiv:1502.03509, eqs. 8 to 10 and §4.2; as a decoder: Chen et al. 2017,
    "Variational Lossy Autoencoder", arXiv:1611.02731, §2.2. One order and one hidden layer of the
    spec's width, no sampled masks.
    """
    return VAE(Gaussian(spec), MADE(spec), StandardNormal(spec), ELBO())


@hookimpl
def vaezoo_variants() -> Variants:
    return [made_decoder]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("made", MADE)]
