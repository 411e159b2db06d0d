"""Annealed importance sampling without rejections: reversible steps of volume one, an unbiased
estimate of p(x), and a bound that tightens with the steps.
"""

import math
from functools import cache
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from vaezoo_plugins.annealed_sampling import AnnealedSampling, dais, uha

from tests.conftest import VECTOR, rows_of
from vaezoo.core import VAE, Spec
from vaezoo.losses import ELBO
from vaezoo.seeds import seeded

from . import _bounds as bounds, _quadrature as quadrature
from ._trained import descended

SPEC = Spec((6,), latent=2, hidden=8)
BUILDS = {"dais": dais, "uha": uha}
KINDS = pytest.mark.parametrize("name", list(BUILDS))
BOTH = pytest.mark.parametrize("steps", [0, 60])


@cache
def made(name: str, steps: int) -> tuple[VAE, Tensor]:
    """A model with a posterior far from Gaussian, trained for some steps; eight rows of bits."""
    with seeded("annealed"):
        model = BUILDS[name](SPEC, steps=3).double()
        for p in model.decoder.parameters():
            p.data.copy_(0.9 * torch.randn_like(p))
        x = torch.randint(0, 2, (8, 6)).double()
        descended(model, x.repeat(4, 1), steps)
    return model.eval(), x


@pytest.mark.certifies("dais", "uha", claim="a step run backwards returns, and its volume is one")
@KINDS
def test_a_step_is_undone_by_turning_the_momentum_and_preserves_volume(name):
    model, x = made(name, 0)
    q = model.encoder(x[:1])
    q.step = torch.tensor([0.3, 0.4]).double()
    beta = torch.tensor(0.6).double()
    with seeded("step"):
        z, momentum = torch.randn(2, 1, 1, 2).double()
    end, last = q.leap(z, momentum, beta)
    assert (end - z).abs().max() > 0.05
    back, first = q.leap(end, -last, beta)
    torch.testing.assert_close(back, z, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(-first, momentum, rtol=1e-10, atol=1e-10)

    def pair(both: Tensor) -> Tensor:
        moved = q.leap(both[:2].view(1, 1, 2), both[2:].view(1, 1, 2), beta)
        return torch.cat([part.flatten() for part in moved])

    jacobian = torch.autograd.functional.jacobian(pair, torch.cat([z, momentum]).flatten())
    assert abs(torch.linalg.slogdet(jacobian).logabsdet.item()) < 1e-10


@pytest.mark.certifies("dais", "uha", claim="the force is the gradient of the annealed density")
@KINDS
def test_the_force_is_that_of_the_geometric_path(name):
    """Against central differences of (1-β) log q_0 + β log p(x, z)."""
    model, x = made(name, 0)
    q = model.encoder(x)
    with seeded("force"):
        z = torch.randn(1, len(x), 2).double()
    for beta in (0.0, 0.3, 1.0):
        found = q.slope(z, torch.tensor(beta).double())
        for d in range(2):
            h = torch.zeros(2).double()
            h[d] = 1e-5
            sides = []
            for at in (z + h, z - h):
                log_p = model.decoder(at).log_prob(x) + model.prior().log_prob(at)
                sides.append((1 - beta) * q.start.log_prob(at) + beta * log_p)
            expected = (sides[0] - sides[1]) / 2e-5
            torch.testing.assert_close(found[..., d], expected, rtol=1e-6, atol=1e-7)


@pytest.mark.certifies(
    "dais", "uha", claim="a bound below log p(x) of quadrature, with weights of mean p(x)"
)
@KINDS
@BOTH
@pytest.mark.parametrize("kind", [torch.float64, torch.float32])
def test_the_bound_is_one_and_the_weights_have_the_mean_of_the_likelihood(name, steps, kind):
    """n = 10,000 draws a row, z-score below 4.5."""
    model, x = made(name, steps)
    n = 10_000
    exact = quadrature.log_p(model, x)
    try:
        with torch.no_grad(), seeded("weights", name, steps):
            log_w = model.to(kind).infer(x.to(kind), k=n).log_w.double()
    finally:
        model.double()
    assert (log_w.mean(0) < exact + 4.5 * log_w.std(0) / math.sqrt(n)).all()
    w = (log_w - exact).exp()
    assert ((w.mean(0) - 1).abs() < 4.5 * w.std(0) / math.sqrt(n) + 1e-3).all()


@pytest.mark.certifies(
    "dais", "uha", claim="the bound rises with the steps towards log p(x), above that of vae"
)
@KINDS
@BOTH
def test_the_gap_falls_with_the_steps(name, steps):
    """For one decoder and one Gaussian, that of the plain VAE (no steps) or one trained with
    annealing; of fixed step sizes. n = 2,000.
    """
    model, x = made(name, steps)
    exact = quadrature.log_p(model, x)
    gaps = []
    for count in (0, 4, 16, 64):
        encoder = AnnealedSampling(SPEC, model.decoder, model.prior, count).double()
        encoder.net = model.encoder.net
        if count:
            encoder.raw_step.data.fill_(-0.5)
        longer = VAE(encoder, model.decoder, model.prior, ELBO())
        with torch.no_grad(), seeded("gap", count):
            gaps.append((exact - longer.infer(x, k=2000).log_w.mean(0)).mean().item())
    assert all(b < 0.95 * a for a, b in pairwise(gaps))
    assert 0 < gaps[-1] < 0.15 * gaps[0] + 0.02


@KINDS
def test_no_steps_is_the_plain_vae(name):
    bounds.is_plain(lambda: BUILDS[name](VECTOR, steps=0))


def test_what_is_learned_is_what_the_names_say():
    for build, expected in ((dais, {"raw_step"}), (uha, {"raw_step", "raw_keep", "raw_rise"})):
        model = build(VECTOR)
        model(rows_of(VECTOR, 4))["loss"].backward()
        named = dict(model.encoder.named_parameters())
        own = {name for name in named if not name.startswith("net.")}
        learned = {name for name in own if named[name].grad is not None}
        assert learned == expected
    betas = uha(VECTOR, steps=4).encoder(rows_of(VECTOR, 2)).betas
    torch.testing.assert_close(betas, torch.tensor([0.25, 0.5, 0.75, 1.0]))
