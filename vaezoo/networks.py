"""The networks that every variant shares, so that variants differ in nothing else.

`Read` turns x into features, `Write` turns z into p(x|z), by the network that `spec.network` names,
for all variants alike: see `bodies` and `convolutions`.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from . import convolutions  # noqa: F401  (so that `conv` and `resnet` are known)
from .bodies import network, raw_shape
from .core import Decoder, Encoder, Prior, Spec, Unsupported
from .distributions import Observed, Point, StandardNormals, normal
from .likelihoods import Likelihood, head, moments
from .steps import from_steps, reverse_steps, step_mask, to_steps, without_gaps

__all__ = [
    "Deterministic",
    "Gaussian",
    "Raw",
    "Read",
    "StandardNormal",
    "Write",
    "from_steps",
    "frozen",
    "frozen_but_head",
    "in_bf16",
    "join",
    "mlp",
    "raw_shape",
    "reading",
    "require_bf16",
    "reverse_steps",
    "split_normal",
    "start_at_mean",
    "step_mask",
    "to_steps",
    "without_gaps",
]


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
            f"reads labels: it needs a condition c of width {condition} for every row, "
            "and none was given"
        )
    if c.ndim < 2 or c.shape[-1] != condition or c.shape[-2] not in (1, h.shape[-2]):
        found = tuple(c.shape)
        raise Unsupported(
            f"reads labels: c must have shape {(h.shape[-2], condition)}, one-hot rows, "
            f"and it has {found}"
        )
    return torch.cat([h, c.expand(*h.shape[:-1], c.shape[-1])], -1)


class Read(nn.Module):
    """x (B, *shape) and c -> features (B, out)."""

    def __init__(self, spec: Spec, out: int) -> None:
        super().__init__()
        self.spec = spec
        sizes = network(spec)
        self.body = sizes.reader(spec)
        self.act = sizes.act()
        self.out = sizes.tail(sizes.width_of(spec) + spec.condition, out, spec)
        sizes.initialise(self)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        if _in_bf16.get():
            return _autocast(self._features, x, c)
        return self._features(x, c)

    def _features(self, x: Tensor, c: Tensor | None) -> Tensor:
        return self.out(join(self.act(self.body(x)), c, self.spec.condition))


class Raw(nn.Module):
    """z (K, B, *event) and c -> the numbers that a likelihood reads of x, or of one of its views.

    z is flattened: `inputs` numbers of it.
    """

    def __init__(self, spec: Spec, inputs: int | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.width = inputs or spec.latent
        sizes = network(spec)
        self.into = sizes.layer(self.width + spec.condition, sizes.width_of(spec))
        self.act = sizes.act()
        self.body = sizes.writer(spec)
        self.starts_at_mean = sizes.starts_at_mean
        sizes.initialise(self)

    def raw(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """The numbers that the likelihood reads, (K, B, *shape[, n])."""
        return _autocast(self._raw, z, c) if _in_bf16.get() else self._raw(z, c)

    def _raw(self, z: Tensor, c: Tensor | None) -> Tensor:
        into = self.into
        z = z.flatten(2).to(into.weight.dtype)  # codes may be finer than the network
        # (K, B, F) -> (K·B, F): a linear layer of three axes takes views each way at every step
        flat = join(z, c, self.spec.condition).flatten(0, 1)
        return self.body(self.act(into(flat)).unflatten(0, z.shape[:2]))


class Write(Raw, Decoder):
    """p(x|z), from the flattened event of z (`inputs` numbers of it)."""

    def __init__(self, spec: Spec, inputs: int | None = None) -> None:
        super().__init__(spec, inputs)
        self.likelihood = head(spec)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Observed:
        return self.likelihood(self.raw(z, c))


_in_bf16: ContextVar[bool] = ContextVar("in_bf16", default=False)


@contextmanager
def in_bf16() -> Iterator[None]:
    """Inside the block `Read` and `Write` multiply in bfloat16, by torch's autocast, and hand on
    float32: all that is worked out from what they say (densities, KL, critics, flows) is in
    float32.
    """
    token = _in_bf16.set(True)
    try:
        yield
    finally:
        _in_bf16.reset(token)


def _autocast(
    network: Callable[[Tensor, Tensor | None], Tensor], x: Tensor, c: Tensor | None
) -> Tensor:
    with torch.autocast(x.device.type, torch.bfloat16):
        return network(x, c).float()


def require_bf16(model: nn.Module, who: str) -> None:
    """Raises: Unsupported for a model that has no `Read` or `Write` to run in bfloat16, or one with
    a recurrence, whose rounding would add up over the steps.
    """
    networks = [part for part in model.modules() if isinstance(part, Read | Raw)]
    is_recurrent = any(isinstance(part, nn.RNNBase) for part in model.modules())
    if networks and not is_recurrent:
        return
    why = "has a recurrence" if is_recurrent else "has no network but its own"
    raise Unsupported(f"{who} {why}, which runs in float32 only; train it with precision float32")


@torch.no_grad()
def start_at_mean(model: nn.Module, train: Tensor) -> None:
    """Decoders whose network asks for bias=mean begin where p(x|z) has the mean of the training
    rows (N, *shape), whatever z (Burda et al. 2016 begin so). Called once, before training.
    """
    for part in model.modules():
        if isinstance(part, Write) and part.starts_at_mean:
            cast(Any, part.body).start_at(part.likelihood.raw_at(moments(train)[0]))


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
        return StandardNormals(self.zero)


@contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Inside the block no gradient reaches the parameters of these modules; it still flows through
    them.

    So one backward pass serves two players: each term of the loss is blind to the other player's
    parameters.
    """
    with _blind([part for top in modules for part in top.modules()]):
        yield


@contextmanager
def _blind(modules: list[nn.Module]) -> Iterator[None]:
    """The same for the parameters of these modules alone, not of those inside them."""
    slots = [(m, n, p) for m in modules for n, p in m._parameters.items() if p is not None]
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
    heads = [part for part in decoder.modules() if isinstance(part, Likelihood)]
    spared = {inner for part in heads for inner in part.modules()}
    return _blind([part for part in decoder.modules() if part not in spared])


@contextmanager
def reading(*modules: nn.Module) -> Iterator[None]:
    """Inside the block these modules read as in evaluation: batch statistics stand still, and draws
    are not relaxed.

    For a part that reads by another one, such as a prior made of posteriors: what it was trained as
    is then what evaluation sees.
    """
    modes = {part: part.training for top in modules for part in top.modules()}
    try:
        for part in modes:
            part.training = False
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
