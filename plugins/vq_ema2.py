"""Two levels of discrete codes: the upper one first, and the lower one in its light."""

import math
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import Categorical, Distribution
from torch.nn import functional as F

from vaezoo.core import VAE, Encoder, Loss, Model, Prior, Spec, Terms, Unsupported
from vaezoo.distributions import Point, one_hot
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, Fraction, NonNegative
from vaezoo.networks import Read, Write, mlp

WHY = "deterministic, discrete codes"
SPACE = "codebooks"


class Codes(Distribution):
    """Independent slots: slot g holds vector m of its level's book with chance[g, m].

    A code is (G, W); books are (2, M, W), and `level` (G,) says whose book a slot uses.
    """

    arg_constraints: dict[str, Any] = {}

    def __init__(self, books: Tensor, level: Tensor, log_chance: Tensor) -> None:
        event = torch.Size((len(level), books.shape[-1]))
        super().__init__(torch.Size(), event, validate_args=False)
        self.tables = books[level]  # (G, M, W)
        self.log_chance = log_chance  # (G, M)

    def index(self, z: Tensor) -> Tensor:
        """z (…, G, W) -> the vectors nearest to it (…, G)."""
        return (z.unsqueeze(-2) - self.tables).square().sum(-1).argmin(-1)

    def vectors(self, index: Tensor) -> Tensor:
        """(…, G) -> (…, G, W)."""
        slots = torch.arange(len(self.tables), device=index.device)
        return self.tables[slots, index]

    def log_prob(self, value: Tensor) -> Tensor:
        index = self.index(value)
        chances = self.log_chance.expand(*index.shape, -1)  # (…, G, M)
        return torch.take_along_dim(chances, index[..., None], -1).squeeze(-1).sum(-1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        choice = Categorical(logits=self.log_chance, validate_args=False)
        return self.vectors(choice.sample(torch.Size(sample_shape))).detach()


class Rounded(Point):
    """All mass on the vectors, with the gradient of z handed straight to e (B, G, W)."""

    def __init__(self, e: Tensor, vectors: Tensor, index: Tensor) -> None:
        super().__init__(vectors + (e - e.detach()), 2)
        self.e = e
        self.vectors = vectors
        self.index = index


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

    def forward(self, c: Tensor | None = None) -> Codes:
        return Codes(self.books.clone(), self.level, self.log_chance)  # `learn` moves the own ones

    def learn(self, level: int, e: Tensor, index: Tensor) -> None:
        """One step of a level's running means, from e (B, g, W) and its index (B, g)."""
        rows = e.detach().flatten(0, 1)  # (B·g, W)
        hits = one_hot(index.flatten(), self.counts.shape[-1]).to(rows.dtype)  # (B·g, M)
        counts = self.decay * self.counts[level] + (1 - self.decay) * hits.sum(0)
        sums = self.decay * self.sums[level] + (1 - self.decay) * hits.T @ rows

        is_dead = counts < self.dead
        fresh = rows[torch.randint(len(rows), (len(counts),), device=e.device)]
        counts = torch.where(is_dead, 1.0, counts)
        sums = torch.where(is_dead[:, None], fresh, sums)
        is_here = torch.arange(2, device=e.device) == level
        self.counts.copy_(torch.where(is_here[:, None], counts, self.counts))
        self.sums.copy_(torch.where(is_here[:, None, None], sums, self.sums))
        self.books.copy_(self.sums / self.counts[..., None])

    def fit(self, z: Tensor) -> None:
        """Every count is raised by one."""
        counts = one_hot(self().index(z), self.log_chance.shape[-1]).sum(0) + 1
        self.log_chance.copy_((counts / counts.sum(-1, keepdim=True)).log())


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
        codes = self.prior()
        e_top = self.to_top(h).unflatten(-1, (self.top, -1))  # (B, g, W)
        top = self._nearest(codes, e_top, slice(self.top))
        straight = top[0] + (e_top - e_top.detach())
        seen = torch.cat([h, straight.flatten(1)], -1)
        e_bottom = self.to_bottom(seen).unflatten(-1, (self.bottom, -1))
        bottom = self._nearest(codes, e_bottom, slice(self.top, None))
        if self.training:
            self.prior.learn(0, e_top, top[1])
            self.prior.learn(1, e_bottom, bottom[1])
        e = torch.cat([e_top, e_bottom], 1)
        vectors = torch.cat([top[0], bottom[0]], 1)
        return Rounded(e, vectors, torch.cat([top[1], bottom[1]], 1))

    def _nearest(self, codes: Codes, e: Tensor, slots: slice) -> tuple[Tensor, Tensor]:
        """The vectors (B, g, W) and index (B, g) nearest to e (B, g, W) of these slots."""
        tables = codes.tables[slots]  # (g, M, W)
        index = (e.detach().unsqueeze(-2) - tables).square().sum(-1).argmin(-1)
        places = torch.arange(len(tables), device=e.device)
        return tables[places, index], index


class Commitment(Loss):
    """-log p(x|z) + β ‖e - sg(z)‖², both levels."""

    no_density = WHY

    def __init__(self, beta: float) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = model.infer(x, c)
        q: Any = trace.latents[0].q
        p: Any = trace.latents[0].p
        distortion = -trace.log_px.mean()
        commitment = (q.e - q.vectors).square().flatten(1).sum(-1).mean()
        used = one_hot(q.index, p.log_chance.shape[-1]).mean(0)  # (G, M)
        entropy = -(used * used.clamp_min(1e-10).log()).sum(-1)
        return {
            "loss": distortion + self.beta * commitment,
            "distortion": distortion,
            "commitment": commitment,
            "perplexity": entropy.exp().mean(),
        }


@tags("discrete", "deterministic", "hierarchical")
def vq_ema2(
    spec: Spec,
    size: Annotated[int, Field(ge=2)] = 32,
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
