"""The evidence lower bound, which most losses refine.

R = -E_q log p(x|z) and KL = KL(q(z|x) ‖ p(z)) are means over the batch of sums over the event, in
nats per x.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from .core import VAE, Latent, Loss, Model, Terms, Trace, Unsupported, require_parts
from .distributions import Drawable, to_length

__all__ = [
    "ELBO",
    "EveryRate",
    "WarmUp",
    "aggregate",
    "log_q_at",
    "mmd",
    "require_density",
    "require_fixed_prior",
    "require_separate_parts",
    "residuals",
    "squared_distances",
    "squared_error",
    "valued",
]


def require_density(loss: Loss, model: Model) -> None:
    """Raises: Unsupported where the model's posterior has no density, so that there is neither a KL
    nor a weight p(x, z)/q(z|x).
    """
    if model.no_density:
        raise Unsupported(
            f"{type(loss).__name__} needs the density q(z|x), and this model has none: "
            f"{model.no_density}"
        )


def require_separate_parts(model: Model, who: str) -> VAE:
    """The model as a `VAE` whose encoder shares no network with its decoder or prior, so that each
    can be frozen alone.

    Raises: Unsupported for any other model.
    """
    vae = require_parts(model, who)
    if set(vae.encoder.modules()) & {*_read_by(vae.decoder), *_read_by(vae.prior)}:
        raise Unsupported(
            f"{who} trains the encoder apart from the rest; "
            "this model's prior or decoder contains it or reads its parameters"
        )
    return vae


def _read_by(part: nn.Module) -> Iterator[nn.Module]:
    """The modules of a part, and those that it reads without owning them: these it keeps in a
    tuple.
    """
    for module in part.modules():
        yield module
        for value in vars(module).values():
            if isinstance(value, tuple):
                yield from (one for one in value if isinstance(one, nn.Module))


def require_fixed_prior(model: Model, who: str) -> None:
    """Raises: Unsupported where the prior has parameters, of a loss whose gradient does not reach
    them as a density: it has no log p(z), or it reads draws of p alone.
    """
    if isinstance(model, VAE) and any(p.requires_grad for p in model.prior.parameters()):
        raise Unsupported(
            f"{who} does not train a prior by log p(z), and this prior is to be learned; "
            "take one without parameters"
        )


def log_q_at(q: Distribution, z: Tensor, who: str) -> Tensor:
    """log q(z) of points that q need not have drawn, (K, B).

    Raises: Unsupported where q has no density there.
    """
    if isinstance(q, Drawable) and q.is_relaxed:
        raise Unsupported(
            f"{who} needs the density of the draws of q(z|x); in training these are relaxed, "
            "and log q is that of the classes"
        )
    try:
        return q.log_prob(z)
    except NotImplementedError:
        raise Unsupported(
            f"{who} needs log q(z|x) at a given z; this posterior knows it for its own draws only"
        ) from None


class ELBO(Loss):
    """R + β KL (Kingma & Welling 2014, arXiv:1312.6114, eq. 3; β: Higgins et al. 2017, eq. 4)."""

    def __init__(self, beta: float = 1.0, k: int = 1) -> None:
        super().__init__()
        self.beta = beta
        self.k = k

    def check(self, model: Model) -> None:
        require_density(self, model)

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = model.infer(x, c, self.k)
        return self.combine(-trace.log_px.mean(), trace.kl.mean(), progress)

    def combine(self, distortion: Tensor, rate: Tensor, progress: float) -> Terms:
        return {"loss": distortion + self.beta * rate, "distortion": distortion, "rate": rate}


class WarmUp(ELBO):
    """R + β KL, with β rising linearly from 0 to 1 over the first part `until` of the training
    (Bowman et al. 2016).
    """

    def __init__(self, until: float = 0.3) -> None:
        super().__init__()
        self.until = until

    def combine(self, distortion: Tensor, rate: Tensor, progress: float) -> Terms:
        beta = min(1.0, progress / self.until) if self.until else 1.0
        return {"loss": distortion + beta * rate, "distortion": distortion, "rate": rate}


class EveryRate(ELBO):
    """R + β Σ_l KL_l, and the rate of each latent, in the order of `Trace.latents`.

    history.csv has them as rate_1, rate_2 and so on.
    """

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = model.infer(x, c, self.k)
        terms = self.combine(-trace.log_px.mean(), trace.kl.mean(), progress)
        for i, latent in enumerate(trace.latents, 1):
            terms[f"rate_{i}"] = latent.kl.mean().detach()
        return terms


def valued(value: Tensor, surrogate: Tensor) -> Tensor:
    """A scalar with this value and the gradient of the surrogate."""
    return value.detach() + surrogate - surrogate.detach()


def residuals(trace: Trace) -> tuple[Tensor, Tensor]:
    """x - E p(x|z), (K, B, *shape), 0 where x has a gap; and where it has none, (B, *shape)."""
    is_sequence = len(trace.px.event_shape) == 2
    x = to_length(trace.x, trace.px.event_shape[0]) if is_sequence else trace.x
    seen = ~x.isnan()
    return torch.where(seen, torch.where(seen, x, 0.0) - trace.px.mean, 0.0), seen


def squared_error(trace: Trace) -> tuple[Tensor, Tensor]:
    """Σ (x - E p(x|z))² over the entries that are there, and how many there are, means over draws
    and rows.
    """
    error, seen = residuals(trace)
    return error.square().flatten(2).sum(-1).mean(), seen.flatten(1).float().sum(-1).mean()


def aggregate(latent: Latent) -> tuple[Tensor, Tensor]:
    """(B, D) and (B, D): one draw of the aggregate posterior for every row, and as many of the
    prior, events flattened.
    """
    rows = latent.z.shape[1]
    z = latent.p.sample(torch.Size(() if latent.p.batch_shape.numel() == rows else (rows,)))
    return latent.z[0].flatten(1), z.reshape(rows, -1)


def mmd(a: Tensor, b: Tensor, kernel: Callable[[Tensor], Tensor]) -> Tensor:
    """The unbiased estimate of the squared maximum mean discrepancy of draws a (N, D) and b (M, D).

    `kernel` is a function of the squared distance (Gretton et al. 2012, JMLR 13, lemma 6).
    """
    return _within(a, kernel) + _within(b, kernel) - 2 * kernel(squared_distances(a, b)).mean()


def _within(a: Tensor, kernel: Callable[[Tensor], Tensor]) -> Tensor:
    k = kernel(squared_distances(a, a))
    return (k.sum() - k.diagonal().sum()) / max(1, len(a) * (len(a) - 1))


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """(N, D) and (M, D) -> (N, M)."""
    return (a.square().sum(-1)[:, None] + b.square().sum(-1) - 2 * a @ b.T).clamp_min(0)
