"""Several views of one thing: x taken apart, an expert for each, and what they say together.

A spec with `views` says how the flattened x falls into them; a view that a row lacks is NaN in all
its entries. Each view has a network of its own either way. V views, B rows, D numbers of a code.
"""

from abc import abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from .bodies import raw_shape
from .core import VAE, Decoder, Encoder, Model, Spec, Unsupported, View, require_parts
from .distributions import Drawable, Normal, Observed, normal
from .likelihoods import head
from .networks import Raw, Read

__all__ = [
    "Experts",
    "MixtureOfNormals",
    "Opinions",
    "ViewEncoder",
    "WriteViews",
    "are_there",
    "mixture_of",
    "product",
    "require_experts",
    "require_views",
    "spec_of_view",
    "split_views",
    "without_views",
]


def require_views(spec: Spec) -> tuple[View, ...]:
    """The views. Raises: Unsupported where x is not said to be two or more."""
    if len(spec.views) < 2:
        raise Unsupported(
            "needs x as two named views or more, and this data has one: say which columns are "
            "which view by viewed[of=…,views=…], or take paired, halves or gaussian_pair"
        )
    return spec.views


def spec_of_view(spec: Spec, view: View) -> Spec:
    """What a network of this view alone is built for."""
    return replace(spec, shape=view.shape, views=())


def split_views(x: Tensor, spec: Spec) -> list[Tensor]:
    """(B, *shape) -> each view (B, *view.shape), in order."""
    if spec.is_sequence:
        return list(x.split([view.shape[1] for view in spec.views], -1))
    parts = x.flatten(1).split([view.size for view in spec.views], 1)
    return [part.unflatten(1, view.shape) for part, view in zip(parts, spec.views, strict=True)]


def are_there(x: Tensor, spec: Spec) -> Tensor:
    """(V, B): whether a row has any entry of a view."""
    return torch.stack([~view.flatten(1).isnan().all(1) for view in split_views(x, spec)])


def without_views(x: Tensor, spec: Spec, gone: Collection[int] | Tensor) -> Tensor:
    """x (B, *shape) with NaN in the views of these numbers, or of this mask (V,)."""
    if not isinstance(gone, Tensor):
        gone = torch.tensor([i in gone for i in range(len(spec.views))], device=x.device)
    parts = split_views(x, spec)
    if spec.is_sequence:
        widths = torch.tensor([part.shape[-1] for part in parts], device=x.device)
        of_channel = _repeated(gone, widths, x.shape[-1])  # (C,)
        return torch.where(of_channel, torch.nan, x)
    sizes = torch.tensor([view.size for view in spec.views], device=x.device)
    of_entry = _repeated(gone, sizes, spec.size).view(spec.shape)
    return torch.where(of_entry, torch.nan, x)


def _repeated(values: Tensor, times: Tensor, total: int) -> Tensor:
    return torch.repeat_interleave(values, times, output_size=total)


@dataclass(frozen=True)
class Opinions:
    """What each expert says of the code: N(loc, diag scale²), or nothing where its view is lacking.

    An expert that is not there says N(0, I), of weight 0.
    """

    loc: Tensor  # (V, B, D)
    scale: Tensor  # (V, B, D)
    there: Tensor  # (V, B)

    @property
    def each(self) -> list[Distribution]:
        """N(loc_v, diag scale_v²), a batch of B for each view."""
        return [normal(loc, scale) for loc, scale in zip(self.loc, self.scale, strict=True)]

    def of(self, subset: Tensor) -> "Opinions":
        """Those of a subset of the experts, a mask (V,)."""
        return replace(self, there=self.there & subset[:, None])


class Experts(nn.Module):
    """One Gaussian for each view, read off that view alone."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        specs = [spec_of_view(spec, view) for view in require_views(spec)]
        self.readers = nn.ModuleList(Read(one, 2 * spec.latent) for one in specs)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Opinions:
        parts = zip(self.readers, split_views(x, self.spec), strict=True)
        raw = torch.stack([reader(part, c) for reader, part in parts])  # (V, B, 2 D)
        loc, raw_scale = raw.chunk(2, -1)
        there = are_there(x, self.spec)
        is_there = there[..., None]
        return Opinions(
            torch.where(is_there, loc, 0.0),
            torch.where(is_there, F.softplus(raw_scale) + 1e-3, 1.0),
            there,
        )


def product(opinions: Opinions, prior: bool) -> Distribution:
    """The normalised Π_v N(z; μ_v, σ_v²) over the experts that are there, times N(z; 0, I) where
    asked for: precisions add up, and means weigh by them. Where nobody is there it is N(0, I).
    """
    of_each = opinions.there[..., None] / opinions.scale.square()  # (V, B, D)
    precision = of_each.sum(0)
    alone = ~opinions.there.any(0)[:, None]  # (B, 1)
    precision = precision + 1.0 if prior else torch.where(alone, 1.0, precision)
    loc = (of_each * opinions.loc).sum(0) / precision
    return normal(loc, precision.rsqrt())


class MixtureOfNormals(Drawable):
    """Σ_m w_m N(μ_m, diag σ_m²), from loc and scale (M, B, D) and weights (M, B) that sum to 1."""

    def __init__(self, loc: Tensor, scale: Tensor, weights: Tensor) -> None:
        super().__init__(loc.shape[1:2], loc.shape[2:])
        self.loc = loc
        self.scale = scale
        self.weights = weights

    def log_prob(self, value: Tensor) -> Tensor:
        """(…, B, D) -> (…, B)."""
        each = Normal(self.loc, self.scale).log_prob(value.unsqueeze(-3)).sum(-1)  # (…, M, B)
        return (each + self.weights.log()).logsumexp(-2)

    def of_each(self, k: int) -> Tensor:
        """k draws of every component, (k, M, B, D)."""
        return Normal(self.loc, self.scale).rsample(torch.Size((k,)))

    def draw(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """The gradient goes through the component that was drawn."""
        u = torch.rand((*shape, *self.weights.shape), dtype=self.loc.dtype, device=self.loc.device)
        gumbel = -(-u.clamp_min(torch.finfo(u.dtype).tiny).log()).log()
        chosen = (self.weights.log() + gumbel).argmax(-2, keepdim=True)[..., None]  # (…, 1, B, 1)
        index = chosen.expand(*shape, 1, *self.loc.shape[1:])
        z = torch.take_along_dim(self._as(shape, self.loc), index, -3)
        scale = torch.take_along_dim(self._as(shape, self.scale), index, -3)
        z = (z + scale * torch.randn_like(z)).squeeze(-3)
        return z, self.log_prob(z)

    def _as(self, shape: tuple[int, ...], values: Tensor) -> Tensor:
        return values.expand(*shape, *values.shape)

    def centre(self) -> Tensor:
        """The mean of the mixture."""
        return (self.weights[..., None] * self.loc).sum(0)


def mixture_of(loc: Tensor, scale: Tensor, there: Tensor) -> MixtureOfNormals:
    """The components (M, B, D) that are there (M, B), all of one weight; all of them where none
    is.
    """
    counted = torch.where(there.any(0), there, True).to(loc)
    return MixtureOfNormals(loc, scale, counted / counted.sum(0))


class ViewEncoder(Encoder):
    """q(z|x) made of an expert for each view."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.experts = Experts(spec)

    @abstractmethod
    def together(self, opinions: Opinions) -> Distribution:
        """q(z|x) of what the experts say, a batch of B."""

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        return self.together(self.experts(x, c))


def require_experts(model: Model, who: str) -> tuple[VAE, ViewEncoder]:
    """The model as a `VAE`, and its encoder.

    Raises: Unsupported where its posterior is not made of an expert for each view.
    """
    vae = require_parts(model, who)
    if not isinstance(vae.encoder, ViewEncoder):
        raise Unsupported(
            f"{who} reads what each view alone says of the code, and the encoder "
            f"{type(vae.encoder).__name__} has no expert for each view"
        )
    return vae, vae.encoder


class WriteViews(Decoder):
    """Π_v p(x_v|z), each view by a network of its own, all by one likelihood."""

    def __init__(self, spec: Spec, inputs: int | None = None) -> None:
        super().__init__()
        self.spec = spec
        specs = [spec_of_view(spec, view) for view in require_views(spec)]
        self.writers = nn.ModuleList(Raw(one, inputs) for one in specs)
        self.width = inputs or spec.latent
        self.likelihood = head(spec)
        if any(writer.starts_at_mean for writer in self._raws):
            raise Unsupported("decoders of views do not start at the mean: leave bias=mean out")

    @property
    def _raws(self) -> Sequence[Raw]:
        writers: Any = self.writers
        return writers

    def raw(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """The numbers that the likelihood reads, (K, B, *shape[, n])."""
        parts = [writer.raw(z, c) for writer in self._raws]
        if self.spec.is_sequence:
            return torch.cat(parts, 3)
        flat = torch.cat([part.flatten(2) for part in parts], 2)
        return flat.unflatten(2, raw_shape(self.spec))

    def forward(self, z: Tensor, c: Tensor | None = None) -> Observed:
        return self.likelihood(self.raw(z, c))
