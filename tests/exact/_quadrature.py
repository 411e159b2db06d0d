"""log p(x) of a model with a latent of one or two dimensions, by brute force; no code of vaezoo's
estimators is used.
"""

import math
from copy import deepcopy
from functools import cache

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaezoo.core import VAE, Decoder, Encoder, Loss, Spec
from vaezoo.distributions import bernoulli, normal
from vaezoo.losses import ELBO
from vaezoo.networks import StandardNormal


def grid(dims: int, reach: float = 8.0, points: int = 401) -> tuple[Tensor, float]:
    """(points ** dims, dims) in float64, and the volume of one cell."""
    axis = torch.linspace(-reach, reach, points, dtype=torch.float64)
    return torch.cartesian_prod(*[axis] * dims).reshape(-1, dims), (
        2 * reach / (points - 1)
    ) ** dims


def log_integral(log_f: Tensor, cell: float) -> Tensor:
    """log ∫ f over the first axis; the trapezium rule is exact to machine precision for f that dies
    out at the ends.
    """
    return log_f.logsumexp(0) + math.log(cell)


def log_p(model: VAE, x: Tensor, reach: float = 8.0, points: int = 201) -> Tensor:
    """log p(x) (B,), in nats. Of `tiny`, 201 points an axis and 401 give one number to 1e-15."""
    z, cell = grid(2, reach, points)
    z = z[:, None]
    joint = model.decoder(z).log_prob(x) + model.prior().log_prob(z)
    return log_integral(joint, cell)


def kl(q: Distribution, p: Distribution, dims: int = 1) -> Tensor:
    """∫ q log q/p."""
    z, cell = grid(dims, 14.0, 6001 if dims == 1 else 801)
    log_q, log_p = q.log_prob(z), p.log_prob(z)
    return (log_q.exp() * (log_q - log_p)).sum(0) * cell


class TinyEncoder(Encoder):
    """A Gaussian of two dimensions that is not the true posterior."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.loc, self.log_scale = nn.Linear(size, 2), nn.Linear(size, 2)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        return normal(self.loc(x), (0.3 * self.log_scale(x) - 0.5).exp())


class TinyDecoder(Decoder):
    """Bernoulli logits from one tanh layer."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, size))

    def forward(self, z: Tensor, c: Tensor | None = None) -> Distribution:
        return bernoulli(2 * self.net(z))


def tiny(loss: Loss | None = None, size: int = 5, seed: int = 0) -> tuple[VAE, Tensor]:
    """A model with two latent dimensions in float64, and four rows of data."""
    torch.manual_seed(seed)
    prior = StandardNormal(Spec((size,), latent=2))
    model = VAE(TinyEncoder(size), TinyDecoder(size), prior, loss or ELBO()).double()
    return model, torch.randint(0, 2, (4, size)).double()


def widen(out: nn.Sequential) -> None:
    """Makes the posterior that an encoder's last layers give N(0, 1.2²) for every x, so that
    importance weights are even.
    """
    last = out[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor([0.0, 0.84]).repeat_interleave(len(last.bias) // 2))


def trained(loss: Loss, steps: int = 300) -> tuple[VAE, Tensor]:
    """`tiny`, after some steps on the ELBO: its posterior is near the true one, though not equal to
    it.
    """
    model, x = _trained_on_the_elbo(steps)
    model = deepcopy(model)
    model.loss = loss
    return model, x


@cache
def _trained_on_the_elbo(steps: int) -> tuple[VAE, Tensor]:
    model, x = tiny()
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(steps):
        optimiser.zero_grad()
        model(x.repeat(20, 1))["loss"].backward()
        optimiser.step()
    return model, x


def gradient(model: nn.Module, loss: Tensor, part: nn.Module | None = None) -> Tensor:
    """∂ loss over all parameters of `part`, laid end to end."""
    parameters = list((part or model).parameters())
    grads = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
    pairs = zip(grads, parameters, strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs])
