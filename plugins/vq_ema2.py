"""Two levels of discrete codes: the upper one first, and the lower one in its light."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.codebooks import WHY, Commitment, Entries, Rounded, Size, followed
from vaezoo.core import VAE, Encoder, Prior, Spec, Unsupported
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, Fraction, NonNegative
from vaezoo.networks import Read, Write, mlp

SPACE = "codebooks"


class Books(Prior):
    """A codebook for each level, by running means; and how often each slot holds each vector.

    All are equally likely in training; `fit` counts. A vector that is hardly used starts again at
    a random e of its level.
    """

    space = SPACE
    books: Tensor
    counts: Tensor
    sums: Tensor
    level: Tensor
    log_chance: Tensor

    def __init__(
        self, top: int, bottom: int, size: int, width: int, decay: float, dead: float
    ) -> None:
        super().__init__()
        self.decay = decay
        self.dead = dead
        start = 0.3 * torch.randn(2, size, width)
        self.register_buffer("books", start)
        self.register_buffer("counts", torch.ones(2, size))
        self.register_buffer("sums", start.clone())
        self.register_buffer("level", torch.tensor([0] * top + [1] * bottom))
        even = torch.full((top + bottom, size), -math.log(size))
        self.register_buffer("log_chance", even)

    def forward(self, c: Tensor | None = None) -> Entries:
        books = self.books.clone()  # `learn` moves the own ones
        return Entries(books[self.level], self.log_chance)

    def learn(self, es: Sequence[Tensor], indices: Sequence[Tensor]) -> None:
        """One step of the running means, from e (B, g, W) and index (B, g) of each level."""
        counts = []
        sums = []
        for level, (e, index) in enumerate(zip(es, indices, strict=True)):
            rows = e.detach().flatten(0, 1)  # (B·g, W)
            here = self.counts[level], self.sums[level]
            count, total = followed(*here, rows, index.flatten(), self.decay, self.dead)
            counts.append(count)
            sums.append(total)
        self.counts.copy_(torch.stack(counts))
        self.sums.copy_(torch.stack(sums))
        self.books.copy_(self.sums / self.counts[..., None])

    def fit(self, z: Tensor) -> None:
        self.log_chance.copy_(self().counted(z))


class TwoLevels(Encoder):
    """e_top(x) rounded to z_top; then e_bottom(x, z_top) rounded to z_bottom."""

    no_density = WHY
    is_one_code = True
    space = SPACE

    def __init__(self, spec: Spec, prior: Books, width: int) -> None:
        super().__init__()
        hidden = spec.hidden
        self.top = int((prior.level == 0).sum())
        self.bottom = len(prior.level) - self.top
        self.read = Read(spec, hidden)
        self.to_top = mlp(hidden, hidden, self.top * width)
        self.to_bottom = mlp(hidden + self.top * width, hidden, self.bottom * width)
        self.prior = prior

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        h = F.silu(self.read(x, c))
        tables = self.prior().tables  # (G, M, W)
        e_top = self.to_top(h).unflatten(-1, (self.top, -1))  # (B, g, W)
        top, index_top = nearest(tables[: self.top], e_top)

        straight = top + (e_top - e_top.detach())
        seen = torch.cat([h, straight.flatten(1)], -1)
        e_bottom = self.to_bottom(seen).unflatten(-1, (self.bottom, -1))
        bottom, index_bottom = nearest(tables[self.top :], e_bottom)
        if self.training:
            self.prior.learn([e_top, e_bottom], [index_top, index_bottom])

        e = torch.cat([e_top, e_bottom], 1)
        vectors = torch.cat([top, bottom], 1)
        index = torch.cat([index_top, index_bottom], 1)
        return Rounded(vectors + (e - e.detach()), 2, e, vectors, index, tables.shape[1])


def nearest(tables: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
    """The vectors (B, g, W) and index (B, g) nearest to e (B, g, W), in tables (g, M, W)."""
    index = (e.detach().unsqueeze(-2) - tables).square().sum(-1).argmin(-1)
    places = torch.arange(len(tables), device=e.device)
    return tables[places, index], index


@tags("discrete", "deterministic", "hierarchical")
def vq_ema2(
    spec: Spec,
    size: Size = 32,
    width: Count = 2,
    top: Count = 1,
    beta: NonNegative = 0.25,
    decay: Fraction = 0.99,
    dead: NonNegative = 0.1,
) -> VAE:
    """Two levels of rounded codes: the lower level's encoder reads the upper one's vectors.

    -log p(x|z_top, z_bottom) + β (‖e_top(x) - sg(z_top)‖² + ‖e_bottom(x, z_top) - sg(z_bottom)‖²)

    Of the latent / width slots, `top` are the upper level's, the first of the code; each level has
    a codebook of its own, by running means. `--sampler causal` fits an autoregressive prior, the
    upper level first, as the paper's two are.

    Paper: Razavi, van den Oord & Vinyals 2019, "Generating Diverse High-Fidelity Images with
    VQ-VAE-2", arXiv:1906.00446, algorithm 1. There levels are grids of 32×32 and 64×64 codes; here
    they are slots of one vector, as in `vq`. The prior in training is uniform, then one of
    independent frequencies.
    """
    if spec.latent % width or spec.latent // width <= top:
        raise Unsupported(
            f"vq_ema2 needs a slice of {width} numbers more than the {top} of its upper level; "
            f"the code has {spec.latent} numbers"
        )
    prior = Books(top, spec.latent // width - top, size, width, decay, dead)
    return VAE(TwoLevels(spec, prior, width), Write(spec), prior, Commitment(beta))


@hookimpl
def vaezoo_variants() -> Variants:
    return [vq_ema2]
