"""Codes by rounding, in other ways than `vq`: to a sum of vectors, to a sign, to a moving basis.

All round to entries of tables: a code z is (G, L, W), G slots of L entries of W numbers, and the
decoder reads the sum of a slot's entries.
"""

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from vaezoo.codebooks import WHY, Commitment, Entries, Rounded, Size, followed, slots_of
from vaezoo.core import VAE, Decoder, Encoder, Loss, Prior, Spec
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, Fraction, NonNegative
from vaezoo.networks import Read, Write

SPACE = "tables"


def looked_up(tables: Tensor, index: Tensor) -> Tensor:
    """Tables (L, M, W) at the index (…, L), (…, L, W)."""
    levels = torch.arange(len(tables), device=index.device)
    return tables[levels, index]


class Tables(Prior):
    """The entries, and how often each slot holds each: equally in training, counted by `fit`."""

    space = SPACE
    log_chance: Tensor

    def __init__(self, slots: int, levels: int, size: int) -> None:
        super().__init__()
        even = torch.full((slots, levels, size), -math.log(size))
        self.register_buffer("log_chance", even)

    @abstractmethod
    def tables(self) -> Tensor:
        """(L, M, W)."""

    def forward(self, c: Tensor | None = None) -> Entries:
        slots = len(self.log_chance)
        return Entries(self.tables().expand(slots, -1, -1, -1), self.log_chance)

    def fit(self, z: Tensor) -> None:
        self.log_chance.copy_(self().counted(z))

    def round(self, e: Tensor) -> tuple[Tensor, Tensor]:
        """e (B, G, W) -> entries (B, G, L, W) and their index (B, G, L).

        Each entry is the one nearest to what those before it leave of e.
        """
        tables = self.tables()
        rest = e.detach()
        chosen = []
        for table in tables:  # (M, W)
            nearest = (rest.unsqueeze(-2) - table).square().sum(-1).argmin(-1)  # (B, G)
            rest = rest - table[nearest].detach()
            chosen.append(nearest)
        index = torch.stack(chosen, -1)
        return looked_up(tables, index), index

    def learn(self, e: Tensor, index: Tensor) -> None:
        """One step of training from e (B, G, W), for tables that learn without a gradient."""


class RunningMeans(Tables):
    """Entries follow the running mean of what is rounded to them.

    One that is hardly used starts again at something that was to be rounded by its table.
    """

    means: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(
        self, slots: int, levels: int, size: int, width: int, decay: float, dead: float
    ) -> None:
        super().__init__(slots, levels, size)
        self.decay = decay
        self.dead = dead
        start = 0.3 * torch.randn(levels, size, width)
        self.register_buffer("means", start)
        self.register_buffer("counts", torch.ones(levels, size))
        self.register_buffer("sums", start.clone())

    def tables(self) -> Tensor:
        return self.means.clone()  # `learn` moves the prior's own

    def learn(self, e: Tensor, index: Tensor) -> None:
        entries = looked_up(self.means, index)
        before = entries.cumsum(-2) - entries  # what the levels above gave, (B, G, L, W)
        rests = e.detach().unsqueeze(-2) - before
        counts = []
        sums = []
        for level, rest in enumerate(rests.unbind(-2)):  # (B, G, W)
            here = self.counts[level], self.sums[level]
            chosen = index[..., level].flatten()
            count, total = followed(*here, rest.flatten(0, 1), chosen, self.decay, self.dead)
            counts.append(count)
            sums.append(total)
        self.counts.copy_(torch.stack(counts))
        self.sums.copy_(torch.stack(sums))
        self.means.copy_(self.sums / self.counts[..., None])


class Signs(Tables):
    """-1 and 1."""

    ends: Tensor

    def __init__(self, slots: int) -> None:
        super().__init__(slots, 1, 2)
        self.register_buffer("ends", torch.tensor([-1.0, 1.0]).reshape(1, 2, 1))

    def tables(self) -> Tensor:
        return self.ends


class OneMap(Tables):
    """A fixed random table times one learned matrix, which moves all entries at once."""

    basis: Tensor

    def __init__(self, slots: int, size: int, width: int) -> None:
        super().__init__(slots, 1, size)
        self.register_buffer("basis", torch.randn(1, size, width))
        self.map = nn.Linear(width, width, bias=False)

    def tables(self) -> Tensor:
        table: Tensor = self.map(self.basis)
        return table


class Rounding(Encoder):
    """e(x) in slots, rounded by the tables of the prior."""

    no_density = WHY
    is_one_code = True
    space = SPACE

    def __init__(self, spec: Spec, prior: Tables) -> None:
        super().__init__()
        self.net = Read(spec, spec.latent)
        self.prior = prior
        self.slots = len(prior.log_chance)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Rounded:
        e = self.net(x, c).unflatten(-1, (self.slots, -1))  # (B, G, W)
        entries, index = self.prior.round(e)
        if self.training:
            self.prior.learn(e, index)

        # the gradient of the entries' sum is that of e
        e = e.unsqueeze(-2)  # (B, G, 1, W)
        first, others = entries.detach().tensor_split([1], -2)
        z = torch.cat([first + (e - e.detach()), others], -2)
        size = self.prior.log_chance.shape[-1]
        return Rounded(z, 3, e, entries.cumsum(-2), index.flatten(0, 1), size)


class Summed(Decoder):
    """p(x|z), from the sum of each slot's entries."""

    space = SPACE

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.net = Write(spec)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Distribution:
        px: Distribution = self.net(z.sum(-2).flatten(-2), c)  # (K, B, G, L, W) -> (K, B, G·W)
        return px


class TowardsCodes(Commitment):
    """And ‖sg(e) - v‖², by which the entries learn."""

    def more(self, q: Rounded) -> Tensor:
        return (q.e.detach() - q.rounded[..., -1:, :]).square().flatten(1).sum(-1).mean()


class EntropyOfBits(Commitment):
    """And w Σ_d (E H(σ(4 e_d)) - H(E σ(4 e_d))): each bit sure of itself, and even over the data.

    σ(4e) is the softmax over the two ends of -(e ∓ 1)².
    """

    def __init__(self, beta: float, weight: float) -> None:
        super().__init__(beta)
        self.weight = weight

    def more(self, q: Rounded) -> Tensor:
        logit = 4 * q.e.flatten(1)  # (B, D)
        own = entropy_of_bits(logit).mean(0)
        share = torch.sigmoid(logit).mean(0).clamp(1e-6, 1 - 1e-6)
        return self.weight * (own - entropy_of_bits(share.logit())).sum()


def entropy_of_bits(logit: Tensor) -> Tensor:
    """The entropy of a bit that is 1 with probability σ(logit), in nats."""
    return F.softplus(logit) - logit * torch.sigmoid(logit)


def _with(spec: Spec, prior: Tables, loss: Loss) -> VAE:
    return VAE(Rounding(spec, prior), Summed(spec), prior, loss)


@tags("discrete", "deterministic")
def rvq(
    spec: Spec,
    size: Size = 16,
    levels: Count = 2,
    width: Count = 2,
    beta: NonNegative = 0.25,
    decay: Fraction = 0.99,
    dead: NonNegative = 0.1,
) -> VAE:
    """Each slice is rounded to a sum of vectors, each nearest to what those before it leave.

    -log p(x|z) + β Σ_l ‖e - sg(v_1 + … + v_l)‖², the vectors by running means

    Each of `levels` has a codebook of its own with `size` vectors, so that a slice can take
    size^levels values.

    Paper: Zeghidour et al. 2021, "SoundStream: An End-to-End Neural Audio Codec", arXiv:2107.03312,
    §III.C, with running means and restarts as there; the commitment to every partial sum is that of
    Lee et al. 2022, "Autoregressive Image Generation using Residual Quantization",
    arXiv:2203.01941. No level is dropped out in training here.
    """
    slots = slots_of(spec, width, "rvq")
    prior = RunningMeans(slots, levels, size, width, decay, dead)
    return _with(spec, prior, Commitment(beta))


@tags("discrete", "deterministic")
def lfq(spec: Spec, beta: NonNegative = 0.25, weight: NonNegative = 0.1) -> VAE:
    """Each number of the code is rounded to its sign: a codebook of 2^D that needs no look-up.

    -log p(x|z) + β ‖e - sg(z)‖² + w Σ_d (E H(b_d|x) - H(b_d)), z = sign e

    `weight` is w, b_d the bit whose probability is σ(4 e_d), in the place of the rounded one.

    Paper: Yu et al. 2024, "Language Model Beats Diffusion: Tokenizer is Key to Visual Generation",
    arXiv:2310.05737, §3.1 (lookup-free quantisation). The entropy of the codes over the data is
    there that of the joint code; here the sum of its bits', which is larger.
    """
    return _with(spec, Signs(spec.latent), EntropyOfBits(beta, weight))


@tags("discrete", "deterministic")
def simvq(spec: Spec, size: Size = 32, width: Count = 2, beta: NonNegative = 0.25) -> VAE:
    """The codebook is a fixed random table times one learned matrix, so that no vector is left.

    -log p(x|z) + ‖sg(e) - W c‖² + β ‖e - sg(W c)‖², c the row of the table with the nearest W c

    Paper: Zhu et al. 2024, "Addressing Representation Collapse in Vector Quantized Models with One
    Linear Layer", arXiv:2411.02038 (SimVQ).
    """
    slots = slots_of(spec, width, "simvq")
    return _with(spec, OneMap(slots, size, width), TowardsCodes(beta))


@hookimpl
def vaezoo_variants() -> Variants:
    return [rvq, lfq, simvq]
