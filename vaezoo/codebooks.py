"""Codes by rounding to entries of tables: their prior, their loss, and entries that follow running
means.

A code is S slots, each with one of M entries; an entry is a number, or a vector of W numbers.
"""

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import Categorical, Distribution

from .core import Loss, Model, Spec, Terms, Unsupported
from .distributions import Point, one_hot

__all__ = [
    "WHY",
    "Commitment",
    "Entries",
    "Rounded",
    "Size",
    "followed",
    "perplexity",
    "slots_of",
]

WHY = "deterministic, discrete codes"
Size = Annotated[int, Field(ge=2)]  # entries of a table


class Entries(Distribution):
    """Independent slots: slot s holds `tables[s, m]` with the probability of `log_chance[s, m]`.

    log_chance is (*S, M), tables (*S, M) of numbers or (*S, M, W) of vectors.
    """

    arg_constraints: dict[str, Any] = {}

    def __init__(self, tables: Tensor, log_chance: Tensor) -> None:
        slots = log_chance.shape[:-1]
        self.value = tables.shape[len(slots) + 1 :]  # the shape of an entry, () or (W,)
        super().__init__(torch.Size(), slots + self.value, validate_args=False)
        self.tables = tables
        self.log_chance = log_chance

    def index(self, z: Tensor) -> Tensor:
        """z (…, *S, *value) -> the entries nearest to it, (…, *S)."""
        squared = (z.unsqueeze(-1 - len(self.value)) - self.tables).square()
        return (squared.sum(-1) if self.value else squared).argmin(-1)

    def at(self, index: Tensor) -> Tensor:
        """(…, *S) -> (…, *S, *value)."""
        place = -1 - len(self.value)  # of the entries among the axes of the tables
        tables = self.tables.expand(*index.shape, *self.tables.shape[place:])
        index = index[(..., *[None] * -place)]
        return torch.take_along_dim(tables, index, place).squeeze(place)

    def log_prob(self, value: Tensor) -> Tensor:
        index = self.index(value)  # (…, *S)
        chances = self.log_chance.expand(*index.shape, -1)  # (…, *S, M)
        each = torch.take_along_dim(chances, index[..., None], -1).squeeze(-1)
        return each.flatten(index.ndim - self.log_chance.ndim + 1).sum(-1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        choice = Categorical(logits=self.log_chance, validate_args=False)
        return self.at(choice.sample(torch.Size(sample_shape))).detach()

    def counted(self, z: Tensor) -> Tensor:
        """log of how often each slot holds each entry in z (N, *S, *value), (*S, M).

        Every count is raised by one.
        """
        counts = one_hot(self.index(z), self.log_chance.shape[-1]).sum(0) + 1
        return (counts / counts.sum(-1, keepdim=True)).log()


class Rounded(Point):
    """All mass on z, to which e was rounded; z hands its gradient straight to e.

    e is drawn towards `rounded`, of its shape or one that it is broadcast to. The index of the
    entries is (N, *tables), in tables of `size` entries.
    """

    def __init__(
        self, z: Tensor, event_dims: int, e: Tensor, rounded: Tensor, index: Tensor, size: int
    ) -> None:
        super().__init__(z, event_dims)
        self.e = e
        self.rounded = rounded
        self.index = index
        self.size = size

    @property
    def commitment(self) -> Tensor:
        """‖e - sg(rounded)‖², (B,)."""
        return (self.e - self.rounded.detach()).square().flatten(1).sum(-1)


class Commitment(Loss):
    """-log p(x|z) + β ‖e - sg(z)‖², and what a kind of table adds to it."""

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
            "loss": distortion + self.beta * commitment + self.more(q),
            "distortion": distortion,
            "commitment": commitment,
            "perplexity": perplexity(q.index, q.size),
        }

    def more(self, q: Rounded) -> Tensor:
        return q.e.new_zeros(())


def perplexity(index: Tensor, size: int) -> Tensor:
    """exp of the entropy of the entries in use, from 1 to `size`, a mean over tables.

    index is (N, *tables).
    """
    p = one_hot(index, size).mean(0)  # (*tables, M)
    return (-(p * p.clamp_min(1e-10).log()).sum(-1)).exp().mean()


def followed(
    counts: Tensor, sums: Tensor, rows: Tensor, index: Tensor, decay: float, dead: float
) -> tuple[Tensor, Tensor]:
    """One step of the running counts (M,) and sums (M, W) of what is rounded to each entry of a
    table, from rows (N, W) and their index (N,). An entry is sums / counts.

    Van den Oord et al. 2017, arXiv:1711.00937, app. A.1. An entry whose count falls below `dead`
    starts again, as if one random row had been rounded to it: Dhariwal et al. 2020,
    arXiv:2005.00341, §3.
    """
    hits = one_hot(index, len(counts)).to(rows.dtype)  # (N, M)
    counts = decay * counts + (1 - decay) * hits.sum(0)
    sums = decay * sums + (1 - decay) * hits.T @ rows

    is_dead = counts < dead
    fresh = rows[torch.randint(len(rows), (len(counts),), device=rows.device)]
    return torch.where(is_dead, 1.0, counts), torch.where(is_dead[:, None], fresh, sums)


def slots_of(spec: Spec, width: int, who: str) -> int:
    """Raises: Unsupported where the code cannot be cut into slices of `width`."""
    if spec.latent % width:
        raise Unsupported(
            f"{who} splits the code into slices of {width} numbers; "
            f"{spec.latent} is no multiple of that"
        )
    return spec.latent // width
