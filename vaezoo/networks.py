"""The networks that every variant shares, so that variants differ in nothing else.

`Read` turns x into features, `Write` turns z into p(x|z). Each comes as a pair for vectors and
small images (mlp), for images of 28×28 and more (conv), and for sequences (rnn); `spec.network`
says which, for all variants alike.

Weights start as PyTorch leaves them: uniform in ±1/√fan_in, weights and biases, for linear and
convolutional layers (He et al. 2015 with a = √5), and ±1/√hidden for recurrent ones. Activations
are SiLU.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from .core import Decoder, Encoder, Prior, Spec, Unsupported
from .distributions import Observed, Point, normal, to_length
from .likelihoods import HEADS, Likelihood, head


def mlp(*sizes: int) -> nn.Sequential:
    """Linear layers of these sizes, SiLU between them."""
    layers = [m for i, o in pairwise(sizes) for m in (nn.Linear(i, o), nn.SiLU())]
    return nn.Sequential(*layers[:-1])


def join(h: Tensor, c: Tensor | None, condition: int) -> Tensor:
    """h (..., B, F) with the condition (B, C) behind it, where the networks read one.

    Raises: Unsupported where they do and none is given, or one of another shape.
    """
    if not condition:
        return h
    if c is None:
        raise Unsupported(
            f"reads labels: it needs a condition c of width {condition} for every row, and none was given"
        )
    if c.ndim < 2 or c.shape[-1] != condition or c.shape[-2] not in (1, h.shape[-2]):
        found = tuple(c.shape)
        raise Unsupported(
            f"reads labels: c must have shape {(h.shape[-2], condition)}, one-hot rows, and it has {found}"
        )
    return torch.cat([h, c.expand(*h.shape[:-1], c.shape[-1])], -1)


def to_steps(x: Tensor, spec: Spec) -> Tensor:
    """x (B, *shape) -> (B, T, C): a sequence as it is, an image as its rows in time. NaN stays NaN."""
    spec.as_steps  # noqa: B018  (raises Unsupported for a vector)
    return x.transpose(1, 2).flatten(2) if spec.is_image else x


def from_steps(h: Tensor, spec: Spec) -> Tensor:
    """(K, B, T, C, …) -> (K, B, *shape, …), the inverse of `to_steps`."""
    if not spec.is_image:
        return h
    return h.unflatten(3, (spec.shape[0], spec.shape[2])).transpose(2, 3)


def step_mask(x: Tensor) -> Tensor:
    """Which steps of x (B, T, C) are there: (B, T), true up to the last step with any entry that is
    not NaN.
    """
    seen = ~x.isnan().all(-1)
    return seen.flip(1).cumsum(1).flip(1) > 0


def reverse_steps(x: Tensor, mask: Tensor) -> Tensor:
    """x (B, T, …) with each row's steps reversed within its own length; padding stays at the end."""
    steps = torch.arange(x.shape[1], device=x.device)
    index = (mask.sum(1, keepdim=True) - 1 - steps).clamp_min(0)
    return torch.take_along_dim(x, index[(...,) + (None,) * (x.ndim - 2)].expand_as(x), 1)


class Read(nn.Module):
    """x (B, *shape) and c -> features (B, out)."""

    def __init__(self, spec: Spec, out: int) -> None:
        super().__init__()
        self.spec = spec
        self.body = _BODIES[spec.network][0](spec)
        width = spec.hidden
        self.out = mlp(width + spec.condition, width, out)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        return self.out(join(F.silu(self.body(x)), c, self.spec.condition))


class Write(Decoder):
    """p(x|z), from the flattened event of z (`inputs` numbers of it)."""

    def __init__(self, spec: Spec, inputs: int | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.width = inputs or spec.latent
        self.into = nn.Linear(self.width + spec.condition, spec.hidden)
        self.body = _BODIES[spec.network][1](spec)
        self.likelihood = head(spec)

    def raw(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """The numbers that the likelihood reads, (K, B, *shape[, n])."""
        return self.body(F.silu(self.into(join(z.flatten(2), c, self.spec.condition))))

    def forward(self, z: Tensor, c: Tensor | None = None) -> Observed:
        return self.likelihood(self.raw(z, c))


class _ReadFlat(nn.Module):
    """(B, *shape) -> (B, hidden). A gap reads as 0; a sequence is cut or padded to the spec's
    length.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        self.net = nn.Linear(spec.size, spec.hidden)

    def forward(self, x: Tensor) -> Tensor:
        if self.spec.is_sequence:
            x = to_length(x, self.spec.shape[0])
        return self.net(without_gaps(x, self.spec).flatten(1))


class _WriteFlat(nn.Module):
    """(K, B, hidden) -> raw (K, B, *shape[, n])."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.shape = raw_shape(spec)
        self.net = mlp(spec.hidden, spec.hidden, torch.Size(self.shape).numel())

    def forward(self, h: Tensor) -> Tensor:
        return self.net(h).unflatten(-1, self.shape)


class _ReadConv(nn.Module):
    """(B, C, H, W) -> (B, hidden), by two convolutions of stride 2."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        (channels, height, width) = _conv_shape(spec)
        self.net = nn.Sequential(
            nn.Conv2d(channels, 16, 4, 2, 1), nn.SiLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.SiLU(), nn.Flatten(),
            nn.Linear(32 * (height // 4) * (width // 4), spec.hidden),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.net(without_gaps(x, self.spec))


class _WriteConv(nn.Module):
    """(K, B, hidden) -> raw (K, B, C, H, W[, n]), the mirror image of `_ReadConv`."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        channels, height, width = _conv_shape(spec)
        self.numbers = HEADS[spec.likelihood].numbers(spec)
        small = (32, height // 4, width // 4)
        self.net = nn.Sequential(
            nn.Linear(spec.hidden, torch.Size(small).numel()), nn.SiLU(), nn.Unflatten(1, small),
            nn.ConvTranspose2d(32, 16, 4, 2, 1, output_padding=(height // 2 % 2, width // 2 % 2)), nn.SiLU(),
            nn.ConvTranspose2d(16, channels * self.numbers, 4, 2, 1, output_padding=(height % 2, width % 2)),
        )  # fmt: skip

    def forward(self, h: Tensor) -> Tensor:
        raw = self.net(h.flatten(0, 1)).unflatten(0, h.shape[:2])
        return raw if self.numbers == 1 else raw.unflatten(2, (-1, self.numbers)).movedim(3, -1)


def _conv_shape(spec: Spec) -> tuple[int, int, int]:
    if not spec.is_image or min(spec.shape[1:]) < 8:
        raise Unsupported(
            f"network=conv needs images of 8×8 or more; this data has shape {spec.shape}"
        )
    channels, height, width = spec.shape
    return channels, height, width


class _ReadSteps(nn.Module):
    """(B, T, C) -> (B, hidden): the state of a GRU after the last step that is there."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        self.net = nn.GRU(spec.as_steps[1], spec.hidden, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = to_steps(x, self.spec)
        if not self.spec.has_gaps:
            return self.net(x)[0][:, -1]
        mask = step_mask(x)
        h, _ = self.net(
            without_gaps(x, self.spec)
        )  # padding comes after the steps that count, so it touches none of them
        last = (mask.sum(1) - 1).clamp_min(0)
        return torch.take_along_dim(h, last[:, None, None].expand(-1, 1, h.shape[-1]), 1).squeeze(1)


class _WriteSteps(nn.Module):
    """(K, B, hidden) -> raw (K, B, *shape[, n]): h starts a GRU and drives every step of it (Fabius
    2014).
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        (self.steps, channels) = spec.as_steps
        self.numbers = HEADS[spec.likelihood].numbers(spec)
        self.rnn = nn.GRU(spec.hidden, spec.hidden, batch_first=True)
        self.out = nn.Linear(spec.hidden, channels * self.numbers)

    def forward(self, h: Tensor) -> Tensor:
        flat = h.flatten(0, 1)
        states, _ = self.rnn(flat[:, None].expand(-1, self.steps, -1), torch.tanh(flat)[None])
        raw = self.out(states).unflatten(0, h.shape[:2])
        return from_steps(
            raw if self.numbers == 1 else raw.unflatten(-1, (-1, self.numbers)), self.spec
        )


_BODIES: dict[str, tuple[type[nn.Module], type[nn.Module]]] = {
    "mlp": (_ReadFlat, _WriteFlat),
    "conv": (_ReadConv, _WriteConv),
    "rnn": (_ReadSteps, _WriteSteps),
}
NETWORKS = tuple(_BODIES)


def raw_shape(spec: Spec) -> tuple[int, ...]:
    """The shape of one x's raw numbers: spec.shape, with a last axis where the head asks several
    numbers an entry.
    """
    numbers = HEADS[spec.likelihood].numbers(spec)
    return spec.shape if numbers == 1 else (*spec.shape, numbers)


def without_gaps(x: Tensor, spec: Spec) -> Tensor:
    """x with 0 in place of NaN, for a network to read (zero imputation: Mattei & Frellsen 2019,
    arXiv:1812.02633, §2).
    """
    return torch.where(x.isnan(), 0.0, x) if spec.has_gaps else x


def split_normal(raw: Tensor, event_dims: int = 1) -> Distribution:
    """N(μ, σ²) from raw = [μ, softplus⁻¹ σ] along the last axis; σ ≥ 0.001."""
    loc, raw_scale = raw.chunk(2, -1)
    return normal(loc, F.softplus(raw_scale) + 1e-3, event_dims)


class Gaussian(Encoder):
    """q(z|x) = N(μ(x), diag σ(x)²)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.net = Read(spec, 2 * spec.latent)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        return split_normal(self.net(x, c))


class Deterministic(Encoder):
    """z = μ(x): all mass at one point."""

    no_density = "deterministic encoder"

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.net = Read(spec, spec.latent)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        return Point(self.net(x, c))


class StandardNormal(Prior):
    """p(z) = N(0, I), over an event of `shape` (default: spec.latent numbers)."""

    zero: Tensor

    def __init__(self, spec: Spec, shape: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.register_buffer("zero", torch.zeros(shape or (spec.latent,)))

    def forward(self, c: Tensor | None = None) -> Distribution:
        return normal(self.zero, torch.ones_like(self.zero), self.zero.ndim)


@contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Inside the block no gradient reaches the parameters of these modules; it still flows through
    them.

    So one backward pass serves two players: each term of the loss is blind to the other player's
    parameters.
    """
    slots = [
        (m, n, p)
        for top in modules
        for m in top.modules()
        for n, p in m._parameters.items()
        if p is not None
    ]
    try:
        for m, n, p in slots:
            m._parameters[n] = p.detach()  # type: ignore[assignment]
        yield
    finally:
        for m, n, p in slots:
            m._parameters[n] = p


def frozen_but_head(decoder: Decoder) -> AbstractContextManager[None]:
    """Inside the block only the scale of the decoder's likelihood learns.

    For a decoder whose means are trained by something else than log p(x|z): the scale is then still
    a maximum likelihood estimate, so that p(x|z) is an honest density around those means.
    """
    return frozen(*(part for part in decoder.children() if not isinstance(part, Likelihood)))
