"""The flow prior: a density that integrates to one, log-determinants of autograd, and draws that
follow it.
"""

import math
from dataclasses import replace

import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap
from vaezoo_plugins.flow_prior import FlowPrior, flow_prior

from tests.conftest import VECTOR, rows_of
from vaezoo.core import Unsupported

KINDS = ["realnvp", "nsf", "maf"]


def made(kind: str, latent: int) -> FlowPrior:
    torch.manual_seed(0)
    return FlowPrior(replace(VECTOR, latent=latent), kind, 3).double()


@pytest.mark.certifies("flow_prior", claim="p(z) integrates to 1")
@pytest.mark.parametrize("kind", KINDS)
def test_density_of_two_dimensions_integrates_to_one(kind):
    axis = torch.linspace(-12, 12, 321, dtype=torch.double)
    with torch.no_grad():
        density = made(kind, 2)().log_prob(torch.cartesian_prod(axis, axis)).exp()
    # splines and networks have kinks, so the sum over the grid is within a thousandth or two
    assert abs(density.sum().item() * (axis[1] - axis[0]).item() ** 2 - 1) < 2e-3


@pytest.mark.certifies("flow_prior", claim="log p(z) is that of autograd's Jacobian")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("latent", [2, 5])
def test_log_density_is_that_of_autograds_jacobian(kind, latent):
    p, z = made(kind, latent)(), torch.randn(4, latent).double()
    jacobian = torch.stack([torch.autograd.functional.jacobian(p.transform, row) for row in z])
    expected = p.base.log_prob(p.transform(z)) + torch.linalg.slogdet(jacobian).logabsdet
    torch.testing.assert_close(p.log_prob(z), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_draws_follow_the_density(kind):
    """E_p[r/p] = 1 for a Gaussian r inside p; n = 50,000, z-score below 4. And draws return to
    their base by f.
    """
    p, n = made(kind, 2)(), 50_000
    z = p.sample((n,))
    r = torch.distributions.Normal(z.mean(0), 0.6 * z.std(0))
    w = (r.log_prob(z).sum(-1) - p.log_prob(z)).exp()
    assert abs(w.mean() - 1) / (w.std() / math.sqrt(n)) < 4
    e = p.transform(z)
    assert (e.mean(0).abs() < 5 / math.sqrt(n)).all()
    assert ((e.var(0) - 1).abs() < 5 * math.sqrt(2 / n)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_density_and_draws_work_under_stacked_seeds(kind):
    priors = [made(kind, 3), made(kind, 3)]
    for p in priors[1].parameters():
        torch.nn.init.normal_(p, 0, 0.1)
    state, z = stack_module_state(priors), torch.randn(2, 4, 3).double()  # the codes of two seeds

    # zuko runs its networks when the density is asked for, which must be inside
    class Both(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.prior = priors[0]

        def forward(self, z):
            p = self.prior()
            return p.log_prob(z), (p if kind != "realnvp" else p.base).sample((2,))

    def both(params, buffers, z):
        state = {f"prior.{name}": value for name, value in {**params, **buffers}.items()}
        return functional_call(Both(), state, (z,))

    log_p, draws = vmap(both, randomness="different")(*state, z)
    torch.testing.assert_close(
        log_p, torch.stack([p().log_prob(each) for p, each in zip(priors, z, strict=True)])
    )
    assert draws.shape == (2, 2, 3)


def test_one_dimension_is_refused():
    with pytest.raises(Unsupported, match="latent ≥ 2"):
        flow_prior(replace(VECTOR, latent=1))


@pytest.mark.parametrize("kind", KINDS)
def test_it_trains_and_samples_on_every_kind_of_data(spec, kind):
    torch.manual_seed(1)
    model, x = flow_prior(replace(spec, latent=3), kind), rows_of(spec, 6)
    model(x)["loss"].backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert p.grad.isfinite().all(), name
    assert model.infer(x, k=3).log_w.shape == (3, 6)
    assert model.sample(4).shape == (4, *spec.shape)
