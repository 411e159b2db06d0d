"""Discrete codes by rounding: to a codebook (VQ), or each number to a few levels (FSQ)."""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from vaezoo.codebooks import WHY, Commitment, Entries, Rounded, Size, followed, slots_of
from vaezoo.core import VAE, Encoder, Prior, Spec
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, Fraction, NonNegative
from vaezoo.networks import Read, Write

SPACE = "codebook"


class Codebook(Prior):
    """M vectors, and the prior over the codes of G slots.

    The prior is uniform in training; `fit` sets it to the codes' frequencies.

    The vectors follow the running mean of what is rounded to them; one that is hardly used starts
    again at a random e.
    """

    space = SPACE
    vectors: Tensor
    counts: Tensor
    sums: Tensor
    log_frequency: Tensor

    def __init__(self, slots: int, size: int, width: int, decay: float, dead: float) -> None:
        super().__init__()
        self.decay = decay
        self.dead = dead
        start = 0.3 * torch.randn(size, width)
        self.register_buffer("vectors", start)
        self.register_buffer("counts", torch.ones(size))
        self.register_buffer("sums", start.clone())
        self.register_buffer("log_frequency", torch.full((slots, size), -math.log(size)))

    def forward(self, c: Tensor | None = None) -> Entries:
        slots = len(self.log_frequency)
        return Entries(self.vectors.expand(slots, -1, -1), self.log_frequency)

    def update(self, e: Tensor, index: Tensor) -> None:
        """One step of the running means, from e (B, G, W) and its codes (B, G)."""
        rows = e.detach().flatten(0, 1)  # (B·G, W)
        counts, sums = followed(
            self.counts, self.sums, rows, index.flatten(), self.decay, self.dead
        )
        self.counts.copy_(counts)
        self.sums.copy_(sums)
        self.vectors.copy_(self.sums / self.counts[:, None])

    def fit(self, z: Tensor) -> None:
        self.log_frequency.copy_(self().counted(z))


class Quantiser(Encoder):
    """The nearest codebook vector to each of G slices of e(x); training moves the codebook."""

    no_density = WHY
    is_one_code = True
    space = SPACE

    def __init__(self, spec: Spec, book: Codebook) -> None:
        super().__init__()
        self.net = Read(spec, spec.latent)
        self.book = book
        self.slots = len(book.log_frequency)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Rounded:
        e = self.net(x, c).unflatten(-1, (self.slots, -1))  # (B, G, W)
        vectors = self.book.vectors.clone()  # `update` moves the book's
        index = self.book().index(e)
        if self.training:
            self.book.update(e, index)
        rounded = vectors[index]
        z = e + (rounded - e).detach()
        return Rounded(z, 2, e, rounded, index.flatten(), len(vectors))


class Grid(Prior):
    """The prior over D slots of L levels each, equally spaced in [-1, 1].

    It is uniform in training; `fit` sets it to the levels' frequencies.
    """

    space = SPACE
    values: Tensor
    log_frequency: Tensor

    def __init__(self, spec: Spec, levels: int) -> None:
        super().__init__()
        grid = (torch.arange(levels) - levels // 2) / max(1, levels // 2)
        self.register_buffer("values", grid)
        self.register_buffer("log_frequency", torch.full((spec.latent, levels), -math.log(levels)))

    def forward(self, c: Tensor | None = None) -> Entries:
        slots = len(self.log_frequency)
        return Entries(self.values.expand(slots, -1), self.log_frequency)

    def fit(self, z: Tensor) -> None:
        self.log_frequency.copy_(self().counted(z))


class Scalar(Encoder):
    """round(f(e)) / ⌊L/2⌋, with f a stretched tanh.

    For an even L the tanh is shifted, so that exactly L levels are reached.

    e is standardised over the batch first (in evaluation by running statistics). A fresh network
    gives numbers near 0, all rounded to one level, and then tends to push all of them into the same
    end of the tanh, where it stays.
    """

    no_density = WHY
    is_one_code = True
    space = SPACE

    def __init__(self, spec: Spec, levels: int) -> None:
        super().__init__()
        self.net = Read(spec, spec.latent)
        self.levels = levels
        self.spread = nn.BatchNorm1d(spec.latent, affine=False)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Rounded:
        half = self.levels // 2
        reach = (self.levels - 1) * (1 - 1e-3) / 2
        offset = 0.0 if self.levels % 2 else 0.5
        shift = math.atanh(offset / reach)
        bounded = torch.tanh(self._standardised(self.net(x, c)) + shift) * reach - offset
        level = bounded.detach().round()
        e = bounded / half
        rounded = level / half
        index = (level.long() + half).flatten()
        return Rounded(e + (rounded - e).detach(), 1, e, rounded, index, self.levels)

    def _standardised(self, e: Tensor) -> Tensor:
        """(B, D). One row alone has no spread: it is read by the running one, in training too."""
        if self.training and len(e) == 1:
            running = self.spread.running_mean, self.spread.running_var
            return F.batch_norm(e, *running, eps=self.spread.eps)
        return self.spread(e)


@tags("discrete", "deterministic")
def vq(
    spec: Spec,
    size: Size = 32,
    width: Count = 2,
    beta: NonNegative = 0.25,
    decay: Fraction = 0.99,
    dead: NonNegative = 0.1,
) -> VAE:
    """Each slice of the code is rounded to the nearest vector of a codebook.

    -log p(x|z) + β ‖e - sg(z)‖², the vectors by running means

    Paper: van den Oord, Vinyals & Kavukcuoglu 2017, "Neural Discrete Representation Learning",
    arXiv:1711.00937, eq. 3 with the moving averages of appendix A.1 in place of its second term. A
    vector whose running count falls below `dead` starts again at a random e (Dhariwal et al. 2020,
    "Jukebox", arXiv:2005.00341, §3). One codebook serves all latent / width slots; the paper learns
    an autoregressive prior over codes, here one of independent frequencies.
    """
    book = Codebook(slots_of(spec, width, "vq"), size, width, decay, dead)
    return VAE(Quantiser(spec, book), Write(spec), book, Commitment(beta))


@tags("discrete", "deterministic")
def fsq(spec: Spec, levels: Annotated[int, Field(ge=3)] = 5) -> VAE:
    """Each number of the code is rounded to one of a few levels: a codebook that needs no learning.

    -log p(x|z), z = round(⌊L/2⌋ tanh e) / ⌊L/2⌋ for odd L

    Paper: Mentzer et al. 2024, "Finite Scalar Quantization: VQ-VAE Made Simple", arXiv:2309.15505,
    §3.1 and the code of its appendix A.1, which shifts the tanh for even L. The paper chooses an
    L_i for every number, all at least 5 as a rule; here one L for all. Its encoders end in no
    normalisation; small ones collapse without it.
    """
    return VAE(Scalar(spec, levels), Write(spec), Grid(spec, levels), Commitment(0.0))


@hookimpl
def vaezoo_variants() -> Variants:
    return [vq, fsq]
