"""Discrete codes by rounding: to a codebook (VQ), or each number to a few levels (FSQ)."""

import math
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution
from torch.nn import functional as F

from vaezoo.core import VAE, Encoder, Loss, Model, Prior, Spec, Terms, Unsupported
from vaezoo.distributions import Point, one_hot
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, Fraction, NonNegative
from vaezoo.networks import Read, Write

WHY = "deterministic, discrete codes"
SPACE = "codebook"


def perplexity(index: Tensor, size: int) -> Tensor:
    """exp of the entropy of the codes in use, from 1 to `size`."""
    p = one_hot(index.flatten(), size).mean(0)  # (size,)
    return (-(p * p.clamp_min(1e-10).log()).sum()).exp()


class Rounded(Point):
    """All mass on the rounded e, with the gradient of z handed straight to e."""

    def __init__(
        self, e: Tensor, rounded: Tensor, index: Tensor, size: int, event_dims: int
    ) -> None:
        super().__init__(e + (rounded - e).detach(), event_dims)
        self.e = e
        self.rounded = rounded
        self.index = index
        self.size = size

    @property
    def commitment(self) -> Tensor:
        """‖e - sg(rounded)‖², (B,)."""
        return (self.e - self.rounded.detach()).square().flatten(1).sum(-1)


class Codes(Distribution):
    """G independent slots: slot g holds code m with probability `frequency[g, m]`.

    Code m stands for `values[m]`.
    """

    arg_constraints: dict[str, Any] = {}

    def __init__(self, values: Tensor, log_frequency: Tensor) -> None:
        event = log_frequency.shape[:1] + values.shape[1:]  # (G, *value)
        super().__init__(torch.Size(), event, validate_args=False)
        self.values = values
        self.log_frequency = log_frequency

    def index(self, z: Tensor) -> Tensor:
        """z (..., G, *value) -> the codes nearest to it (..., G)."""
        dims = tuple(range(-(self.values.ndim - 1), 0))  # the axes of one value
        distance = (z.unsqueeze(z.ndim - len(dims)) - self.values).square()  # (..., G, M, *value)
        return (distance.sum(dims) if dims else distance).argmin(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        index = self.index(value)
        table = self.log_frequency.expand(*index.shape, -1)  # (..., G, M)
        each = torch.take_along_dim(table, index[..., None], -1).squeeze(-1)  # (..., G)
        return each.sum(-1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        slots = Categorical(logits=self.log_frequency, validate_args=False)
        return self.values[slots.sample(torch.Size(sample_shape))].detach()

    def frequencies(self, z: Tensor) -> Tensor:
        """(G, M): log of how often each slot holds each code in z (N, G, *value).

        Every count is raised by one.
        """
        counts = one_hot(self.index(z), len(self.values)).sum(0) + 1
        return (counts / counts.sum(-1, keepdim=True)).log()


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

    def forward(self, c: Tensor | None = None) -> Codes:
        return Codes(self.vectors, self.log_frequency)

    def update(self, e: Tensor, index: Tensor) -> None:
        """One step of the running means, from e (B, G, W) and its codes (B, G)."""
        e = e.detach().flatten(0, 1)  # (B·G, W)
        hits = one_hot(index.flatten(), len(self.vectors)).to(e.dtype)  # (B·G, M)
        counts = self.decay * self.counts + (1 - self.decay) * hits.sum(0)
        sums = self.decay * self.sums + (1 - self.decay) * hits.T @ e

        # a vector that is hardly used starts again, as if one random e had been rounded to it
        is_dead = counts < self.dead
        fresh = e[torch.randint(len(e), (len(counts),), device=e.device)]
        self.counts.copy_(torch.where(is_dead, 1.0, counts))
        self.sums.copy_(torch.where(is_dead[:, None], fresh, sums))
        self.vectors.copy_(self.sums / self.counts[:, None])

    def fit(self, z: Tensor) -> None:
        self.log_frequency.copy_(self(None).frequencies(z))


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
        index = Codes(vectors, self.book.log_frequency).index(e)
        if self.training:
            self.book.update(e, index)
        return Rounded(e, vectors[index], index, len(vectors), 2)


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

    def forward(self, c: Tensor | None = None) -> Codes:
        return Codes(self.values, self.log_frequency)

    def fit(self, z: Tensor) -> None:
        self.log_frequency.copy_(self(None).frequencies(z))


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
        rounded = bounded.detach().round()
        return Rounded(bounded / half, rounded / half, rounded.long() + half, self.levels, 1)

    def _standardised(self, e: Tensor) -> Tensor:
        """(B, D). One row alone has no spread: it is read by the running one, in training too."""
        if self.training and len(e) == 1:
            running = self.spread.running_mean, self.spread.running_var
            return F.batch_norm(e, *running, eps=self.spread.eps)
        return self.spread(e)


class Commitment(Loss):
    """-log p(x|z) + β ‖e - sg(z)‖². The codebook learns by running means, not by a gradient."""

    no_density = WHY

    def __init__(self, beta: float) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = model.infer(x, c)
        q: Any = trace.latents[0].q
        distortion = -trace.log_px.mean()
        commitment = q.commitment.mean()
        return {
            "loss": distortion + self.beta * commitment,
            "distortion": distortion,
            "commitment": commitment,
            "perplexity": perplexity(q.index, q.size),
        }


@tags("discrete", "deterministic")
def vq(
    spec: Spec,
    size: Annotated[int, Field(ge=2)] = 32,
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
    if spec.latent % width:
        raise Unsupported(
            f"vq splits the code into slices of {width} numbers; "
            f"{spec.latent} is no multiple of that"
        )
    book = Codebook(spec.latent // width, size, width, decay, dead)
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
