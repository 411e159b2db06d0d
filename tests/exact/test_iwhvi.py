"""The importance weighted hierarchical bound: between quadrature's ELBO and the hierarchical one,
and weights of mean p(x).
"""

import math
from functools import cache
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal
from torch.nn import functional as F
from vaezoo_plugins.iwhvi import Hierarchical, iwhvi

from vaezoo.core import VAE, Decoder, Encoder, Spec
from vaezoo.distributions import draw, normal
from vaezoo.losses import ELBO
from vaezoo.networks import StandardNormal
from vaezoo.seeds import seeded

from . import _quadrature as quadrature

SPEC = Spec((6,), latent=2, hidden=16)
BOTH = pytest.mark.parametrize("steps", [0, 60])


@cache
def made(steps: int) -> tuple[VAE, Tensor]:
    """A model whose encoder was trained for a decoder that stays, and four rows of bits."""
    with seeded("iwhvi"):
        model = iwhvi(SPEC).double()
        with seeded("decoder"):
            for p in model.decoder.parameters():
                p.data.copy_(0.7 * torch.randn_like(p))
            x = torch.randint(0, 2, (4, 6)).double()
        optimiser = torch.optim.Adam(model.encoder.parameters(), 0.02)
        for _ in range(steps):
            optimiser.zero_grad()
            model(x.repeat(16, 1))["loss"].backward()
            optimiser.step()
    return model.eval(), x


def toy(k: int) -> Hierarchical:
    """q(ψ) = N(0, 1), q(z|ψ) = N(3 tanh 2ψ, 0.5²), τ(ψ|z) = N(z/4, 0.7²), in one dimension."""
    one = torch.ones(1).double()

    def given(psi: Tensor) -> Distribution:
        return normal(3 * torch.tanh(2 * psi), torch.full_like(psi, 0.5))

    def reverse(z: Tensor) -> Distribution:
        return normal(z / 4, torch.full_like(z, 0.7))

    return Hierarchical(normal(0 * one, one), given, reverse, k)


def exact_log_q(z: Tensor) -> Tensor:
    """log q(z) (N,) of `toy`, by quadrature over ψ."""
    psi, cell = quadrature.grid(1, 8.0, 2001)
    q = toy(1)
    joint = q.given(psi[:, None]).log_prob(z) + q.hidden.log_prob(psi)[:, None]
    return quadrature.log_integral(joint, cell)


@pytest.mark.certifies(
    "iwhvi", claim="log q is above the marginal's in the mean, falling to it with K, by quadrature"
)
def test_the_estimate_falls_to_the_density_of_the_marginal():
    """n = 20,000 draws of z; z-score below 4.5. The inverse of the estimate has the mean 1/q."""
    n = 20_000
    excess = []
    for k in (0, 1, 5, 50):
        with seeded("marginal", k):
            z, log_q = draw(toy(k), (n,))
        over = log_q - exact_log_q(z)
        assert over.mean() > -4.5 * over.std() / math.sqrt(n)
        inverse = (-over).exp()
        if k >= 5:  # with fewer its tail is long
            assert abs(inverse.mean() - 1) < 4.5 * inverse.std() / math.sqrt(n)
        excess.append(over.mean().item())
    assert all(b < 0.6 * a for a, b in pairwise(excess))
    assert excess[-1] < 0.02


@pytest.mark.certifies(
    "iwhvi", claim="a bound below log p(x) of quadrature, with weights of mean p(x)"
)
@BOTH
@pytest.mark.parametrize("kind", [torch.float64, torch.float32])
def test_the_bound_is_one_and_the_weights_have_the_mean_of_the_likelihood(steps, kind):
    """n = 20,000 draws a row, z-score below 4.5."""
    model, x = made(steps)
    n = 20_000
    exact = quadrature.log_p(model, x)
    try:
        with torch.no_grad(), seeded("weights", steps):
            log_w = model.to(kind).infer(x.to(kind), k=n).log_w.double()
    finally:
        model.double()
    assert (log_w.mean(0) < exact + 4.5 * log_w.std(0) / math.sqrt(n)).all()
    w = (log_w - exact).exp()
    assert ((w.mean(0) - 1).abs() < 4.5 * w.std(0) / math.sqrt(n) + 1e-3).all()


class Shape(Decoder):
    """x ~ N(f(z), 0.2²), f such that at X the posterior is a ring, a banana, or two modes."""

    def __init__(self, shape: str) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, z: Tensor, c: Tensor | None = None) -> Distribution:
        at = {
            "ring": z.norm(dim=-1, keepdim=True),
            "banana": z[..., 1:] - z[..., :1].square(),
            "modes": z[..., :1].abs(),
        }[self.shape]
        return normal(at, torch.full_like(at, 0.2))


X = {"ring": 1.5, "banana": -1.0, "modes": 1.5}
REAL = Spec((1,), "normal", latent=2)


def scales(like: Tensor, first: float, second: float) -> Tensor:
    return torch.tensor([first, second]).to(like).expand_as(like)


class Along(Encoder):
    """q(z|ψ) that moves a standard normal ψ all along the posterior, and a τ(ψ|z) near its inverse.

    Written down, not trained.
    """

    scores_any_code = False

    def __init__(self, shape: str, k: int) -> None:
        super().__init__()
        self.k = k
        self.moved, self.back = {"ring": (ring, off_ring), "banana": (banana, off_banana)}.get(
            shape, (modes, off_modes)
        )

    def forward(self, x: Tensor, c: Tensor | None = None) -> Distribution:
        one = torch.ones(len(x), 2).to(x)
        return Hierarchical(normal(0 * one, one), self.moved, self.back, self.k)


def ring(psi: Tensor) -> Distribution:
    return normal(1.5 * F.normalize(psi, dim=-1), scales(psi, 0.18, 0.18))


def off_ring(z: Tensor) -> Distribution:
    return normal(1.25 * F.normalize(z, dim=-1), scales(z, 0.6, 0.6))


def banana(psi: Tensor) -> Distribution:
    first = 0.75 * psi[..., :1]
    return normal(torch.cat([first, first.square() - 0.97], -1), scales(psi, 0.15, 0.2))


def off_banana(z: Tensor) -> Distribution:
    loc = torch.cat([z[..., :1] / 0.8, 0 * z[..., 1:]], -1)
    return normal(loc, scales(z, 0.22, 1.0))


def modes(psi: Tensor) -> Distribution:
    loc = torch.cat([1.45 * torch.tanh(20 * psi[..., :1]), 0 * psi[..., 1:]], -1)
    return normal(loc, scales(psi, 0.2, 1.0))


def off_modes(z: Tensor) -> Distribution:
    loc = torch.cat([0.8 * z[..., :1].sign(), 0 * z[..., 1:]], -1)
    return normal(loc, scales(z, 0.6, 1.0))


def best_gaussian(model: VAE, x: Tensor) -> Tensor:
    """The least KL(q ‖ p(z|x)) of any Gaussian q, by quadrature from four starts.

    q has a full covariance, more than the encoder of `vae` has.
    """
    z, cell = quadrature.grid(2, 4.0, 81)
    joint = (model.decoder(z[:, None]).log_prob(x) + model.prior().log_prob(z[:, None])).squeeze(1)
    loc = (1.5 * torch.randn(4, 2).double()).requires_grad_()
    root = (0.4 * torch.eye(2).double().repeat(4, 1, 1)).requires_grad_()
    optimiser = torch.optim.Adam([loc, root], 0.05)
    for _ in range(150):
        log_q = MultivariateNormal(loc, scale_tril=lower(root)).log_prob(z[:, None])  # (N, 4)
        log_q = log_q.log_softmax(0) - math.log(cell)  # mass beyond the grid would be no loss
        gap = (log_q.exp() * (log_q - joint[:, None])).sum(0) * cell
        optimiser.zero_grad()
        gap.sum().backward()
        optimiser.step()
    return gap.min() + quadrature.log_integral(joint, cell)


def lower(root: Tensor) -> Tensor:
    """A lower root with a diagonal that the grid still resolves."""
    return root.tril(-1) + torch.diag_embed(root.diagonal(dim1=-2, dim2=-1).abs() + 0.12)


@pytest.mark.certifies(
    "iwhvi",
    claim="of a ring, a banana and two modes there is one whose bound is tighter than that of any"
    " Gaussian",
)
@pytest.mark.parametrize("shape", ["ring", "banana", "modes"])
@pytest.mark.parametrize("kind", [torch.float64, torch.float32])
def test_it_can_be_tighter_than_any_gaussian_where_none_fits(shape, kind):
    """One decoder for both, K = 5. n = 20,000 draws; 0.2 nats and 5 errors."""
    n = 20_000
    x = torch.full((1, 1), X[shape]).double()
    model = VAE(Along(shape, 5), Shape(shape), StandardNormal(REAL), ELBO()).double()
    with torch.no_grad(), seeded("iwhvi", shape):
        log_w = model.to(kind).infer(x.to(kind), k=n).log_w[:, 0].double()
    model.double()
    with seeded("gaussian", shape):
        least = best_gaussian(model, x)
    gap = quadrature.log_p(model, x, 8.0, 401) - log_w.mean()
    error = log_w.std() / math.sqrt(n)
    assert -5 * error < gap < least - 0.2 - 5 * error


def test_every_network_learns():
    model, x = made(0)
    model(x)["loss"].backward()
    for part in (model.encoder.net, model.encoder.forth, model.encoder.back):
        assert all(p.grad.abs().max() > 0 for p in part.parameters())
