"""A draw with its log density: from a distribution, or from one that knows only its own draws."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from typing import Any

import torch
from torch import Tensor, distributions as D
from torch.distributions import Distribution

Push = Callable[[Tensor], tuple[Tensor, Tensor]]  # a map of draws, with the logarithm of its |det|
_at_centre: ContextVar[bool] = ContextVar("at_centre", default=False)


class Drawable(Distribution):
    """A distribution that gives the log density of its own draws, though perhaps not of any other
    point.
    """

    # Whether draws are relaxed, as those of classes are in training: log q is then no density of z.
    is_relaxed = False

    arg_constraints: dict[str, D.constraints.Constraint] = {}

    def __init__(self, batch: torch.Size, event: torch.Size) -> None:
        super().__init__(batch, event, validate_args=False)

    def draw(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """z (*shape, *batch, *event), with gradient, and log q(z) (*shape, *batch)."""
        raise NotImplementedError

    def centre(self) -> Tensor:
        """The point that stands for q where one is wanted (*batch, *event): its mean, its mode …"""
        raise NotImplementedError

    @property
    def mean(self) -> Tensor:
        return self.centre()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with torch.no_grad():
            return self.draw(tuple(sample_shape))[0]


class Point(Drawable):
    """All mass at z: no density. Its log q is taken as 0, and whoever uses it must say that there
    is no bound.
    """

    def __init__(self, z: Tensor, event_dims: int = 1) -> None:
        super().__init__(z.shape[: z.ndim - event_dims], z.shape[z.ndim - event_dims :])
        self.z = z

    def draw(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        z = self.z.expand(*shape, *self.z.shape)
        return z, z.new_zeros(z.shape[: z.ndim - len(self.event_shape)])

    def centre(self) -> Tensor:
        return self.z


class Pushed(Drawable):
    """z = f(e), e ~ base, where f gives z and log |det ∂z/∂e|.

    f needs no inverse. With one, which gives e and the same log-determinant from z, the density of
    any z is known.
    """

    def __init__(self, base: Distribution, f: Push, inverse: Push | None = None) -> None:
        super().__init__(base.batch_shape, base.event_shape)
        self.base = base
        self.f = f
        self.inverse = inverse

    def log_prob(self, value: Tensor) -> Tensor:
        if self.inverse is None:
            raise NotImplementedError(
                "this flow has no inverse: it knows the density of its own draws alone"
            )
        e, log_det = self.inverse(value)
        return self.base.log_prob(e) - log_det

    def draw(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        e, log_q = draw(self.base, shape)
        z, log_det = self.f(e)
        return z, log_q - log_det

    def centre(self) -> Tensor:
        return self.f(self.base.mean[None])[0][0]


def draw(q: Distribution, shape: tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
    """z ~ q, with gradient, and log q(z): (*shape, *batch, *event) and (*shape, *batch).

    Inside `at_centre()`, q's centre instead.
    """
    if _at_centre.get():
        z = q.centre() if isinstance(q, Drawable) else q.mean
        z = z.expand(*shape, *z.shape)
        # A Drawable may not know the density of a given point: nothing that asks for centres reads
        # log q.
        return z, z.new_zeros(z.shape[: z.ndim - len(q.event_shape)])
    if isinstance(q, Drawable):
        return q.draw(shape)
    z = q.rsample(torch.Size(shape))
    return z, q.log_prob(z)


def draw_alone(q: Distribution, shape: tuple[int, ...] = ()) -> tuple[Tensor, Tensor | None]:
    """The same draw, with None where its log density is q.log_prob(z), which a KL in closed form
    does not ask for.
    """
    if _at_centre.get() or isinstance(q, Drawable):
        return draw(q, shape)
    return q.rsample(torch.Size(shape)), None


def noise(*shape: int, like: Tensor) -> Tensor:
    """e ~ N(0, I) of this shape, on the device and in the type of `like`; zeros inside
    `at_centre()`.

    For a model that draws step by step, where a distribution object at every step would be the
    cost.
    """
    return (
        like.new_zeros(shape)
        if _at_centre.get()
        else torch.randn(shape, dtype=like.dtype, device=like.device)
    )


@contextmanager
def at_centre() -> Iterator[None]:
    """Inside the block `draw` gives the centre of q instead of a random point: codes and
    reconstructions without noise.
    """
    token = _at_centre.set(True)
    try:
        yield
    finally:
        _at_centre.reset(token)


def one_hot(index: Tensor, size: int) -> Tensor:
    """(*) -> (*, size), floating point; torch's own `one_hot` is refused by vmap."""
    is_it = index[..., None] == torch.arange(size, device=index.device)
    return is_it.to(torch.get_default_dtype())


def kl(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q ‖ p) in nats where a closed form is known, else None."""
    try:
        return D.kl_divergence(q, p)
    except NotImplementedError:
        return None


def detached(q: Distribution) -> Distribution:
    """The same distribution, through whose parameters no gradient flows."""
    new = copy(q)
    for name, value in vars(q).items():
        if isinstance(value, Tensor):
            new.__dict__[name] = value.detach()
        elif isinstance(value, Distribution):
            new.__dict__[name] = detached(value)
    return new
